"""Cross-entropy of many yes-or-no questions: the paper's loss of face attributes (arXiv 1704.04861, section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.losses.loss import Loss
from mobilevision.ops.rows import attribute_mean
from mobilevision.ranges import NonNegativeFloat, check_ranges
from mobilevision.spec import DataSpec

_HEAVIEST = 50.0  # weight of a positive: one sample must not be a batch


@final
class AttributeCrossEntropy(Loss):
    """Sigmoid cross-entropy of each attribute over the samples that know it, averaged over attributes.

    Targets may be probabilities, such as those of a teacher; NaN is unknown and left out. An attribute weighs the same
    however many samples of a batch know it.

    Args:
        data: as in :class:`Loss`.
        positive_weights: ``none``, or ``balanced``: the positives of an attribute weigh its negatives over its
            positives in train (at most 50), so that both values count the same.
        focal: exponent of the focal loss (Lin et al. 2017, arXiv 1708.02002): samples that are right already count
            less, by (distance of the prediction from the target) ** focal; 0 is plain cross-entropy.
    """

    positive_weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        positive_weights: Literal["none", "balanced"] = "none",
        focal: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(data=data)
        self.focal = focal
        weight = positive_weight(data) if positive_weights == "balanced" else None
        self.register_buffer("positive_weight", weight, persistent=False)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, A]; ``batch["target"]``: float [B, A], 0 to 1 or NaN."""
        target: Tensor = batch["target"]
        known = target.isfinite()
        logits, truth = outputs.float(), torch.where(known, target, 0.0).float()
        loss = functional.binary_cross_entropy_with_logits(
            logits, truth, pos_weight=self.positive_weight, reduction="none"
        )
        if self.focal:
            loss = loss * (logits.sigmoid() - truth).abs().pow(self.focal)
        return {"attributes": attribute_mean(loss, known)}


def positive_weight(data: DataSpec) -> Tensor | None:
    """Negatives over positives of each attribute in train, float [A]; 1 where one of them is missing."""
    if not data.known:
        return None
    positives, known = (torch.tensor(each, dtype=torch.float32) for each in (data.counts, data.known))
    negatives = known - positives
    ratio = (negatives / positives.clamp(min=1)).clamp(max=_HEAVIEST)
    return torch.where((positives > 0) & (negatives > 0), ratio, 1.0)
