"""Which window of a scene is shown: zoomed out, or cropped so that it overlaps a box well enough.

A window is (x, y, width, height) in pixels of the picture and may reach beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Box
from mobilevision.data.seen_boxes import areas

TRIALS = 40
ROUNDS = 50  # a set of overlaps without 1.0 would otherwise be tried for ever where no crop meets it


def zoomed_out(rng: np.random.Generator, window: Box, most: float) -> Box:
    """A larger window that holds ``window`` at a random place (SSD, arXiv:1512.02325, section 3.6).

    Args:
        rng: where the randomness comes from.
        window: what is looked at.
        most: the sides grow by a factor between 1 and this.
    """
    x, y, width, height = window
    factor = rng.uniform(1, most)
    wide, high = float(int(width * factor)), float(int(height * factor))
    wide, high = max(wide, width), max(high, height)
    right, down = rng.random(2)
    return x - int((wide - width) * right), y - int((high - height) * down), wide, high


def overlapping(
    rng: np.random.Generator,
    window: Box,
    boxes: NDArray[np.float64],
    *,
    overlaps: Sequence[float],
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box | None:
    """A part of the window with the centre of a box in it whose overlap with the part is large enough.

    The distribution is that of SSD (arXiv:1512.02325, section 2.2) as torchvision's ``RandomIoUCrop`` has it: one of
    ``overlaps`` is drawn, then up to 40 parts are; the first that meets it is taken, else all begins again.

    Args:
        rng: where the randomness comes from.
        window: what is looked at.
        boxes: float64 [n, 4], (left, top, right, bottom) in the pixels of the window.
        overlaps: least overlaps (intersection over union); from 1.0 on the window stays as it is.
        scale: bounds of the part's sides over those of the window.
        ratio: bounds of its width over its height.

    Returns:
        The part in whole pixels from the window's corner, or None where the window stays.
    """
    x, y, *sides = window
    for _ in range(ROUNDS if len(boxes) else 0):
        least = overlaps[int(rng.integers(len(overlaps)))]
        if least >= 1:
            return None
        size = np.floor(rng.uniform(*scale, (TRIALS, 2)) * sides)
        corner = np.array([x, y]) + np.floor(rng.random((TRIALS, 2)) * (sides - size))
        with np.errstate(divide="ignore", invalid="ignore"):
            aspect = size[:, 0] / size[:, 1]
        fits = (ratio[0] <= aspect) & (aspect <= ratio[1]) & (size > 0).all(1)
        fits &= _best_overlap(np.concatenate([corner, corner + size], 1), boxes) >= least
        if fits.any():
            first = int(fits.argmax())
            return float(corner[first, 0]), float(corner[first, 1]), float(size[first, 0]), float(size[first, 1])
    return None


def _best_overlap(parts: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each part the largest overlap with a box that has its centre in it; -1 without any."""
    part = parts[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    within = ((part[..., :2] < centre) & (centre < part[..., 2:])).all(-1)
    common = np.clip(np.minimum(part[..., 2:], boxes[:, 2:]) - np.maximum(part[..., :2], boxes[:, :2]), 0, None)
    shared = common[..., 0] * common[..., 1]
    union = areas(part) + areas(boxes) - shared
    best: NDArray[np.float64] = np.where(within, shared / np.maximum(union, 1e-9), -1.0).max(1)
    return best


def covering(rng: np.random.Generator, shape: tuple[int, int], resolution: tuple[int, int]) -> Box:
    """The largest part of a picture that has the aspect of ``resolution``, at a random place, in whole pixels."""
    scale = min(shape[0] / resolution[0], shape[1] / resolution[1])
    height, width = max(1, round(resolution[0] * scale)), max(1, round(resolution[1] * scale))
    down, right = int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1))
    return float(right), float(down), float(width), float(height)
