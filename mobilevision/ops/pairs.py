"""Pairs of images that are compared: listed ones, all there are, or some of them drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

FOLDS = 10

Numbers = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Pairs:
    """Pairs of images and whether both show the same.

    Attributes:
        first: int64 [n], images by number.
        second: int64 [n].
        same: bool [n].
        fold: int64 [n], 0 to 9: the part of the ten that a pair belongs to.
    """

    first: Numbers
    second: Numbers
    same: NDArray[np.bool_]
    fold: Numbers

    def __len__(self) -> int:
        return len(self.same)

    def among(self, images: Numbers) -> Pairs:
        """The pairs of which both images are there, as places in ``images`` (int64 [m], each number once)."""
        order = np.argsort(images, kind="stable")
        places = [np.searchsorted(images, side, sorter=order) for side in (self.first, self.second)]
        first, second = (order[np.minimum(place, len(order) - 1)] if len(order) else place * 0 for place in places)
        there = np.zeros(len(self), dtype=bool)
        if len(order):
            there = (images[first] == self.first) & (images[second] == self.second)
        return Pairs(first[there], second[there], self.same[there], self.fold[there])


def folds(same: NDArray[np.bool_]) -> Numbers:
    """A fold for each pair, int64 [n]: ten of one size, each with its share of the pairs that show the same."""
    rng = np.random.default_rng((0, len(same)))
    found = np.zeros(len(same), dtype=np.int64)
    for rows in (np.flatnonzero(same), np.flatnonzero(~same)):
        found[rows] = rng.permutation(np.arange(len(rows)) % FOLDS)
    return found


def pairs_of(identities: Numbers, *, most: int) -> Pairs:
    """Pairs of images whose identities are known.

    All of them where they are no more than ``most``; else half as many pairs at most that show the same, and half as
    many that do not, drawn at random. The rates that are measured do not depend on the ratio of the two.

    Args:
        identities: int64 [n].
        most: pairs, at least 2.
    """
    count = len(identities)
    if count * (count - 1) // 2 <= most:
        first, second = (side.astype(np.int64) for side in np.triu_indices(count, k=1))
        same = identities[first] == identities[second]
    else:
        rng = np.random.default_rng((0, count))
        alike, others = _alike(identities, most // 2, rng), _others(identities, most // 2, rng)
        first, second = np.concatenate([alike, others]).T
        same = np.arange(len(first)) < len(alike)
    return Pairs(first, second, same, folds(same))


def _alike(identities: Numbers, most: int, rng: np.random.Generator) -> Numbers:
    """Pairs [m, 2] of one identity each: all, or ``most`` of them, each equally probable and none twice."""
    order = np.argsort(identities, kind="stable")
    sizes = np.unique(identities, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    ends = np.cumsum(sizes * (sizes - 1) // 2)
    total = int(ends[-1])
    drawn = np.arange(total) if total <= most else np.unique(rng.integers(total, size=most))
    group = np.searchsorted(ends, drawn, side="right")
    rank = drawn - np.concatenate([[0], ends[:-1]])[group]
    # The rank-th pair (a, b), a < b, of a group: those with the larger member b begin at b (b - 1) / 2.
    larger = ((1 + np.sqrt(1 + 8 * rank.astype(np.float64))) / 2).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > rank
    smaller = rank - larger * (larger - 1) // 2
    return np.stack([order[starts[group] + smaller], order[starts[group] + larger]], axis=1)


def _others(identities: Numbers, most: int, rng: np.random.Generator) -> Numbers:
    """Pairs [m, 2] of two identities each, about ``most`` of them, none twice."""
    count = len(identities)
    drawn = np.sort(rng.integers(count, size=(most, 2)), axis=1)
    drawn = drawn[identities[drawn[:, 0]] != identities[drawn[:, 1]]]
    unique = np.unique(drawn[:, 0] * count + drawn[:, 1])
    return np.stack(np.divmod(unique, count), axis=1)
