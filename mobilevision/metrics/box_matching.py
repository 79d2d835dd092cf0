"""Which found box is which true box, for all images and classes at once.

COCO's evaluation goes through images, classes, detections and true boxes in four nested loops. Here the loop is over
ranks only: the surest detections of all images and classes choose first, then the second surest, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.metrics.scenes import Found, Truth
from mobilevision.ops.boxes import iou


class Pairs(NamedTuple):
    """Every detection with every true box that it could be, sorted by detection, then by true box.

    Attributes:
        found: int64 [p], places of the detections.
        truth: int64 [p], places of the true boxes.
        overlap: float64 [p], intersection over union; for a crowd region over the detection's own area.
    """

    found: NDArray[np.int64]
    truth: NDArray[np.int64]
    overlap: NDArray[np.float64]


def pairs(found: Found, truth: Truth) -> Pairs:
    """Pairs of the same image and class."""
    detection, box = pairs_of(found.group, truth.group)
    crowd = truth.crowd[box]
    return Pairs(detection, box, iou(found.boxes[detection], truth.boxes[box], crowd=crowd))


def pairs_of(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in ``first`` and in ``second`` of all pairs of equal values; ``second`` is sorted. Both int64 [p]."""
    start = np.searchsorted(second, first, side="left")
    count = np.searchsorted(second, first, side="right") - start
    left = np.repeat(np.arange(len(first)), count)
    return left, np.arange(len(left)) + np.repeat(start - np.cumsum(count) + count, count)


def match(found: Found, truth: Truth, candidates: Pairs, *, overlap: float = 0.5) -> NDArray[np.int64]:
    """The true box that each detection is taken for, as COCO does it.

    From the highest score on, a detection takes the free true box of its class that it overlaps most, of equal ones
    the later; an ignored one only if no other is left. Ignored boxes are never used up.

    Args:
        found: detections in the order of :class:`Found`.
        truth: true boxes.
        candidates: :func:`pairs` of the two.
        overlap: the least that a match needs.

    Returns:
        int64 [n], places of true boxes; -1 for detections that match none.
    """
    near = candidates.overlap >= min(overlap, 1 - 1e-10)
    detection, box, amount = candidates.found[near], candidates.truth[near], candidates.overlap[near]
    rank = _rounds(detection, found.group)
    # The last free one of a detection's boxes in this order is the one it takes.
    order = np.lexsort((box, amount, ~truth.ignored[box], detection, rank))
    detection, box, rank = detection[order], box[order], rank[order]
    matched = np.full(len(found.scores), -1, dtype=np.int64)
    taken = np.zeros(len(truth.ignored), dtype=bool)
    ends = np.flatnonzero(np.diff(rank)) + 1
    for ours, boxes in zip(np.split(detection, ends), np.split(box, ends), strict=True):
        free = ~taken[boxes]
        ours, boxes = ours[free], boxes[free]
        last = np.append(ours[1:] != ours[:-1], True)[: len(ours)]
        matched[ours[last]] = boxes[last]
        taken[boxes[last]] = ~truth.ignored[boxes[last]]
    return matched


def _rounds(detection: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The round in which each pair's detection chooses: its place among those of its group that have any pair."""
    choosing, place = np.unique(detection, return_inverse=True)
    groups = group[choosing]
    rank: NDArray[np.int64] = (np.arange(len(choosing)) - np.searchsorted(groups, groups))[place]
    return rank
