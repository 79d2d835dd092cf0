"""Anchors on the places of feature maps (Ren et al., "Faster R-CNN", arXiv 1506.01497), and which map a box belongs to.

Place i of a map of stride s stands for pixel s * i, as torchvision has it: the pixel in the middle of what a stack of
symmetrically padded convolutions sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mobilevision.ops.anchor_planning import Sizes

# The default boxes of single-shot detectors (SSD, arXiv 1512.02325, section 2.2).

RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
SCALES = (0.2, 0.95)


def default_sizes(
    maps: int,
    resolution: tuple[int, int],
    *,
    scales: Sequence[float] = SCALES,
    ratios: Sequence[float] = RATIOS,
    reduced: bool = True,
    clip: bool = True,
) -> Sizes:
    """Sizes of the default boxes of each map.

    Every ratio at the map's scale, and one more square between its scale and the next map's (the last one's next is 1).
    Scales are fractions of the input's shorter side, so that a ratio of 1 is a square on any input.

    Args:
        maps: how many there are.
        resolution: (height, width) of the input in pixels.
        scales: of the first and the last map, those between spaced evenly; or one for each map.
        ratios: width over height.
        reduced: only three boxes on the first map, which has most places: a square of half its scale, and ratios 2 and
            1/2 (TensorFlow's ``reduce_boxes_in_lowest_layer``).
        clip: no side beyond the input's, as torchvision has it; TensorFlow lets ratio 3 of the last map reach 1.65.

    Raises:
        ValueError: neither two scales nor one for each map.
    """
    steps = _steps(maps, scales)
    height, width = resolution
    sizes: Sizes = []
    for index, (scale, following) in enumerate(zip(steps, [*steps[1:], 1.0], strict=True)):
        shapes = [(scale, ratio) for ratio in ratios] + [(math.sqrt(scale * following), 1.0)]
        if reduced and index == 0:
            shapes = [(scale / 2, 1.0), (scale, 2.0), (scale, 1 / 2)]
        side = min(resolution)
        pairs = [(s * math.sqrt(r) * side / width, s / math.sqrt(r) * side / height) for s, r in shapes]
        sizes.append([(min(w, 1.0), min(h, 1.0)) for w, h in pairs] if clip else pairs)
    return sizes


def default_boxes(
    grids: Sequence[tuple[int, int]], sizes: Sequence[Sequence[Sequence[float]]], resolution: tuple[int, int]
) -> Tensor:
    """The default boxes of all maps, centred on their places.

    Args:
        grids: (rows, columns) of each map.
        sizes: (width, height) of the boxes at each place of each map, as fractions of the input's sides.
        resolution: (height, width) of the input in pixels.

    Returns:
        float32 [A, 4], (left, top, right, bottom) in pixels, some reaching beyond the input; in the order of maps,
        rows, columns, sizes.

    Raises:
        ValueError: not as many lists of sizes as maps.
    """
    height, width = resolution
    boxes = []
    for (rows, columns), shapes in zip(grids, sizes, strict=True):
        y = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
        x = (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
        centres = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)[:, :, None]
        halves = torch.tensor([tuple(shape) for shape in shapes], dtype=torch.float64).reshape(-1, 2) / 2
        boxes.append(torch.cat([centres - halves, centres + halves], dim=-1).reshape(-1, 4))
    pixels = torch.tensor([width, height, width, height], dtype=torch.float64)
    return (torch.cat(boxes) * pixels).float()


def _steps(maps: int, scales: Sequence[float]) -> list[float]:
    """A scale for each map."""
    if len(scales) == maps:
        return list(scales)
    if len(scales) != 2:
        raise ValueError(f"{len(scales)} scales for {maps} maps: give the first and the last, or one for each map")
    first, last = scales
    return [first + (last - first) * index / max(1, maps - 1) for index in range(maps)]


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


def grid_anchors(shapes: Tensor, size: tuple[int, int], stride: int | tuple[int, int]) -> Tensor:
    """The same anchors at every place of a map, row by row.

    Args:
        shapes: float [K, 4], anchors around the origin; their device is taken.
        size: (height, width) of the map.
        stride: pixels of the input to a place; or those down and those across.

    Returns:
        float [height * width * K, 4], (left, top, right, bottom) in pixels of the input; some reach beyond it.
    """
    steps = (stride, stride) if isinstance(stride, int) else stride
    y, x = (
        torch.arange(count, device=shapes.device, dtype=shapes.dtype) * step
        for count, step in zip(size, steps, strict=True)
    )
    y, x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (centres + shapes).reshape(-1, 4)


def box_levels(boxes: Tensor, strides: Sequence[int], *, canonical: float) -> Tensor:
    """The map to look a box up in (Lin et al., "Feature Pyramid Networks", arXiv 1612.03144, equation 1).

    Args:
        boxes: float [..., 4], (left, top, right, bottom) in pixels of the input.
        strides: of the maps, each twice the one before.
        canonical: side in pixels of the smallest box that is looked up at stride 16; one of twice the side is looked up
            at stride 32.

    Returns:
        int64 [...], numbers of maps; 0 for boxes without area.
    """
    left, top, right, bottom = boxes.unbind(-1)
    side = ((right - left).clamp(min=0) * (bottom - top).clamp(min=0)).sqrt()
    level = torch.floor(math.log2(16) + torch.log2(side / canonical) + ROUNDING)
    finest, coarsest = math.log2(strides[0]), math.log2(strides[-1])
    return (level.clamp(finest, coarsest) - finest).long()
