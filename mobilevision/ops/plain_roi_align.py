"""RoIAlign in plain tensor operations, for runtimes that have no operator of their own for it.

Bilinear weights are a factor for the row times a factor for the column, so the bins of a box are two small matrices
around the map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mobilevision.ops.roi_align import SAMPLES


def roi_align_by_matrices(
    features: Tensor,
    boxes: Tensor,
    scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int = SAMPLES,
    aligned: bool = False,
) -> Tensor:
    """What ``torchvision::roi_align`` gives, for a batch of one picture.

    Args:
        features: float [1, C, h, w].
        boxes: float [R, 5]: the picture's place, which is 0, and (left, top, right, bottom) in pixels of the input.
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
