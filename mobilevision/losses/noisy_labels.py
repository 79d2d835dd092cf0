"""Losses for data with wrong labels: bootstrapping and small-loss selection."""

from __future__ import annotations

from typing import Literal, Unpack, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.losses.cross_entropy import ClassLoss, ClassLossOptions, sample_weights
from mobilevision.ranges import NonNegativeFloat, Share, ShareBelowOne, check_ranges
from mobilevision.spec import DataSpec


@final
class Bootstrap(ClassLoss):
    """Cross-entropy with targets of which a share is the model's own prediction (Reed et al. 2014, arXiv 1412.6596).

    With ``soft`` that share is its probabilities (the paper's equation 6), with ``hard`` its most probable class
    (equation 7).

    A sample weighs by its label, also in the model's share: else a model that guesses rare classes would teach itself
    to do so.

    Args:
        data: as in :class:`ClassLoss`.
        mode: ``soft`` or ``hard``.
        trust: share of the label, the paper's beta, which is 0.95 for soft and 0.8 for hard there; the rest is the
            model's.
        ramp: epochs over which the model's share rises from nothing: before it has learnt, it knows no better.
        **options: of :class:`ClassLoss`.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        mode: Literal["soft", "hard"] = "hard",
        trust: Share = 0.8,
        ramp: NonNegativeFloat = 0.0,
        **options: Unpack[ClassLossOptions],
    ) -> None:
        super().__init__(data=data, **options)
        if mode not in ("soft", "hard"):
            raise UserError(f"loss.mode={mode}: must be soft or hard")
        self.mode, self.trust, self.ramp = mode, trust, ramp
        self.progress = Progress(data)

    def training_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See :class:`ClassLoss`."""
        own = (1 - self.trust) * self.progress.ramp(self.ramp)
        self.progress.add(len(outputs))
        itself = self._against_itself(outputs.float())
        if self.weight is not None:
            itself = itself * sample_weights(target, self.weight)
        return ((1 - own) * self.by_label(outputs, target) + own * itself).mean()

    def _against_itself(self, outputs: Tensor) -> Tensor:
        """Cross-entropy [B] of the model against its own prediction; of soft targets that is its entropy."""
        if self.mode == "hard":
            return functional.cross_entropy(outputs, outputs.argmax(dim=1), reduction="none")
        logs = outputs.log_softmax(dim=1)
        return -(logs.exp() * logs).sum(dim=1)


@final
class Progress(nn.Module):
    """Counts the samples that a loss was trained on; kept in checkpoints, so that a resumed run goes on where it was.

    Args:
        data: what the data set knows of itself; its training samples are an epoch.
    """

    seen: Tensor

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.epoch = max(sum(data.counts), 1)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def add(self, samples: int) -> None:
        """Count the samples of a training step of this process; the others, if any, have as many."""
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.seen += samples * world

    def ramp(self, epochs: float) -> float:
        """Rises from 0 to 1 over so many epochs, and stays there; 0 epochs: 1 from the start."""
        return min(1.0, float(self.seen) / (self.epoch * epochs)) if epochs > 0 else 1.0


@final
class SmallLoss(ClassLoss):
    """Cross-entropy over the samples of a batch with the smallest loss; an evaluation measures all.

    Networks learn what labels have in common before they learn single labels by heart (Arpit et al. 2017, arXiv
    1706.05394), so that early in training a wrong label shows by its large loss. Co-teaching (Han et al. 2018, arXiv
    1804.06872) lets two networks choose for each other; this is its choice by the one network that is trained, which
    costs nothing.

    Samples are chosen by their loss without the class weight: by the weighted one, rare classes would be dropped first.

    Args:
        data: as in :class:`ClassLoss`.
        drop: share of a batch that is dropped, about the share of wrong labels.
        ramp: epochs over which that share rises from 0 (co-teaching takes 10 of 200).
        **options: of :class:`ClassLoss`.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        drop: ShareBelowOne = 0.2,
        ramp: NonNegativeFloat = 3.0,
        **options: Unpack[ClassLossOptions],
    ) -> None:
        super().__init__(data=data, **options)
        self.drop, self.ramp = drop, ramp
        self.progress = Progress(data)

    def training_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """See :class:`ClassLoss`."""
        each = functional.cross_entropy(outputs, target, label_smoothing=self.label_smoothing, reduction="none")
        dropped = self.drop * self.progress.ramp(self.ramp)
        self.progress.add(len(outputs))
        kept = each.topk(max(1, round(len(each) * (1 - dropped))), largest=False)
        if self.weight is None:
            return kept.values.mean()
        return (each * sample_weights(target, self.weight))[kept.indices].mean()
