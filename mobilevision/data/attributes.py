"""Statistics of attribute targets, float32 [n, A], 0 to 1, NaN where unknown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Splits
from mobilevision.io.printable_text import listed

Attributes = NDArray[np.float32]


class Counts(NamedTuple):
    """int64 [A]: samples of which an attribute is known, and those among them that have it (0.5 and more)."""

    known: NDArray[np.int64]
    positives: NDArray[np.int64]


def counts(targets: Attributes) -> Counts:
    """How often each attribute is known, and how often it is there."""
    return Counts((~np.isnan(targets)).sum(axis=0), (targets >= 0.5).sum(axis=0))  # NaN is no more than anything


def is_table(targets: Any) -> bool:
    """Whether targets can be a table of attributes: float rows of values from 0 to 1, or unknown."""
    rows = isinstance(targets, np.ndarray) and targets.ndim == 2 and targets.dtype.kind == "f"
    return rows and bool(((targets >= 0) & (targets <= 1) | np.isnan(targets)).all())


def rarest(targets: Attributes) -> NDArray[np.int64]:
    """For each sample the number, by rarity, of the rarest attribute it has; A where it has none."""
    positive = targets >= 0.5
    order = np.argsort(positive.sum(axis=0), kind="stable")
    ranked = positive[:, order]
    found: NDArray[np.int64] = np.where(ranked.any(axis=1), ranked.argmax(axis=1), targets.shape[1]).astype(np.int64)
    return found


def single_valued(splits: Splits) -> None:
    """Note the attributes of which a split knows one value only: they cannot be learnt, or judged, by it."""
    for split, records in splits.items():
        known, positives = counts(records.targets)
        alone = (positives == 0) | (positives == known)
        names = [name for name, single in zip(splits.classes, alone, strict=True) if single]
        if names and len(records):
            what = "nothing can be learnt of" if split == "train" else "left out of the means:"
            splits.notes.append(f"{split} has a single value of {len(names)} attributes, {what} {listed(names, 8)}")
