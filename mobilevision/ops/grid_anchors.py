"""Anchors on the places of feature maps (Ren et al., "Faster R-CNN", arXiv 1506.01497), and which map a box belongs to.

Place i of a map of stride s stands for pixel s * i, as torchvision has it: the pixel in the middle of what a stack of
symmetrically padded convolutions sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mobilevision.ops.anchors import Sizes

ROUNDING = 1e-6
"""Added before rounding levels down, so that a box of exactly the canonical side is on its level."""


def anchor_sizes(maps: int, resolution: tuple[int, int], *, scales: Sequence[float], ratios: Sequence[float]) -> Sizes:
    """Sizes of the anchors at each place: every scale of the map in every ratio.

    Args:
        maps: how many there are; each is given as many of the scales, the finest map the smallest.
        resolution: (height, width) of the input in pixels.
        scales: square roots of the anchors' areas over the input's shorter side, so that a ratio of 1 is a square.
        ratios: width over height.

    Returns:
        For each map, (width, height) as fractions of the input's sides.

    Raises:
        ValueError: the scales cannot be dealt out evenly.
    """
    each, over = divmod(len(scales), maps)
    if over or not each:
        raise ValueError(f"{len(scales)} scales cannot be dealt out to {maps} maps: give {maps}, or {2 * maps}")
    ordered, side, (height, width) = sorted(scales), min(resolution), resolution
    groups = [ordered[start : start + each] for start in range(0, len(ordered), each)]
    return [
        [(s * math.sqrt(r) * side / width, s / math.sqrt(r) * side / height) for r in ratios for s in group]
        for group in groups
    ]


def centred(sizes: Sequence[Sequence[float]], resolution: tuple[int, int]) -> Tensor:
    """Boxes around the origin.

    Args:
        sizes: (width, height) of K boxes, as fractions of the input's sides.
        resolution: (height, width) of the input in pixels.

    Returns:
        float32 [K, 4], (left, top, right, bottom) in pixels.
    """
    height, width = resolution
    half = torch.tensor(sizes, dtype=torch.float64) * torch.tensor([width, height]) / 2
    return torch.cat([-half, half], dim=1).float()


def grid_anchors(shapes: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The same anchors at every place of a map, row by row.

    Args:
        shapes: float [K, 4], anchors around the origin; their device is taken.
        size: (height, width) of the map.
        stride: pixels of the input to a place.

    Returns:
        float [height * width * K, 4], (left, top, right, bottom) in pixels of the input; some reach beyond it.
    """
    y, x = (torch.arange(count, device=shapes.device, dtype=shapes.dtype) * stride for count in size)
    y, x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (centres + shapes).reshape(-1, 4)


def box_levels(boxes: Tensor, strides: Sequence[int], *, canonical: float, stride: int = 16) -> Tensor:
    """The map to look a box up in (Lin et al., "Feature Pyramid Networks", arXiv 1612.03144, equation 1).

    Args:
        boxes: float [..., 4], (left, top, right, bottom) in pixels of the input.
        strides: of the maps, each twice the one before.
        canonical: side in pixels of the smallest box that is looked up at ``stride``.
        stride: the one that ``canonical`` speaks of; a box of twice the side is looked up at twice the stride.

    Returns:
        int64 [...], numbers of maps; 0 for boxes without area.
    """
    left, top, right, bottom = boxes.unbind(-1)
    side = ((right - left).clamp(min=0) * (bottom - top).clamp(min=0)).sqrt()
    level = torch.floor(math.log2(stride) + torch.log2(side / canonical) + ROUNDING)
    finest, coarsest = math.log2(strides[0]), math.log2(strides[-1])
    return (level.clamp(finest, coarsest) - finest).long()
