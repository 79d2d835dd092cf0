"""Cutting a part off a split, reproducibly and class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Records, Splits
from mobilevision.data.sampler import SPLIT, stream
from mobilevision.errors import UserError


def complete(splits: Splits, *, val_fraction: float, test_fraction: float, seed: int) -> None:
    """Cut the missing val, and where the data came without any split also test, from train; say so in the notes.

    Args:
        splits: what was read; changed in place.
        val_fraction: share of the training samples that become val; 0 cuts none.
        test_fraction: share that becomes test, only of data without any split.
        seed: of the choice.

    Raises:
        UserError: a fraction outside [0, 1).
    """
    for key, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"data.{key}={fraction}: must be at least 0 and below 1")
    if splits.train is None:
        return
    if splits.whole and splits.test is None and test_fraction:
        splits.train, splits.test = cut(splits.train, test_fraction, seed, part=1)
        splits.notes.append(_note("test", test_fraction, seed, splits.test))
    if splits.val is None and val_fraction:
        splits.train, splits.val = cut(splits.train, val_fraction, seed, part=0)
        splits.notes.append(_note("val", val_fraction, seed, splits.val))


def cut(records: Records, fraction: float, seed: int, part: int) -> tuple[Records, Records]:
    """Split in two, taking ``fraction`` of every class (to the nearest sample) where targets are classes.

    A class of one sample stays in the first part, any other gives at least one and keeps at least one.

    Args:
        records: what to split.
        fraction: share of the second part.
        seed: of the choice.
        part: another number, another choice.

    Returns:
        The rest and the part, each in the order of ``records``.
    """
    rng, targets = stream(SPLIT, seed, part), records.targets
    chosen = np.zeros(len(records), dtype=bool)
    classes = targets if targets.ndim == 1 and targets.dtype.kind == "i" else np.zeros(len(records), np.int64)
    order = rng.permutation(len(records))
    grouped = order[np.argsort(classes[order], kind="stable")]
    counts = np.unique(classes, return_counts=True)[1]
    for start, count in zip(np.cumsum(counts) - counts, counts, strict=True):
        chosen[grouped[start : start + _take(int(count), fraction)]] = True
    rows: NDArray[np.int64] = np.arange(len(records))
    return records.subset(rows[~chosen]), records.subset(rows[chosen])


def _take(count: int, fraction: float) -> int:
    return min(max(round(count * fraction), 1), count - 1)


def _note(split: str, fraction: float, seed: int, records: Records) -> str:
    return f"no {split}: {fraction * 100:g} % of train ({len(records)}), class-balanced, data.seed={seed}"
