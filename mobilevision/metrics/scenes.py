"""True and found boxes of many images as flat arrays, in the order in which COCO's evaluation takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

MOST = 100  # found boxes of a class in an image that count, the surest first
TRUTH_COLUMNS = ("image", "label", "crowd", "difficult", "area", "left", "top", "right", "bottom")
FOUND_COLUMNS = ("image", "label", "score", "left", "top", "right", "bottom")


@final
@dataclass(frozen=True)
class Truth:
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


@final
@dataclass(frozen=True)
class Found:
    """Detections, sorted by class, then image, then score from the highest.

    Attributes:
        group: int64 [n], as in :class:`Truth`.
        boxes: float64 [n, 4], (left, top, right, bottom) in pixels of the image.
        scores: float64 [n].
    """

    group: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@final
@dataclass(frozen=True)
class Scenes:
    """All that is evaluated together.

    Attributes:
        images: how many, those without any box included.
        classes: how many.
        truth: what is there.
        found: what the detector says.
    """

    images: int
    classes: int
    truth: Truth
    found: Found

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
        Found(found_group, found[:, 3:7], found[:, 2]),
    )


def _rank(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each element within its run of equal values, int64; the values are sorted."""
    return np.arange(len(group)) - np.searchsorted(group, group)
