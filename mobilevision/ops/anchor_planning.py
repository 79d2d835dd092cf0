"""Which default boxes fit a data set: how well given ones cover its boxes, and better ones by clustering.

Clusters of shapes under the distance 1 - IoU are from YOLOv2 (arXiv 1612.08242, section 2). Here they are only
candidates: what counts is the overlap with the boxes that really stand on a map, at its places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.ops.boxes import Floats, area, ratio

Integers = NDArray[np.int64]

Sizes = list[list[tuple[float, float]]]
"""For each map, (width, height) of the boxes at each of its places, as fractions of the input's sides."""

ENOUGH = 0.5  # IoU from which a box counts as found by matching
# Sides that suit a map, over the distance of its places: each place sees only so far.
_SMALLEST, _LARGEST = 0.75, 8.0
_MEMBERS = 8  # boxes that a cluster should have at least: fewer are chance
_ROUNDS = 100
_TRIES = 12  # each with twice the weight of the classes that lost


class Places(NamedTuple):
    """Where the boxes of a map are centred, as fractions of the input's sides.

    Attributes:
        x: float64 [columns], ascending.
        y: float64 [rows], ascending.
    """

    x: Floats
    y: Floats

    @property
    def spacing(self) -> float:
        """From one place to the next, the larger of both directions; 1 where there is only one."""
        return float(max(1 / len(self.x), 1 / len(self.y)))


class Reach(NamedTuple):
    """Which boxes can be read off a map without default boxes.

    Attributes:
        stride: of the map.
        shortest: side in pixels of the input from which on a place surely lies in a box.
        longest: side in pixels that can still be told.
    """

    stride: int
    shortest: float
    longest: float


class Coverage(NamedTuple):
    """How well default boxes cover a data set.

    Attributes:
        recall: share of the boxes that some default box overlaps with an IoU of at least 0.5.
        mean: mean over the boxes of the best IoU.
        by_class: float64 [classes], the recall of each; NaN of a class without boxes.
    """

    recall: float
    mean: float
    by_class: Floats


def coverage(
    boxes: Floats, labels: Integers, places: Sequence[Places], sizes: Sequence[Sequence[tuple[float, float]]]
) -> Coverage:
    """How well default boxes of ``sizes`` at ``places`` cover ``boxes``.

    Args:
        boxes: float64 [n, 4], (left, top, right, bottom) as fractions of the input's sides.
        labels: int64 [n], class indices.
        places: of each map.
        sizes: of each map.
    """
    best = np.zeros(len(boxes))
    for where, shapes in zip(places, sizes, strict=True):
        if len(shapes):
            best = np.maximum(best, overlaps(boxes, where, np.asarray(shapes, dtype=np.float64)).max(axis=1))
    found, count = best >= ENOUGH, np.bincount(labels)
    with np.errstate(invalid="ignore"):
        by_class = np.bincount(labels, found) / count
    return Coverage(float(np.mean(found)), float(np.mean(best)), by_class)


def overlaps(boxes: Floats, places: Places, shapes: Floats) -> Floats:
    """The best IoU of each box with each shape, over all places of a map: that of the nearest one.

    Args:
        boxes: float64 [n, 4], (left, top, right, bottom) as fractions of the input's sides.
        places: of the map.
        shapes: float64 [s, 2], (width, height) as fractions of the input's sides.

    Returns:
        float64 [n, s].
    """
    shared = np.ones((len(boxes), len(shapes)))
    for axis, centres in enumerate(places):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        centre = _nearest(centres, (low + high) / 2)[:, None]
        half = shapes[None, :, axis] / 2
        shared *= np.clip(np.minimum(centre + half, high[:, None]) - np.maximum(centre - half, low[:, None]), 0, None)
    return ratio(shared, area(boxes)[:, None] + shapes.prod(axis=1) - shared)


