"""Images without labels beside those of train, for distillation from a teacher."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from mobilevision.data.boxes import BoxTargets
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.identities import UNKNOWN, IdentityTargets
from mobilevision.data.records import Records, RecordsAround
from mobilevision.data.shared_images import Images
from mobilevision.data.targets import Targets
from mobilevision.errors import UserError


@final
class WithUnlabelled(RecordsAround):
    """Labelled samples, then others with placeholder targets.

    Args:
        labelled: the split.
        others: images without labels.
    """

    def __init__(self, labelled: Records, others: Records) -> None:
        self.labelled, self.others = labelled, others
        self.targets = joined(labelled.targets, len(others))

    def source(self, index: int) -> tuple[Records, int]:
        """Among the labelled ones, or behind them."""
        first = len(self.labelled)
        return (self.labelled, index) if index < first else (self.others, index - first)


def joined(targets: Any, more: int) -> Any:
    """Targets followed by ``more`` placeholders: zeros, no boxes, an unknown identity or an unknown place."""
    if isinstance(targets, BoxTargets):
        return BoxTargets(np.concatenate([np.diff(targets.offsets), np.zeros(more, np.int64)]), targets.all)
    if isinstance(targets, IdentityTargets):
        behind = int(targets.images.max(initial=-1)) + 1
        return IdentityTargets(
            np.concatenate([targets.identities, np.full(more, UNKNOWN)]),
            np.concatenate([targets.images, np.arange(behind, behind + more)]),
            targets.pairs,
        )
    if isinstance(targets, CoordinateTargets | Targets):
        return targets.extended(more)
    return np.concatenate([targets, np.zeros((more, *targets.shape[1:]), dtype=targets.dtype)])


def find_unlabelled(folder: str, channels: int) -> Records:
    """Every image in a folder and in those below it.

    Raises:
        UserError: no such folder, or no image in it.
    """
    from mobilevision.data.formats.scan import images  # formats know those of several parts, which know this file

    place = Path(folder).expanduser()
    if not place.is_dir():
        raise UserError(f"data.unlabelled={folder}: there is no such folder")
    paths = list(images(os.fsencode(place), b""))
    if not paths:
        raise UserError(f"data.unlabelled={folder}: no images in it or below it")
    return FileRecords(paths=paths, targets=np.zeros(len(paths), np.int64), channels=channels, root=place)


def without(others: Records, measured: Sequence[Records], folder: str) -> tuple[Records, list[str]]:
    """Images without labels but for those on which the student is measured, and a note where there are such.

    Args:
        others: of :func:`find_unlabelled`.
        measured: val and test.
        folder: where they lie, for the message.

    Raises:
        UserError: no image is left.
    """
    images = Images()
    taken = [images.of(records) for records in measured]
    rows = np.flatnonzero(~np.isin(images.of(others), np.concatenate(taken))) if taken else np.arange(len(others))
    if len(rows) == len(others):
        return others, []
    if not len(rows):
        raise UserError(f"data.unlabelled={folder}: all of its images are in val or test: name others")
    return others.subset(rows), [
        f"{len(others) - len(rows):,} images without labels are left out: val or test has them"
    ]
