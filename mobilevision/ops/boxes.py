"""Boxes: the formats that the program writes them in, from one to another, and how far two of them overlap.

``xyxy``
    (left, top, right, bottom), as arrays and tensors [..., 4]. All boxes inside the program: annotations
    (:class:`mobilevision.data.boxes.Boxes`) and predictions in pixels of the upright image; a batch's targets, anchors,
    proposals and a detector's outputs in pixels of the model's input.
``xywh``
    (left, top, width, height). Parts of an image that are cut out (:data:`mobilevision.images.framing.CropBox`), and
    COCO's files.
``cxcywh``
    (centre x, centre y, width, height). YOLO's files; box regression works on it (:mod:`mobilevision.ops.box_coding`).

Coordinates are floats on a grid whose lines lie between pixels: pixel (row, column) covers ``column ... column + 1`` by
``row ... row + 1``, the image begins at (0, 0) and ends at (width, height), and a box is ``right - left`` wide, without
a further pixel. Readers of files that count pixels from 1 or name the last pixel inside convert to this: Pascal VOC's
own (``data=voc``, or ``one_based=true`` of ``voc_xml``, whose numbers else stand as annotation tools write them).
Normalised boxes are the same over the sides of the image (YOLO's files) or of the model's input (anchor sizes in a
config, :mod:`mobilevision.ops.anchor_planning`); wherever boxes are normalised, the docstring says so.

NumPy serves metrics, drawing and exported models, which run without torch: nothing here imports it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Values = TypeVar("Values", float, Floats)
ArrayOrTensor = TypeVar("ArrayOrTensor", Floats, "Tensor")

_TINY = float(np.finfo(np.float32).tiny)


def xywh_to_xyxy(x: Values, y: Values, width: Values, height: Values) -> tuple[Values, Values, Values, Values]:
    """(left, top, width, height) as (left, top, right, bottom); numbers, or arrays of the same shape."""
    return x, y, x + width, y + height


def xyxy_to_xywh(left: Values, top: Values, right: Values, bottom: Values) -> tuple[Values, Values, Values, Values]:
    """(left, top, right, bottom) as (left, top, width, height); numbers, or arrays of the same shape."""
    return left, top, right - left, bottom - top


def cxcywh_to_xyxy(x: Values, y: Values, width: Values, height: Values) -> tuple[Values, Values, Values, Values]:
    """(centre x, centre y, width, height) as (left, top, right, bottom); numbers, or arrays of the same shape."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def around_turned(
    box: tuple[float, float, float, float], degrees: float, pivot: tuple[float, float]
) -> tuple[float, float, float, float]:
    """The box around a rectangle that is turned about a point.

    Args:
        box: the rectangle before it is turned, xyxy in pixels (in fractions only of a square image).
        degrees: clockwise as one sees the image, whose y points down.
        pivot: (x, y) of the point that stays in its place.
    """
    cos, sin, (x, y) = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), pivot
    points = [(side - x, level - y) for side in (box[0], box[2]) for level in (box[1], box[3])]
    xs, ys = [x + a * cos - b * sin for a, b in points], [y + a * sin + b * cos for a, b in points]
    return min(xs), min(ys), max(xs), max(ys)


def around_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float
) -> tuple[float, float, float, float]:
    """The box, xyxy, around an ellipse turned about its centre; centre and radii are (x, y) in pixels."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = math.hypot(radii[0] * cos, radii[1] * sin), math.hypot(radii[0] * sin, radii[1] * cos)
    return centre[0] - x, centre[1] - y, centre[0] + x, centre[1] + y


def clip(boxes: Floats, shape: tuple[int, int]) -> Floats:
    """Boxes cut to an image.

    Args:
        boxes: float64 [n, 4], xyxy in pixels.
        shape: (height, width) of the image in pixels.
    """
    return np.clip(boxes, 0, np.array([shape[1], shape[0], shape[1], shape[0]], dtype=np.float64))


def clip_tensor(boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """:func:`clip` for a tensor [..., 4] of any floating dtype."""
    height, width = shape
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))


def area(boxes: ArrayOrTensor) -> ArrayOrTensor:
    """Areas [...] of boxes [..., 4], xyxy, in squares of their unit; an array or a tensor, as given."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(one: Floats, other: Floats) -> Floats:
    """Areas that boxes share; both float64 [..., 4], xyxy, and broadcast."""
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    sides = np.clip(sides, 0, None)
    shared: Floats = sides[..., 0] * sides[..., 1]
    return shared


def iou(one: Floats, other: Floats, *, crowd: NDArray[np.bool_] | None = None) -> Floats:
    """Intersection over union, as pycocotools' ``bbIou``; 0 where neither box has an area.

    Args:
        one: float64 [..., 4], xyxy. ``iou(a[:, None], b)`` compares each with each, ``iou(a, b)`` pair by pair.
        other: float64 [..., 4], likewise; shapes broadcast.
        crowd: bool, true where ``other`` is a region of many objects. COCO divides by the area of ``one`` there: a
            detection inside the region is a hit, however small it is beside the region.

    Returns:
        float64 [...] in [0, 1].
    """
    shared, own = intersection(one, other), area(one)
    union = own + area(other) - shared
    return ratio(shared, union if crowd is None else np.where(crowd, own, union))


def ratio(shared: Floats, union: Floats) -> Floats:
    """``shared / union``, 0 where the union is empty; for overlaps whose areas are known already."""
    share: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def tensor_intersection(one: Tensor, other: Tensor) -> Tensor:
    """Areas that boxes share, float32 [...]; both [..., 4], xyxy, and broadcast."""
    left, top, right, bottom = one.float().unbind(-1)
    other_left, other_top, other_right, other_bottom = other.float().unbind(-1)
    width = (right.minimum(other_right) - left.maximum(other_left)).clamp_(min=0)
    height = (bottom.minimum(other_bottom) - top.maximum(other_top)).clamp_(min=0)
    return width * height


def tensor_iou(one: Tensor, other: Tensor) -> Tensor:
    """:func:`iou` of tensors [..., 4] that broadcast, in float32 whatever comes in; 0 where neither has an area."""
    shared = tensor_intersection(one, other)
    union = area(one.float()) + area(other.float()) - shared
    return shared / union.clamp(min=_TINY)


def exported_iou(boxes: Tensor) -> Tensor:
    """IoU of each box with each of its image, [n, k, k] of [n, k, 4], in the dtype that comes in.

    It differs from :func:`tensor_iou` on purpose. It is part of exported graphs, so it takes slices, which the
    exporters of all formats translate, and computes what ``torchvision.ops.nms`` does: not a number where neither box
    has an area.
    """
    one, other = boxes[:, :, None], boxes[:, None]
    sides = (one[..., 2:].minimum(other[..., 2:]) - one[..., :2].maximum(other[..., :2])).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    areas = area(boxes)
    return shared / (areas[:, :, None] + areas[:, None] - shared)
