"""Cross-entropy of the samples that are learnt easily: wrong labels are among those that are not.

Networks learn what labels have in common before they learn single labels by heart (Arpit et al. 2017, arXiv
1706.05394), so that early in training a wrong label shows by its large loss. Co-teaching (Han et al. 2018, arXiv
1804.06872) lets two networks choose for each other; this is its choice by the one network that is trained, which costs
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor
from torch.nn import functional

from mobilevision.losses.class_weights import ClassWeights, sample_weights, weighted_cross_entropy, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.losses.progress import Progress
from mobilevision.ranges import NonNegativeFloat, ShareBelowOne, check_ranges
from mobilevision.spec import DataSpec


@final
class SmallLoss(Loss):
    """Cross-entropy over the samples of a batch with the smallest loss; an evaluation measures all.

    Args:
        data: as in :class:`Loss`.
        drop: share of a batch that is dropped, about the share of wrong labels.
        ramp: epochs over which that share rises from 0 (co-teaching takes 10 of 200).
        label_smoothing: share of the probability spread evenly over all classes.
        class_weights: as in :class:`~mobilevision.losses.cross_entropy.CrossEntropy`. Samples are chosen by their loss
            without the weight: by the weighted one, rare classes would be dropped first.
    """

    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        drop: ShareBelowOne = 0.2,
        ramp: NonNegativeFloat = 3.0,
        label_smoothing: ShareBelowOne = 0.0,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        self.drop, self.ramp, self.label_smoothing = drop, ramp, label_smoothing
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)
        self.progress = Progress(data)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]; ``batch["target"]``: int64 [B], or float [B, K] once mixed."""
        target = batch["target"]
        each = functional.cross_entropy(outputs, target, label_smoothing=self.label_smoothing, reduction="none")
        if not self.training:
            return {"class": weighted_cross_entropy(outputs, target, self.weight, self.label_smoothing).mean()}
        dropped = self.drop * self.progress.ramp(self.ramp)
        self.progress.add(len(outputs))
        keep = max(1, round(len(each) * (1 - dropped)))
        kept = each.topk(keep, largest=False)
        if self.weight is None:
            return {"class": kept.values.mean()}
        return {"class": (each * sample_weights(target, self.weight))[kept.indices].mean()}
