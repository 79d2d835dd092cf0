"""Which part of a picture is looked at, and where in the model's input it comes to lie.

What evaluation does is in :mod:`mobilevision.images.framing`, which exported models use too; windows are training's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mobilevision.images.framing import FITS, Affine, CropBox, Frame, centre_box, fitted, frame

__all__ = ["FITS", "Affine", "Frame", "centre_box", "clipped", "frame", "window_frame"]


def window_frame(window: CropBox, shape: tuple[int, int], resolution: tuple[int, int], *, keep_aspect: bool) -> Frame:
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
        size, place = fitted((bottom - top, right - left), resolution)
    seen = max(left, 0), max(top, 0), min(right, shape[1]), min(bottom, shape[0])
    y, high = _pixels(top, bottom - top, seen[1], seen[3], size[0])
    x, wide = _pixels(left, right - left, seen[0], seen[2], size[1])
    box = float(seen[0]), float(seen[1]), float(seen[2] - seen[0]), float(seen[3] - seen[1])
    return Frame(box, (high, wide), (place[0] + y, place[1] + x))


def _pixels(start: int, length: int, first: int, last: int, size: int) -> tuple[int, int]:
    """Place and length, in whole pixels of ``size``, of first ... last within a window from ``start`` on."""
    at = min(round((first - start) / length * size), size - 1)
    return at, max(1, round((last - start) / length * size) - at)


def _on_grid(window: CropBox, resolution: tuple[int, int]) -> tuple[int, int, int, int]:
    x, y, width, height = window
    step = next((s for s in (8, 4, 2) if width >= s * resolution[1] and height >= s * resolution[0]), 1)
    edges = math.floor(x / step), math.floor(y / step), math.ceil((x + width) / step), math.ceil((y + height) / step)
    return edges[0] * step, edges[1] * step, edges[2] * step, edges[3] * step


def clipped(boxes: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes (left, top, right, bottom), [n, 4], cut to a picture of ``shape`` (height, width)."""
    return np.clip(boxes, 0, np.array([shape[1], shape[0], shape[1], shape[0]], dtype=np.float64))