def cluster(shapes: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Cluster shapes by k-means under the distance 1 - IoU of boxes with one centre.

    Args:
        shapes: float64 [n, 2], (width, height).
        count: clusters; fewer come back where there are not as many different shapes.
        rng: chooses where to begin (k-means++).

    Returns:
        float64 [k, 2], the middle (median) of each cluster, ascending by area.
    """
    centres = _begin(shapes, min(count, len(np.unique(shapes, axis=0))), rng)
    chosen = np.full(len(shapes), -1)
    for _ in range(_ROUNDS):
        nearest = _alike(shapes, centres).argmax(axis=1)
        if np.array_equal(nearest, chosen):
            break
        chosen = nearest
        for index in np.unique(chosen):
            centres[index] = np.median(shapes[chosen == index], axis=0)
    ordered: Floats = centres[np.argsort(centres.prod(axis=1))]
    return ordered


def plan(
    boxes: Floats,
    labels: Integers,
    places: Sequence[Places],
    sizes: Sequence[Sequence[tuple[float, float]]],
    rng: np.random.Generator,
    *,
    count: int | None = None,
) -> Sizes:
    """Propose default boxes that cover ``boxes`` better.

    The map with the fewest places chooses first, so that each map serves boxes as large as its places are far apart.
    Of the clusters that are neither too small nor too large for it, and of its own boxes, it takes, one by one, what
    covers most of what is not covered so far. Where a class is covered less than before, its boxes count more, and all
    is done again; where that does not help, the boxes stay what they are.

    Args:
        boxes: float64 [n, 4], n > 0, (left, top, right, bottom) as fractions of the input's sides.
        labels: int64 [n], class indices.
        places: of each map.
        sizes: of each map, as they are now.
        rng: for the clustering.
        count: boxes at each place; None keeps as many as each map has.

    Returns:
        Sizes for each map, ascending by area.
    """
    slots = [count or len(shapes) for shapes in sizes]
    before, weights = coverage(boxes, labels, places, sizes).by_class, np.ones(len(boxes))
    clusters = cluster(boxes[:, 2:] - boxes[:, :2], min(sum(slots), -(-len(boxes) // _MEMBERS)), rng)
    for _ in range(_TRIES):
        proposed = _proposed(boxes, weights, places, sizes, clusters, slots)
        lost = coverage(boxes, labels, places, proposed).by_class < before
        if count is not None or not lost.any():  # fewer boxes than there were may well cover less
            return proposed
        weights = np.where(lost[labels], 2 * weights, weights)
    return [[(float(w), float(h)) for w, h in each] for each in sizes]


def _proposed(
    boxes: Floats,
    weights: Floats,
    places: Sequence[Places],
    sizes: Sequence[Sequence[tuple[float, float]]],
    clusters: Floats,
    slots: Sequence[int],
) -> Sizes:
    """The proposal in which boxes count by their weights [n]."""
    best = np.zeros(len(boxes))
    chosen: list[Floats] = [np.zeros((0, 2)) for _ in slots]
    order = np.argsort([len(where.x) * len(where.y) for where in places], kind="stable")
    for index in order:
        spaced = clusters / places[index].spacing
        longer, side = spaced.max(axis=1), np.sqrt(spaced.prod(axis=1))
        small, large = longer < _SMALLEST, side > _LARGEST
        fitting = clusters[(~small | (index == order[-1])) & (~large | (index == order[0]))]
        candidates = np.concatenate([np.asarray(sizes[index], dtype=np.float64).reshape(-1, 2), fitting])
        while len(candidates) < slots[index]:
            candidates = np.concatenate([candidates, candidates * np.sqrt(0.5)])
        rows, best = _greedy(overlaps(boxes, places[index], candidates), weights, best, slots[index])
        chosen[index] = candidates[rows]
    return [[rounded(shape) for shape in each[np.argsort(each.prod(axis=1))]] for each in chosen]


def rounded(shape: Floats) -> tuple[float, float]:
    """Three digits: nobody needs more, and the override stays short."""
    width, height = (max(round(float(side), 3), 0.001) for side in shape)
    return width, height


def _greedy(table: Floats, weights: Floats, best: Floats, count: int) -> tuple[list[int], Floats]:
    """Columns of ``table`` [n, s] that together raise ``best`` [n] most by ``weights`` [n], and ``best`` with them."""
    picked: list[int] = []
    for _ in range(min(count, table.shape[1])):
        reached = np.maximum(best[:, None], table)
        worth = weights @ reached + weights @ (reached >= ENOUGH)
        worth[picked] = -1
        picked.append(int(worth.argmax()))
        best = np.maximum(best, table[:, picked[-1]])
    return picked, best


def _nearest(centres: Floats, values: Floats) -> Floats:
    right = np.clip(np.searchsorted(centres, values), 1, max(1, len(centres) - 1))
    left = right - 1
    right = np.minimum(right, len(centres) - 1)
    nearer: Floats = np.where(values - centres[left] <= centres[right] - values, centres[left], centres[right])
    return nearer


def _alike(shapes: Floats, centres: Floats) -> Floats:
    """IoU [n, k] of boxes with one centre."""
    shared: Floats = np.minimum(shapes[:, None], centres).prod(axis=2)
    return ratio(shared, shapes.prod(axis=1)[:, None] + centres.prod(axis=1) - shared)


def _begin(shapes: Floats, count: int, rng: np.random.Generator) -> Floats:
    """k-means++: far from those before, at random."""
    centres: Floats = shapes[rng.integers(len(shapes))][None]
    while len(centres) < count:
        far = (1 - _alike(shapes, centres).max(axis=1)) ** 2
        centres = np.concatenate([centres, shapes[rng.choice(len(shapes), p=far / far.sum())][None]])
    return centres
