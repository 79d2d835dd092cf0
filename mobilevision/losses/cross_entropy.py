"""Cross-entropy over classes, and what each class weighs in it where some are rare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, final, get_args

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.losses.loss import Loss
from mobilevision.ranges import ShareBelowOne, check_ranges
from mobilevision.spec import DataSpec

ClassWeights = Literal["none", "balanced"]

LARGEST_RATIO = 20.0
"""Most that a sample of any class counts beside one of the largest class: one image must not be a batch."""


def weights_by_class(choice: ClassWeights, counts: Sequence[int]) -> Tensor | None:
    """Weights by class for a loss.

    Args:
        choice: ``none``, or ``balanced``: see :func:`balanced_weights`.
        counts: training samples a class.

    Returns:
        Float32 [K]; None where every sample counts the same.

    Raises:
        UserError: another choice.
    """
    if choice not in get_args(ClassWeights):
        raise UserError(f"loss.class_weights={choice}: must be one of {', '.join(get_args(ClassWeights))}")
    return balanced_weights(counts) if choice == "balanced" and any(counts) else None


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """Weights inverse to the number of samples, capped, with a mean of 1 over the training samples.

    Without the cap every class counts the same. With it, a class that is over :data:`LARGEST_RATIO` times
    smaller than the largest one counts less: the hundredth look at the same image teaches little that is new, the
    thought behind the effective number of samples (Cui et al. 2019, arXiv 1901.05555). The mean of 1 keeps the meaning
    of a learning rate.

    Args:
        counts: training samples of each of K classes.

    Returns:
        Float32 [K]; a class without training samples, of which nothing is known, weighs 1.
    """
    count = torch.tensor(counts, dtype=torch.float64)
    present = count > 0
    weights = (count.max() / count.clamp(min=1)).clamp(max=LARGEST_RATIO)
    weights = weights * count.sum() / (weights * count).sum()
    return torch.where(present, weights, 1.0).float()


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Softmax cross-entropy of each sample, times the weight of its class.

    Unlike the mean of :func:`torch.nn.functional.cross_entropy`, that of this one does not divide by the weights that
    happen to be in a batch: batches of any make-up, and those of several processes, add up to the loss of all samples.

    Args:
        logits: float [B, K].
        target: int64 [B], or float [B, K] once mixed: then each class of a sample counts by its own weight.
        weight: float [K] by class, or None.
        label_smoothing: share of the label spread evenly over all classes; it counts as its sample does.

    Returns:
        Float [B].
    """
    if weight is None:
        return functional.cross_entropy(logits, target, label_smoothing=label_smoothing, reduction="none")
    if not target.is_floating_point():
        each = functional.cross_entropy(logits, target, label_smoothing=label_smoothing, reduction="none")
        return each * weight[target]
    weighted = target * weight
    counts = sample_weights(target, weight).clamp(min=1e-12)
    shares = (weighted / counts[:, None]).to(target.dtype)
    return functional.cross_entropy(logits, shares, label_smoothing=label_smoothing, reduction="none") * counts


def sample_weights(target: Tensor, weight: Tensor) -> Tensor:
    """The weight of each sample, float [B], by its class, or by the shares of its classes.

    Args:
        target: int64 [B], or float [B, K].
        weight: float [K].
    """
    return (target * weight).sum(dim=1) if target.is_floating_point() else weight[target]


class ClassLossOptions(TypedDict, total=False):
    """Arguments that every loss over classes takes; :class:`ClassLoss` says what they mean."""

    label_smoothing: ShareBelowOne
    class_weights: ClassWeights


class ClassLoss(Loss, ABC):
    """A loss over logits of classes that exclude each other; an evaluation always measures plain cross-entropy.

    Args:
        data: as in :class:`Loss`.
        label_smoothing: share of the probability spread evenly over all classes (the paper uses none).
        class_weights: ``none``, or ``balanced``: a rare class counts as much as a common one, within limits (see
            :func:`~mobilevision.losses.cross_entropy.balanced_weights`), in evaluations, too.
    """

    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self, *, data: DataSpec, label_smoothing: ShareBelowOne = 0.0, class_weights: ClassWeights = "none"
    ) -> None:
        super().__init__(data=data)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]; ``batch["target"]``: int64 [B], or float [B, K] once mixed."""
        target = batch["target"]
        return {
            "class": self.training_loss(outputs, target) if self.training else self.by_label(outputs, target).mean()
        }

    def by_label(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Weighted cross-entropy of each sample against its label, float [B]."""
        return weighted_cross_entropy(outputs, target, self.weight, self.label_smoothing)

    @abstractmethod
    def training_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The scalar that training minimises; arguments as of :meth:`by_label`."""


@final
class CrossEntropy(ClassLoss):
    """Softmax cross-entropy; targets are class indices [B] or, after mixup, probabilities [B, K]."""

    def training_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """As in an evaluation."""
        return self.by_label(outputs, target).mean()
