"""Cross-entropy that trusts the model as well as labels that may be wrong (Reed et al. 2014, arXiv 1412.6596)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

from torch import Tensor
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.losses.class_weights import (
    ClassWeights,
    sample_weights,
    weighted_cross_entropy,
    weights_by_class,
)
from mobilevision.losses.loss import Loss
from mobilevision.losses.progress import Progress
from mobilevision.ranges import NonNegativeFloat, Share, ShareBelowOne, check_ranges
from mobilevision.spec import DataSpec


@final
class Bootstrap(Loss):
    """Cross-entropy with targets of which a share is the model's own prediction.

    With ``soft`` that share is its probabilities (the paper's equation 6), with ``hard`` its most probable class
    (equation 7). An evaluation measures plain cross-entropy, so that runs can be compared.

    Args:
        data: as in :class:`Loss`.
        mode: ``soft`` or ``hard``.
        trust: share of the label, the paper's beta, which is 0.95 for soft and 0.8 for hard there; the rest is the
            model's.
        ramp: epochs over which the model's share rises from nothing: before it has learnt, it knows no better.
        label_smoothing: share of the label spread evenly over all classes.
        class_weights: as in :class:`~mobilevision.losses.cross_entropy.CrossEntropy`; a sample weighs by its label,
            also in the model's share: else a model that guesses rare classes would teach itself to do so.
    """

    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        mode: Literal["soft", "hard"] = "hard",
        trust: Share = 0.8,
        ramp: NonNegativeFloat = 0.0,
        label_smoothing: ShareBelowOne = 0.0,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        if mode not in ("soft", "hard"):
            raise UserError(f"loss.mode={mode}: must be soft or hard")
        self.mode, self.trust, self.ramp, self.label_smoothing = mode, trust, ramp, label_smoothing
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)
        self.progress = Progress(data)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]; ``batch["target"]``: int64 [B], or float [B, K] once mixed."""
        target = batch["target"]
        if not self.training:
            return {"class": weighted_cross_entropy(outputs, target, self.weight, self.label_smoothing).mean()}
        own = (1 - self.trust) * self.progress.ramp(self.ramp)
        self.progress.add(len(outputs))
        itself = self._itself(outputs.float())
        if self.weight is not None:
            itself = itself * sample_weights(target, self.weight)
        labels = weighted_cross_entropy(outputs, target, self.weight, self.label_smoothing)
        return {"class": ((1 - own) * labels + own * itself).mean()}

    def _itself(self, outputs: Tensor) -> Tensor:
        """Cross-entropy [B] of the model against what it says itself; of soft targets that is its entropy."""
        if self.mode == "hard":
            return functional.cross_entropy(outputs, outputs.argmax(dim=1), reduction="none")
        logs = outputs.log_softmax(dim=1)
        return -(logs.exp() * logs).sum(dim=1)
