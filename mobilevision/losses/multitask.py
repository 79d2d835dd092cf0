"""The losses of several tasks as one: each on what its part knows, weighed against the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.losses.loss import Loss
from mobilevision.ops.parts import with_parts
from mobilevision.ops.rows import take
from mobilevision.ranges import NonNegativeFloat, check_ranges
from mobilevision.spec import DataSpec, PartOutputs

TaughtLoss = Callable[[PartOutputs, Mapping[str, Any], Any], dict[str, Tensor]]
"""Scalars by name, of a part's raw outputs, the whole batch, and the part's own loss."""


class MultitaskLoss(Loss, ABC):
    """The loss of each part, averaged over the images of the batch that the part knows.

    What a part does not know of an image gives no gradient; of a batch of which it knows nothing it has no loss.

    Args:
        data: of all parts.
        parts: the losses by part.
        gradient_surgery: take from each part's gradient of the backbone what works against another part's
            (:func:`without_conflicts`); it takes a backward pass a part.
    """

    def __init__(self, *, data: DataSpec, parts: Mapping[str, Loss], gradient_surgery: bool = False) -> None:
        super().__init__(data=data)
        self.parts = nn.ModuleDict(dict(parts))
        self.gradient_surgery = gradient_surgery

    @abstractmethod
    def weighed(self, name: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parts of one part's loss as they count in the sum."""

    def forward(
        self,
        outputs: Mapping[str, PartOutputs],
        batch: Mapping[str, Any],
        taught: Mapping[str, TaughtLoss] | None = None,
    ) -> dict[str, Tensor]:
        """Scalars by ``part/name``.

        Args:
            outputs: by part.
            batch: its ``target`` as of :class:`mobilevision.data.multitask.MultitaskTargets`.
            taught: by part, what to compute in place of its loss: of all images in ``outputs``, labelled or not.
        """
        found: dict[str, dict[str, Tensor]] = {}
        for name, loss in self.parts.items():
            if name not in outputs:
                continue
            teach = (taught or {}).get(name)
            losses = self._of_labels(name, loss, outputs, batch) if teach is None else teach(outputs[name], batch, loss)
            if losses:
                found[name] = self.weighed(name, losses)
        return with_parts(found) if found else {"nothing": self._nothing(outputs)}

    @staticmethod
    def total_without_conflicts(
        total: Tensor, losses: Mapping[str, Tensor], *, shared: Sequence[nn.Parameter], own: Sequence[nn.Parameter]
    ) -> Tensor:
        """The same sum with other gradients: those of the parts without their conflicts.

        Args:
            total: what the losses add up to.
            losses: of :meth:`forward`.
            shared: weights of the backbone.
            own: all others.
        """
        by_part: dict[str, Tensor] = {}
        for key, value in losses.items():
            part = key.partition("/")[0]
            by_part[part] = by_part[part] + value if part in by_part else value
        learning = [weight for weight in (*shared, *own) if weight.requires_grad]
        taught = [value for value in by_part.values() if value.requires_grad]
        if len(taught) < 2:
            return total
        found = [torch.autograd.grad(value, learning, retain_graph=True, allow_unused=True) for value in taught]
        among = sum(weight.requires_grad for weight in shared)
        kept = without_conflicts([each[:among] for each in found])
        surrogate = torch.zeros_like(total)
        for place, weight in enumerate(learning):
            of_parts = [each[place] for each in (kept if place < among else found)]
            there = [gradient for gradient in of_parts if gradient is not None]
            if there:  # a product with what stands still has just this gradient, for whoever scales or averages it
                surrogate = surrogate + (weight * torch.stack(there).sum(dim=0)).sum()
        return total.detach() + (surrogate - surrogate.detach())

    @staticmethod
    def _of_labels(
        name: str, loss: Any, outputs: Mapping[str, PartOutputs], batch: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        target = batch["target"].get(name)
        if target is None or not bool(target["known"].any()):
            return {}
        own, known = outputs[name], target["known"]
        labels = target["target"] if bool(known.all()) else take(target["target"], known)
        among = known if own.rows is None else known[own.rows]
        values = own.outputs if bool(among.all()) else take(own.outputs, among)
        found: dict[str, Tensor] = loss(values, {**batch, "target": labels})
        return found

    def _nothing(self, outputs: Mapping[str, PartOutputs]) -> Tensor:
        """A zero on the right device, with a gradient of zeros where there are outputs."""
        tensors = [each for each in torch.utils._pytree.tree_leaves(dict(outputs)) if isinstance(each, Tensor)]
        return sum((each.float().sum() * 0 for each in tensors), start=torch.zeros(()))


Gradients = Sequence[Tensor | None]
"""A tensor a weight, None where a loss does not depend on it."""


def without_conflicts(gradients: Sequence[Gradients]) -> list[list[Tensor | None]]:
    """Each part's gradient without what works against another's (Yu et al. 2020, arXiv 2001.06782, algorithm 1).

    Where the product of two is negative, the first loses its share along the second; the others of a part come in
    random order.

    Args:
        gradients: of each part.
    """
    kept = [list(each) for each in gradients]
    for number, own in enumerate(kept):
        for other in torch.randperm(len(gradients)).tolist():
            theirs = gradients[other]
            if other == number or not bool((product := _dot(own, theirs)) < 0):
                continue
            share = product / _dot(theirs, theirs)
            for place, gradient in enumerate(theirs):
                if gradient is not None:
                    there = own[place]
                    own[place] = -share * gradient if there is None else there - share * gradient
    return kept


def _dot(one: Gradients, other: Gradients) -> Tensor:
    """The product of two gradients as vectors of all weights."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return torch.stack([(a.float() * b.float()).sum() for a, b in pairs]).sum() if pairs else torch.zeros(())


@final
class FixedWeights(MultitaskLoss):
    """Each part's loss times a number.

    Args:
        data: of all parts.
        parts: the losses by part.
        gradient_surgery: as of :class:`MultitaskLoss`.
        weights: by part; those left out count 1.

    Raises:
        UserError: a weight that is no number of at least 0, or of a part that there is not.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        parts: Mapping[str, Loss],
        gradient_surgery: bool = False,
        weights: Mapping[str, NonNegativeFloat] | None = None,
    ) -> None:
        super().__init__(data=data, parts=parts, gradient_surgery=gradient_surgery)
        self.weights = dict(weights or {})
        if unknown := set(self.weights) - set(parts):
            raise UserError(f"loss.weights.{min(unknown)}: there is no part of this name among {', '.join(parts)}")

    def weighed(self, name: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """See :class:`MultitaskLoss`."""
        weight = self.weights.get(name, 1.0)
        return {part: weight * value for part, value in losses.items()}


@final
class Uncertainty(MultitaskLoss):
    """Weights that are learnt along (Kendall et al. 2018, arXiv 1705.07115, section 3.2).

    A part's loss L counts exp(-s) L + s / 2, where s is the logarithm of the variance of its targets: a task of which
    little can be known counts less. s begins at 0, where every part counts 1.

    Args:
        data: of all parts.
        parts: the losses by part.
        gradient_surgery: as of :class:`MultitaskLoss`.
    """

    def __init__(self, *, data: DataSpec, parts: Mapping[str, Loss], gradient_surgery: bool = False) -> None:
        super().__init__(data=data, parts=parts, gradient_surgery=gradient_surgery)
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in parts})

    def weighed(self, name: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """See :class:`MultitaskLoss`; ``weight`` is what keeps the variance from growing without bound."""
        log_variance = self.log_variances[name]
        weight = (-log_variance).exp()
        return {part: weight * value for part, value in losses.items()} | {"weight": log_variance / 2}
