"""Cross-entropy over classes, with label smoothing and weights for unbalanced data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor

from mobilevision.losses.class_weights import ClassWeights, weighted_cross_entropy, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ranges import ShareBelowOne, check_ranges
from mobilevision.spec import DataSpec


@final
class CrossEntropy(Loss):
    """Softmax cross-entropy; targets are class indices [B] or, after mixup, probabilities [B, K].

    Args:
        data: as in :class:`Loss`.
        label_smoothing: share of the probability spread evenly over all classes (the paper uses none).
        class_weights: ``none``, or ``balanced``: a rare class counts as much as a common one, within limits (see
            :func:`~mobilevision.losses.class_weights.balanced_weights`), in evaluations, too.
    """

    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        label_smoothing: ShareBelowOne = 0.0,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]."""
        each = weighted_cross_entropy(outputs, batch["target"], self.weight, self.label_smoothing)
        return {"class": each.mean()}
