"""What a data set knows of itself once it is read, in the words that heads and tasks understand."""

from __future__ import annotations

import numpy as np

from mobilevision.data import attributes, identities
from mobilevision.data.boxes import BoxTargets, boxes_a_class
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Splits
from mobilevision.geo.partition import Cells
from mobilevision.spec import DataSpec


def state(
    splits: Splits,
    *,
    kind: str,
    channels: int,
    resolution: tuple[int, int],
    fit: str,
    cells: Cells | None = None,
    white_level: float | None = None,
) -> DataSpec:
    """The spec of some splits; what is counted is counted in train.

    Args:
        splits: what was read, complete and checked.
        kind: what is learnt from.
        channels: of a picture.
        resolution: (height, width) of the model's input in pixels.
        fit: how a picture comes to lie in it.
        cells: for ``coordinate``, the cells of Earth.
        white_level: what is white in pictures of more than 8 bits; None where the data has none.
    """
    counts: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    targets = None if splits.train is None else splits.train.targets
    if targets is None:
        pass
    elif isinstance(targets, BoxTargets):
        counts = boxes_a_class(targets, len(splits.classes))
    elif isinstance(targets, IdentityTargets):
        counts = identities.counted(targets, len(splits.classes))
    elif isinstance(targets, CoordinateTargets):
        counts = tuple(np.bincount(targets.cells, minlength=len(splits.classes)).tolist()) if cells else ()
    elif kind == "class":
        counts = tuple(np.bincount(targets, minlength=len(splits.classes)).tolist())
    elif kind == "attributes":
        known, counts = (tuple(each.tolist()) for each in attributes.counts(targets))
    carried = None if cells is None else cells.to_dict()
    groups = tuple(splits.groups[name] for name in splits.classes) if splits.groups else ()
    return DataSpec(kind, splits.classes, channels, resolution, counts, fit, known, groups, carried, white_level)
