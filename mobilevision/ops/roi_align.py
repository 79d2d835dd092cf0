"""RoIAlign in plain tensor operations, for runtimes that have no operator of their own for it.

Bilinear weights are a factor for the row times a factor for the column, so the bins of a box are two small matrices
around the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align as torchvision_roi_align

# RoIAlign (He et al., "Mask R-CNN", arXiv 1703.06870): a fixed grid of features for each of many boxes.

SAMPLES = 2  # a bin and direction


def roi_align(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], *, levels: Tensor | None = None, side: int = 7
) -> Tensor:
    """Features of boxes, each from the map of its level.

    Args:
        maps: float [B, C, h, w] each.
        boxes: float [B, R, 4], (left, top, right, bottom) in pixels of the input; no gradient comes back to them.
        strides: pixels of the input to a place, of each map.
        levels: int64 [B, R], which map; None where there is one only.
        side: bins a direction.

    Returns:
        Float [B * R, C, side, side], region after region of the first image, then of the second.
    """
    count = boxes.shape[0] * boxes.shape[1]
    if boxes.is_meta:
        return maps[0].new_empty(count, maps[0].shape[1], side, side)
    levels = torch.zeros_like(boxes[..., 0], dtype=torch.int64) if levels is None else levels
    if boxes.device.type == "cpu" and not torch.compiler.is_compiling():
        return _bags(maps, boxes.detach(), strides, levels, side)
    return _by_torchvision(maps, boxes.detach(), strides, levels, side)


def _by_torchvision(maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], levels: Tensor, side: int) -> Tensor:
    """All boxes on every map, then the right one of them: shapes depend on no values, as exporting needs it."""
    kind = maps[0].dtype
    exact = torch.promote_types(kind, torch.float32)  # half precision has no half pixels beyond 1024
    image = torch.arange(boxes.shape[0], device=boxes.device, dtype=exact)[:, None, None]
    rows = torch.cat([image.expand(-1, boxes.shape[1], 1), boxes.to(exact)], dim=2).flatten(0, 1)
    found: Tensor = torchvision_roi_align(maps[0].to(exact), rows, side, 1 / strides[0], SAMPLES)
    for level in range(1, len(maps)):
        other = torchvision_roi_align(maps[level].to(exact), rows, side, 1 / strides[level], SAMPLES)
        found = torch.where((levels.flatten() == level)[:, None, None, None], other, found)
    return found.to(kind)


def _bags(maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], levels: Tensor, side: int) -> Tensor:
    """The places of all maps as rows of one table; a bin's 16 neighbours as a bag of them."""
    channels, kind = maps[0].shape[1], maps[0].dtype
    exact = torch.promote_types(kind, torch.float32)
    table = torch.cat([each.permute(0, 2, 3, 1).reshape(-1, channels) for each in maps]).to(exact)
    rows, weights = _neighbours(maps, boxes.to(exact), strides, levels, side)
    with torch.autocast("cpu", enabled=False):
        bins: Tensor = _WeightedBags.apply(table, rows, weights)
    return bins.to(kind).view(-1, side, side, channels).permute(0, 3, 1, 2)


def _neighbours(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], levels: Tensor, side: int
) -> tuple[Tensor, Tensor]:
    """Rows of the table and weights, [bins of all boxes, 16]."""
    height, width, scale = (
        torch.tensor(values, dtype=boxes.dtype)[levels]
        for values in ([m.shape[2] for m in maps], [m.shape[3] for m in maps], [1 / stride for stride in strides])
    )
    sizes = torch.tensor([each.shape[2] * each.shape[3] for each in maps])
    before = (sizes * boxes.shape[0]).cumsum(0) - sizes * boxes.shape[0]
    start = before[levels] + torch.arange(boxes.shape[0])[:, None] * sizes[levels]
    left, top, right, bottom = (boxes * scale[..., None]).flatten(0, 1).unbind(1)
    y, y_weight = _taps(top, bottom, height.flatten(), side)
    x, x_weight = _taps(left, right, width.flatten(), side)
    y = start.flatten()[:, None, None] + y * width.flatten().long()[:, None, None]
    rows = y[:, :, None, :, None] + x[:, None, :, None, :]
    weights = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    return rows.reshape(-1, 16), weights.reshape(-1, 16) / SAMPLES**2


