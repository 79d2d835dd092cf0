"""True and detected boxes of many images as flat arrays, and which belong together, as COCO's evaluation has it.

COCO's evaluation goes through images, classes, detections and true boxes in four nested loops. Here the loop is over
ranks only: the surest detections of all images and classes choose first, then the second surest, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.ops.boxes import iou

MOST = 100  # found boxes of a class in an image that count, the surest first
TRUTH_COLUMNS = ("image", "label", "crowd", "difficult", "area", "left", "top", "right", "bottom")
FOUND_COLUMNS = ("image", "label", "score", "left", "top", "right", "bottom")


class Truth(NamedTuple):
    """True boxes, sorted by class, then image; as annotated within one.

    Attributes:
        group: int64 [m], class times the number of images, plus the image's place.
        boxes: float64 [m, 4], (left, top, right, bottom) in pixels of the image.
        area: float64 [m], of the object's outline where that is known.
        crowd: bool [m], a region of many: how much of a found box it covers counts as the overlap.
        ignored: bool [m], crowd and difficult ones: as good as absent, but no mistake to find, however often.
    """

    group: NDArray[np.int64]
    boxes: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


class Detected(NamedTuple):
    """Detections, sorted by class, then image, then score from the highest.

    Attributes:
        group: int64 [n], as in :class:`Truth`.
        boxes: float64 [n, 4], (left, top, right, bottom) in pixels of the image.
        scores: float64 [n].
    """

    group: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


class Scenes(NamedTuple):
    """All that is evaluated together.

    Attributes:
        images: how many, those without any box included.
        classes: how many.
        truth: the true boxes.
        detected: its detections.
    """

    images: int
    classes: int
    truth: Truth
    detected: Detected

    def label(self, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of a group, int64."""
        return group // max(self.images, 1)

    def image(self, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of a group's image, int64."""
        return group % max(self.images, 1)

    @property
    def boxes_of_class(self) -> NDArray[np.int64]:
        """True boxes of each class that count, int64 [K]."""
        return np.bincount(self.label(self.truth.group[~self.truth.ignored]), minlength=self.classes)


def scenes(
    images: NDArray[np.int64], truth: NDArray[np.float64], found: NDArray[np.float64], *, classes: int
) -> Scenes:
    """Sort and group boxes that came in any order.

    Args:
        images: int64 [N], the numbers of all images, those without any box included.
        truth: float64 [m, 9], columns as ``TRUTH_COLUMNS``.
        found: float64 [n, 7], columns as ``FOUND_COLUMNS``; equal scores keep their order.
        classes: how many there are.
    """
    numbers = np.unique(images)
    count = len(numbers)

    def group(rows: NDArray[np.float64]) -> NDArray[np.int64]:
        return rows[:, 1].astype(np.int64) * count + np.searchsorted(numbers, rows[:, 0].astype(np.int64))

    true_group, found_group = group(truth), group(found)
    order = np.argsort(true_group, kind="stable")
    truth, true_group = truth[order], true_group[order]
    order = np.lexsort((-found[:, 2], found_group))
    order = order[_rank(found_group[order]) < MOST]
    found, found_group = found[order], found_group[order]
    crowd, difficult = truth[:, 2] > 0, truth[:, 3] > 0
    return Scenes(
        count,
        classes,
        Truth(true_group, truth[:, 5:9], truth[:, 4], crowd, crowd | difficult),
        Detected(found_group, found[:, 3:7], found[:, 2]),
    )


def _rank(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each element within its run of equal values, int64; the values are sorted."""
    return np.arange(len(group)) - np.searchsorted(group, group)


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


def pairs(found: Detected, truth: Truth) -> Pairs:
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


def match(found: Detected, truth: Truth, candidates: Pairs, *, overlap: float = 0.5) -> NDArray[np.int64]:
    """The true box that each detection is taken for, as COCO does it.

    From the highest score on, a detection takes the free true box of its class that it overlaps most, of equal ones
    the later; an ignored one only if no other is left. Ignored boxes are never used up.

    Args:
        found: detections in the order of :class:`Detected`.
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
