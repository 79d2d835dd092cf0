"""The default boxes of single-shot detectors (SSD, arXiv 1512.02325, section 2.2).

Scales and aspects follow the TensorFlow object detection API, with which the MobileNet papers counted: 1917 boxes at
300 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
SCALES = (0.2, 0.95)

Sizes = list[list[tuple[float, float]]]
"""For each map, (width, height) of the boxes at each of its places, as fractions of the input's sides."""


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
