"""Which boxes are left of a scene that is shown in part, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.boxes import Boxes, Framed, concatenate
from mobilevision.images.framing import Affine, CropBox, Frame
from mobilevision.images.pixels import Pixels
from mobilevision.ops.boxes import area, clip

LEAST = 1 / 64  # pixels of the input: a side as float32 keeps it apart from 0, also at the far end of the input


@final
class Scene(NamedTuple):
    """A picture as it is shown.

    Attributes:
        pixels: uint8 [height, width, channels].
        boxes: its boxes, in these pixels.
    """

    pixels: Pixels
    boxes: Boxes


def seen(boxes: Boxes, part: CropBox, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The boxes that a part of a picture shows: those with their centre in it, and crowds of which it shows anything.

    Args:
        boxes: of the picture.
        part: (x, y, width, height) in its pixels.
        shape: (height, width) of the picture.

    Returns:
        int64 [k], which boxes; float64 [k, 4], what is seen of each, in pixels of the picture.
    """
    inside = clip(boxes.boxes, shape)
    low = np.array(part[:2])
    high = low + part[2:]
    centre = (inside[:, :2] + inside[:, 2:]) / 2
    centred = ((low < centre) & (centre < high)).all(1)
    left_top, right_bottom = np.maximum(inside[:, :2], low), np.minimum(inside[:, 2:], high)
    touched = (left_top < right_bottom).all(1)
    rows = np.flatnonzero(touched & (centred | boxes.crowd))
    return rows, np.concatenate([left_top, right_bottom], axis=1)[rows]


def shown(
    boxes: Boxes, where: Frame, shape: tuple[int, int], *, min_visible: float = 0.0, min_side: float = 0.0
) -> Boxes:
    """The boxes in pixels of the input, cut to what is shown of them, none without area.

    Args:
        boxes: of the picture.
        where: how the picture lies in the input.
        shape: (height, width) of the picture.
        min_visible: a box of which a smaller share is shown is to be ignored, as a crowd is.
        min_side: likewise one whose shorter side is smaller, in pixels of the input.
    """
    rows, parts = seen(boxes, where.box, shape)
    inputs = widened(where.to_input.boxes(parts), where)
    share = area(parts) / area(clip(boxes.boxes[rows], shape))
    faint = (share < min_visible) | ((inputs[:, 2:] - inputs[:, :2]).min(1, initial=np.inf) < min_side)
    kept = boxes[rows]
    return replace(kept, boxes=inputs, crowd=kept.crowd | faint, area=area(inputs))


def widened(inputs: NDArray[np.float64], where: Frame) -> NDArray[np.float64]:
    """Boxes with sides of at least 1/64 of a pixel, within the place that the picture has in the input."""
    low = np.array([where.place[1], where.place[0]], dtype=np.float64)
    high = low + where.size[::-1]
    left_top = np.clip(inputs[:, :2], low, high - LEAST)
    return np.concatenate([left_top, np.clip(inputs[:, 2:], left_top + LEAST, high)], axis=1)


def mirrored_boxes(boxes: Boxes, width: int) -> Boxes:
    """Boxes of a picture of ``width`` pixels whose left and right were swapped."""
    left, top, right, bottom = boxes.boxes.T
    return replace(boxes, boxes=np.stack([width - right, top, width - left, bottom], axis=1))


def joined(scenes: list[Scene], corners: list[tuple[int, int]], resolution: tuple[int, int]) -> Scene:
    """Scenes side by side; together they fill the input.

    Args:
        scenes: the parts.
        corners: (top, left) of each.
        resolution: (height, width) of the whole.
    """
    canvas = np.empty((*resolution, scenes[0].pixels.shape[2]), dtype=np.uint8)
    moved = []
    for (pixels, boxes), (top, left) in zip(scenes, corners, strict=True):
        canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        moved.append(replace(boxes, boxes=boxes.boxes + np.array([left, top, left, top])))
    return Scene(canvas, concatenate(moved))


def as_drawn(boxes: Boxes, resolution: tuple[int, int]) -> Framed:
    """The target of an augmented sample, which counts as a picture of its own.

    Args:
        boxes: in pixels of the input.
        resolution: (height, width) of the input.
    """
    return Framed(boxes.boxes, boxes, Affine(1.0, 1.0, 0.0, 0.0), resolution)
