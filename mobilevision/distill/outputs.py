"""Imitate a teacher's outputs, as they are (arXiv 1704.04861, section 4.5) or softened (arXiv 1503.02531)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.distill.objective import Objective, squared
from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.ranges import PositiveFloat, check_ranges
from mobilevision.spec import Emits


@final
class Outputs(Objective):
    """Cross-entropy of the student's probabilities against the teacher's.

    Of classes that exclude each other, over the softmax; of attributes, sigmoid by sigmoid, each over the samples of
    which the teacher says anything, then averaged over attributes. Outputs that are neither are compared by their
    squared distance.

    Args:
        emits: as in :class:`Objective`.
    """

    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """Of logits float [B, K]; a teacher's NaN is unknown."""
        if self.emits == "softmax":
            return {"outputs": soft_cross_entropy(student.outputs, teacher.outputs)}
        if self.emits == "sigmoid":
            return {"outputs": attribute_cross_entropy(student.outputs, teacher.outputs)}
        return {"outputs": squared(student.outputs, teacher.outputs)}


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy of softmax(student) against softmax(teacher), logits [B, K]."""
    known = teacher.isfinite().all(dim=1)
    target = torch.where(known[:, None], teacher.float(), 0.0).softmax(dim=1)
    each = -(target * student.float().log_softmax(dim=1)).sum(dim=1)
    return (each * known).sum() / known.sum().clamp(min=1)


def attribute_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over attributes of the mean cross-entropies of sigmoid(student) against sigmoid(teacher), logits [B, A]."""
    known = teacher.isfinite()
    target = torch.where(known, teacher.float(), 0.0).sigmoid()
    each = functional.binary_cross_entropy_with_logits(student.float(), target, reduction="none")
    return known_mean(each, known)


def known_mean(each: Tensor, known: Tensor) -> Tensor:
    """Mean over columns of the means over the rows that are known; 0 where nothing is."""
    number = known.sum(dim=0)
    columns = (each * known).sum(dim=0) / number.clamp(min=1)
    return columns.sum() / (number > 0).sum().clamp(min=1)


@final
class Logits(Objective):
    """Kullback-Leibler divergence at a temperature, times its square (Hinton, Vinyals and Dean, arXiv 1503.02531).

    Both logits are divided by the temperature, so that what the teacher thinks of the wrong classes weighs more; the
    square keeps the gradient's size. Zero where both agree. Attributes are taken one by one and averaged.

    Args:
        emits: as in :class:`Objective`.
        temperature: above 0; 1 has the gradient of plain cross-entropy.

    Raises:
        UserError: a temperature that is none, or outputs that are no logits.
    """

    @check_ranges("distill")
    def __init__(self, *, emits: Emits | None, temperature: PositiveFloat = 4.0) -> None:
        super().__init__(emits=emits)
        if emits not in ("softmax", "sigmoid"):
            raise UserError("distill=logits is for outputs that are logits; this task's are not: take distill=outputs")
        self.temperature = temperature

    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """Of logits float [B, K]; a teacher's NaN is unknown."""
        known = teacher.outputs.isfinite()
        target = torch.where(known, teacher.outputs.float(), 0.0) / self.temperature
        own = student.outputs.float() / self.temperature
        if self.emits == "softmax":
            rows = known.all(dim=1)
            each = functional.kl_div(own.log_softmax(1), target.log_softmax(1), reduction="none", log_target=True).sum(
                1
            )
            mean = (each * rows).sum() / rows.sum().clamp(min=1)
        else:
            mean = known_mean(_binary_divergence(own, target), known)
        return {"logits": mean * self.temperature**2}


def _binary_divergence(own: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of sigmoid(own) from sigmoid(target), element by element."""
    sure = target.sigmoid()
    yes = sure * (functional.logsigmoid(target) - functional.logsigmoid(own))
    no = (1 - sure) * (functional.logsigmoid(-target) - functional.logsigmoid(-own))
    return yes + no