def _taps(first: Tensor, last: Tensor, size: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The 4 neighbours of the 2 samples of each bin in one direction: their places and weights, [n, side, 4]."""
    steps = (torch.arange(side * SAMPLES, dtype=first.dtype) + 0.5) / (side * SAMPLES)
    at = first[:, None] + steps * (last - first).clamp(min=1)[:, None]
    size = size[:, None]
    inside = (at >= -1) & (at <= size)
    at = torch.minimum(at.clamp(min=0), size - 1)
    low = torch.minimum(at.long().clamp(min=0), size.long() - 1)
    high = torch.minimum(low + 1, size.long() - 1)
    share = at - low
    places = torch.stack([low, high], dim=-1)
    weights = torch.stack([1 - share, share], dim=-1) * inside[..., None]
    return places.view(-1, side, 2 * SAMPLES), weights.view(-1, side, 2 * SAMPLES)


@final
class _WeightedBags(torch.autograd.Function):
    """Sums of weighted rows of a table; its gradient is the same over the rows turned around."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        """``table`` float [n, C], ``rows`` int64 [m, k], ``weights`` float [m, k]; float [m, C]."""
        ctx.save_for_backward(rows, weights)
        ctx.rows = len(table)
        return functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """For each row of the table, the bins that took from it are the bag."""
        rows, weights = ctx.saved_tensors
        _, order = torch.sort(rows.flatten().int(), stable=True)
        counts = torch.bincount(rows.flatten(), minlength=ctx.rows)
        taken = functional.embedding_bag(
            order // rows.shape[1],
            gradient.contiguous(),
            counts.cumsum(0) - counts,
            per_sample_weights=weights.flatten()[order],
            mode="sum",
        )
        return taken, None, None


def roi_align_by_matrices(
    features: Tensor,
    boxes: Tensor,
    scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int = SAMPLES,
    aligned: bool = False,
) -> Tensor:
    """What ``torchvision::roi_align`` gives, for a batch of one image.

    Args:
        features: float [1, C, h, w].
        boxes: float [R, 5]: the image's place, which is 0, and (left, top, right, bottom) in pixels of the input.
        scale: places of the map to a pixel of the input.
        pooled_height: bins downwards.
        pooled_width: bins to the right.
        sampling_ratio: 2, as in :mod:`mobilevision.ops.roi_align`.
        aligned: False, as there.

    Returns:
        Float [R, C, pooled_height, pooled_width].
    """
    assert sampling_ratio == SAMPLES
    assert not aligned
    _, channels, height, width = features.shape
    left, top, right, bottom = (boxes[:, 1:] * scale).unbind(1)
    down = _weights(top, bottom, height, pooled_height)  # [R, bins, h]
    across = _weights(left, right, width, pooled_width)
    count = boxes.shape[0]
    lines = features[0].permute(1, 2, 0).reshape(height, width * channels)
    rows = torch.bmm(down.reshape(1, -1, height), lines[None]).reshape(count, pooled_height, width, channels)
    columns = rows.permute(0, 2, 1, 3).reshape(count, width, pooled_height * channels)
    bins = torch.bmm(across, columns).reshape(count, pooled_width, pooled_height, channels)
    return bins.permute(0, 3, 2, 1)


def _weights(first: Tensor, last: Tensor, size: int, bins: int) -> Tensor:
    """How much each place of the map in one direction counts in each bin, [R, bins, size]."""
    steps = (torch.arange(bins * SAMPLES, dtype=first.dtype) + 0.5) / (bins * SAMPLES)
    at = first[:, None] + steps * (last - first).clamp(min=1)[:, None]
    inside = ((at >= -1) & (at <= size)).to(first.dtype)
    near = at.clamp(0, size - 1)[..., None] - torch.arange(size, dtype=first.dtype)
    weights = (1 - near.abs()).clamp(min=0) * inside[..., None]
    return weights.reshape(-1, bins, SAMPLES, size).sum(dim=2) / SAMPLES
