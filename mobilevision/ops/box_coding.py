"""Boxes as offsets from anchors, and back (R-CNN's parametrisation, arXiv 1311.2524, appendix C).

Computed in float32 whatever comes in, so that it is safe in mixed precision.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = tuple[float, float, float, float]
"""Factors on (dx, dy, dw, dh)."""
SSD_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)
LARGEST = math.log(1000.0 / 16)
"""Bound on dw and dh in decoding: a box grows to at most 62.5 times its anchor, so nothing overflows early on."""
SMALLEST = 1e-3
"""Sides shorter than this, in pixels, are encoded as this: a box without width has no logarithm."""


def encode(boxes: Tensor, anchors: Tensor, weights: Weights) -> Tensor:
    """Offsets (dx, dy, dw, dh) of boxes from their anchors.

    Args:
        boxes: [..., 4], (left, top, right, bottom) in pixels.
        anchors: [..., 4], likewise; shapes broadcast.
        weights: factors on (dx, dy, dw, dh).

    Returns:
        float32 [..., 4]; finite for boxes and anchors of any size, zero included.
    """
    x, y, width, height = _centred(boxes)
    at_x, at_y, wide, high = _centred(anchors)
    offsets = ((x - at_x) / wide, (y - at_y) / high, torch.log(width / wide), torch.log(height / high))
    return torch.stack([weight * offset for weight, offset in zip(weights, offsets, strict=True)], dim=-1)


def decode(deltas: Tensor, anchors: Tensor, weights: Weights) -> Tensor:
    """Undo :func:`encode`.

    Args:
        deltas: [..., 4], what :func:`encode` gives.
        anchors: [..., 4], (left, top, right, bottom) in pixels; shapes broadcast.
        weights: those of the encoding.

    Returns:
        float32 [..., 4], (left, top, right, bottom) in pixels.
    """
    dx, dy, dw, dh = (delta / weight for delta, weight in zip(deltas.float().unbind(-1), weights, strict=True))
    left, top, right, bottom = anchors.float().unbind(-1)
    wide, high = right - left, bottom - top
    x, y = dx * wide + (left + 0.5 * wide), dy * high + (top + 0.5 * high)
    half_width = 0.5 * (dw.clamp(max=LARGEST).exp() * wide)
    half_height = 0.5 * (dh.clamp(max=LARGEST).exp() * high)
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=-1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre x and y, width, height; no side is shorter than ``SMALLEST``."""
    left, top, right, bottom = boxes.float().unbind(-1)
    width, height = right - left, bottom - top
    return left + 0.5 * width, top + 0.5 * height, width.clamp(min=SMALLEST), height.clamp(min=SMALLEST)
