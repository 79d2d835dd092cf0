"""What a look through data with boxes counts: boxes a class, their sizes, crowds, images without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.boxes import Boxes, BoxTargets, boxes_a_class, concatenate
from mobilevision.data.records import Splits
from mobilevision.ops.boxes import area, iou

SMALL = 1 / 100  # of the image's area
TINY = 8  # pixels of the model's input, the shorter side
ALIKE = 0.5  # overlap from which two boxes are taken for the same


@dataclass
class BoxFindings:
    """What was counted, over the readable images.

    Attributes:
        counts: split -> boxes a class without crowds, of all images.
        empty: split -> images without any box.
        boxes: boxes in all.
        crowd: those that are regions with many objects.
        difficult: those that an evaluation leaves out.
        shares: tenth, median and nine tenth of a box's area over its image's; None without boxes.
        small: boxes below a hundredth of their image's area.
        tiny: boxes whose shorter side has less than 8 pixels in the stretched input; None where that is not known.
        most: the largest number of boxes in one image, and the image's name.
    """

    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    boxes: int = 0
    crowd: int = 0
    difficult: int = 0
    shares: tuple[float, float, float] | None = None
    small: int = 0
    tiny: int | None = None
    most: tuple[int, str] = (0, "")


def count_boxes(
    splits: Splits, places: Sequence[tuple[str, int]], shapes: NDArray[np.int64], resolution: tuple[int, int]
) -> BoxFindings | None:
    """Count the boxes of a data set; None where it has no boxes to learn from.

    Args:
        splits: the samples.
        places: split and number of each readable image.
        shapes: int64 [n, 2], (height, width) of each.
        resolution: (height, width) of the model's input; (0, 0) where it is not known.
    """
    boxed = {name: records for name, records in splits.items() if isinstance(records.targets, BoxTargets)}
    if not boxed:
        return None
    found = BoxFindings({name: boxes_a_class(each.targets, len(splits.classes)) for name, each in boxed.items()})
    found.empty = {name: int((np.diff(each.targets.offsets) == 0).sum()) for name, each in boxed.items()}
    images: list[Boxes] = [boxed[split].targets[index] for split, index in places]
    numbers = [len(each) for each in images]
    together = concatenate(images)
    found.boxes, found.crowd, found.difficult = len(together), int(together.crowd.sum()), int(together.difficult.sum())
    if len(together):
        split, index = places[int(np.argmax(numbers))]
        found.most = max(numbers), boxed[split].name(index)
        _measure(found, together, np.repeat(shapes, numbers, axis=0), resolution)
    return found


def _measure(found: BoxFindings, boxes: Boxes, shapes: NDArray[np.int64], resolution: tuple[int, int]) -> None:
    share = area(boxes.boxes) / shapes.prod(axis=1)
    low, middle, high = np.quantile(share, (0.1, 0.5, 0.9)).tolist()
    found.shares, found.small = (low, middle, high), int((share < SMALL).sum())
    if min(resolution) > 0:
        sides = (boxes.boxes[:, 2:] - boxes.boxes[:, :2]) / shapes[:, ::-1] * resolution[::-1]
        found.tiny = int((sides.min(axis=1) < TINY).sum())


def differ(first: Boxes, second: Boxes, shapes: NDArray[np.int64]) -> bool:
    """Whether two images of the same have different boxes.

    Every box must have one of its class in the other image that overlaps it by half, sizes of images apart.

    Args:
        first: boxes of one image.
        second: boxes of the other.
        shapes: int64 [2, 2], (height, width) of both.
    """
    if len(first) != len(second):
        return True
    if not len(first):
        return False
    a, b = (each.boxes / np.tile(shape[::-1], 2) for each, shape in zip((first, second), shapes, strict=True))
    overlap = iou(a[:, None], b)
    same = (overlap >= ALIKE) & (first.labels[:, None] == second.labels)
    return not (same.any(axis=1).all() and same.any(axis=0).all())
