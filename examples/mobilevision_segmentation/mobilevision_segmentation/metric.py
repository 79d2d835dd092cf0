"""Intersection over union of classes and of their boundaries, from whole numbers of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from mobilevision.api import Metric
from mobilevision_segmentation.masks import IGNORED

BAND = 0.02
"""Width of a boundary over the image's diagonal (Cheng et al., arXiv 2103.16562)."""


@final
class SegmentationMetrics(Metric):
    """``miou``, ``pixel_accuracy`` and ``boundary_iou``; means over the classes that occur in truth or prediction.

    All of it at the size of the model's input; pixels of which nothing is known are left out.

    Args:
        classes: names of the classes.
    """

    confusion: Tensor
    boundaries: Tensor

    def __init__(self, *, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.classes = classes
        size = len(classes)
        self.add_state("confusion", torch.zeros(size, size, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("boundaries", torch.zeros(size, 2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """``mask`` and ``target``: uint8 [B, H, W]."""
        size, known = len(self.classes), target != IGNORED
        said, truth = prediction["mask"].long(), target.long()
        pairs = torch.bincount(truth[known] * size + said[known], minlength=size * size)
        self.confusion += pairs.view(size, size)
        for number in torch.cat([truth[known], said[known]]).unique().tolist():
            edges = [_boundary((mask == number) & known) & known for mask in (truth, said)]
            self.boundaries[number, 0] += (edges[0] & edges[1]).sum()
            self.boundaries[number, 1] += (edges[0] | edges[1]).sum()

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name."""
        confusion = self.confusion.cpu().double()
        right, union = confusion.diagonal(), _union(confusion)
        there = union > 0
        both, any_ = self.boundaries.cpu().double().unbind(dim=1)
        return {
            "miou": (right / union)[there].mean() if there.any() else torch.tensor(float("nan")),
            "pixel_accuracy": right.sum() / confusion.sum().clamp(min=1),
            "boundary_iou": (both / any_)[any_ > 0].mean() if (any_ > 0).any() else torch.tensor(float("nan")),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_class``: share of all pixels, IoU, how much of it is found, and IoU of the boundary."""
        confusion, edges = self.confusion.cpu().double(), self.boundaries.cpu().double()
        right, union, pixels = confusion.diagonal(), _union(confusion), confusion.sum(dim=1)
        columns = {
            "share": pixels / confusion.sum().clamp(min=1),
            "iou": right / union,
            "recall": right / pixels,
            "boundary_iou": edges[:, 0] / edges[:, 1],
        }
        rows = [{key: round(float(column[row]), 4) for key, column in columns.items()} for row in range(len(pixels))]
        plain = [{key: value if value == value else None for key, value in row.items()} for row in rows]  # NaN: none
        return {"per_class": [{"class": name, **row} for name, row in zip(self.classes, plain, strict=True)]}


def _union(confusion: Tensor) -> Tensor:
    return confusion.sum(dim=0) + confusion.sum(dim=1) - confusion.diagonal()


def _boundary(area: Tensor) -> Tensor:
    """Pixels of an area [B, H, W] that are near to its outside; what lies beyond the image is outside."""
    height, width = area.shape[1:]
    distance = max(1, round(BAND * float(height**2 + width**2) ** 0.5))
    outside = pad((~area).float()[:, None], [distance] * 4, value=1.0)
    return area & (max_pool2d(outside, 2 * distance + 1, stride=1)[:, 0] > 0)
