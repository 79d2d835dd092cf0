"""The pictures of a data set by an exported model's own way: from their files, as its model.json says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.files import FileRecords
from mobilevision.data.records import Subset

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.deploy.artifact import Artifact


def pinned(artifact: Artifact, records: Records, places: Sequence[int]) -> NDArray[np.uint8]:
    """Uint8 [N, C, H, W] of the samples ``places``: from the file, or what is drawn as it is drawn."""
    prepared = []
    for place in places:
        path = _path(records, place)
        prepared.append(artifact.prepare(records.pixels(place, exact=True) if path is None else path).pixels)
    return np.stack(prepared)


def _path(records: Records, place: int) -> str | None:
    while isinstance(records, Subset):
        place, records = int(records.rows[place]), records.records
    return os.fsdecode(records.path(place)) if isinstance(records, FileRecords) else None
