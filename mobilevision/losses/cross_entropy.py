"""Cross-entropy over classes, with label smoothing and weights for unbalanced data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.losses.loss import Loss
from mobilevision.spec import DataSpec


@final
class CrossEntropy(Loss):
    """Softmax cross-entropy; targets are class indices [B] or, after mixup, probabilities [B, K].

    Args:
        data: as in :class:`Loss`.
        label_smoothing: share of the probability spread evenly over all classes (the paper uses none).
        class_weights: ``none``, or ``balanced``: each class weighs n / (classes * its count), so that a rare
            class counts as much as a common one.
    """

    weight: Tensor | None

    def __init__(
        self,
        *,
        data: DataSpec,
        label_smoothing: float = 0.0,
        class_weights: Literal["none", "balanced"] = "none",
    ) -> None:
        super().__init__(data=data)
        self.label_smoothing = label_smoothing
        weight = balanced_weights(data.counts) if class_weights == "balanced" else None
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]."""
        loss = functional.cross_entropy(
            outputs, batch["target"], weight=self.weight, label_smoothing=self.label_smoothing
        )
        return {"class": loss}


def balanced_weights(counts: tuple[int, ...]) -> Tensor | None:
    """Weights of mean 1 over the samples: n / (classes * count); a class without samples weighs nothing."""
    if not counts:
        return None
    count = torch.tensor(counts, dtype=torch.float32)
    present = (count > 0).sum()
    return torch.where(count > 0, count.sum() / (present * count.clamp(min=1)), torch.zeros(()))
