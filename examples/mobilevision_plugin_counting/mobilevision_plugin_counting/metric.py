"""How far off a count is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from mobilevision.metrics import TaskMetric


@final
class CountingMetrics(TaskMetric):
    """``exact``: share of counts that are right; ``mean_error``: mean distance to the right one, in counts.

    Args:
        classes: names of the counts, in order.
    """

    confusion: Tensor

    def __init__(self, *, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.add_state("confusion", torch.zeros(len(classes), len(classes), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """``count`` and ``target``: int64 [B]."""
        size = len(self.classes)
        pairs = torch.bincount(target * size + prediction["count"], minlength=size * size)
        self.confusion += pairs.view(size, size)

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name."""
        confusion = self.confusion.cpu().double()
        place = torch.arange(len(self.classes))
        distance = (place[:, None] - place).abs()
        total = confusion.sum().clamp(min=1)
        return {"mean_error": (confusion * distance).sum() / total, "exact": confusion.diagonal().sum() / total}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_count``: samples and the mean prediction of each count."""
        rows = self.confusion.cpu().double()
        mean = (rows * torch.arange(len(self.classes))).sum(dim=1) / rows.sum(dim=1).clamp(min=1)
        return {
            "per_count": [
                {"count": name, "samples": int(row.sum()), "mean_prediction": round(float(value), 4)}
                for name, row, value in zip(self.classes, rows, mean, strict=True)
            ]
        }
