"""Putting a resized picture where its frame says; what stays free is grey."""

from __future__ import annotations

import numpy as np

from mobilevision.data.geometry import Frame
from mobilevision.data.records import Pixels

GREY = 127


def on_canvas(pixels: Pixels, frame: Frame, resolution: tuple[int, int]) -> Pixels:
    """The model's input, uint8 [height, width, channels]; the pixels themselves where they fill it.

    Args:
        pixels: the part of the picture at ``frame.size``.
        frame: where it lies.
        resolution: (height, width) of the input.
    """
    if frame.size == resolution:
        return pixels
    canvas = np.full((*resolution, pixels.shape[2]), GREY, dtype=np.uint8)
    top, left = frame.place
    canvas[top : top + frame.size[0], left : left + frame.size[1]] = pixels
    return canvas
