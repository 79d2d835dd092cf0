"""Which part of a picture is looked at, and where in the model's input it comes to lie."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Box
from mobilevision.errors import UserError

FITS = ("crop", "stretch", "letterbox")


class Affine(NamedTuple):
    """From one pixel grid to another along both axes: x -> x * scale_x + shift_x, and y likewise."""

    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float

    def boxes(self, boxes: Any) -> Any:
        """Map boxes (left, top, right, bottom), [..., 4], a NumPy array or a tensor; the type stays."""
        mapped = boxes + 0
        mapped[..., 0::2] = boxes[..., 0::2] * self.scale_x + self.shift_x
        mapped[..., 1::2] = boxes[..., 1::2] * self.scale_y + self.shift_y
        return mapped

    def then(self, other: Affine) -> Affine:
        """This mapping, and ``other`` after it."""
        return Affine(
            self.scale_x * other.scale_x,
            self.scale_y * other.scale_y,
            self.shift_x * other.scale_x + other.shift_x,
            self.shift_y * other.scale_y + other.shift_y,
        )

    @property
    def inverse(self) -> Affine:
        """The mapping back."""
        x, y, dx, dy = self
        return Affine(1 / x, 1 / y, -dx / x, -dy / y)


class Frame(NamedTuple):
    """How a picture lies in the model's input: a part of it, resized, at a place; what stays free is grey.

    Attributes:
        box: the part, (x, y, width, height) in upright pixels of the picture.
        size: (height, width) to which the part is resized.
        place: (top, left) of it in the input.
    """

    box: Box
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)

    @property
    def to_input(self) -> Affine:
        """From pixels of the picture to pixels of the input."""
        x, y, width, height = self.box
        scale_x, scale_y = self.size[1] / width, self.size[0] / height
        return Affine(scale_x, scale_y, self.place[1] - x * scale_x, self.place[0] - y * scale_y)


def frame(shape: tuple[int, int], resolution: tuple[int, int], *, fit: str, crop: float = 1.0) -> Frame:
    """Where evaluation puts a picture.

    Args:
        shape: (height, width) of the picture in pixels.
        resolution: (height, width) of the model's input in pixels.
        fit: ``crop`` the centre, ``stretch`` all of it, or ``letterbox`` all of it with its aspect kept.
        crop: for ``crop``, side of the box over the largest that fits, in (0, 1].

    Raises:
        UserError: another fit.
    """
    if fit == "crop":
        return Frame(centre_box(shape, resolution, crop), resolution)
    whole = (0.0, 0.0, float(shape[1]), float(shape[0]))
    if fit == "stretch":
        return Frame(whole, resolution)
    if fit != "letterbox":
        raise UserError(f"data.fit={fit}: there are {', '.join(FITS)}")
    return Frame(whole, *_fitted(shape, resolution))


def _fitted(shape: tuple[float, float], resolution: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size and place of something of ``shape`` in the middle of the input, as large as it fits, its aspect kept."""
    scale = min(resolution[0] / shape[0], resolution[1] / shape[1])
    size = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
    return size, ((resolution[0] - size[0]) // 2, (resolution[1] - size[1]) // 2)


def window_frame(window: Box, shape: tuple[int, int], resolution: tuple[int, int], *, keep_aspect: bool) -> Frame:
    """Where a window that may reach beyond the picture puts what it shows of it.

    The window is widened to whole pixels, and to a grid of 2, 4 or 8 where it is that many times larger than the
    input, so that a decoder can shrink by this exactly.

    Args:
        window: (x, y, width, height) in pixels of the picture, with some of the picture in it.
        shape: (height, width) of the picture.
        resolution: (height, width) of the input that the window fills.
        keep_aspect: leave two sides of the input grey instead of stretching the window.
    """
    left, top, right, bottom = _on_grid(window, resolution)
    size, place = resolution, (0, 0)
    if keep_aspect:
        size, place = _fitted((bottom - top, right - left), resolution)
    seen = max(left, 0), max(top, 0), min(right, shape[1]), min(bottom, shape[0])
    y, high = _pixels(top, bottom - top, seen[1], seen[3], size[0])
    x, wide = _pixels(left, right - left, seen[0], seen[2], size[1])
    box = float(seen[0]), float(seen[1]), float(seen[2] - seen[0]), float(seen[3] - seen[1])
    return Frame(box, (high, wide), (place[0] + y, place[1] + x))


def _pixels(start: int, length: int, first: int, last: int, size: int) -> tuple[int, int]:
    """Place and length, in whole pixels of ``size``, of first ... last within a window from ``start`` on."""
    at = min(round((first - start) / length * size), size - 1)
    return at, max(1, round((last - start) / length * size) - at)


def _on_grid(window: Box, resolution: tuple[int, int]) -> tuple[int, int, int, int]:
    x, y, width, height = window
    step = next((s for s in (8, 4, 2) if width >= s * resolution[1] and height >= s * resolution[0]), 1)
    edges = math.floor(x / step), math.floor(y / step), math.ceil((x + width) / step), math.ceil((y + height) / step)
    return edges[0] * step, edges[1] * step, edges[2] * step, edges[3] * step


def centre_box(shape: tuple[int, int], resolution: tuple[int, int], crop: float) -> Box:
    """The centred box that has the model's aspect and ``crop`` times the largest size that fits.

    Resizing it to ``resolution`` is the usual "resize the shorter side to S / crop, take the centre S x S" in one step
    and without rounding.

    Args:
        shape: (height, width) of the picture in pixels.
        resolution: (height, width) of the model's input in pixels.
        crop: side of the box over the largest that fits, in (0, 1].

    Returns:
        (x, y, width, height) in pixels.
    """
    scale = crop * min(shape[0] / resolution[0], shape[1] / resolution[1])
    height, width = resolution[0] * scale, resolution[1] * scale
    return (shape[1] - width) / 2, (shape[0] - height) / 2, width, height


def clipped(boxes: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes (left, top, right, bottom), [n, 4], cut to a picture of ``shape`` (height, width)."""
    return np.clip(boxes, 0, np.array([shape[1], shape[0], shape[1], shape[0]], dtype=np.float64))
