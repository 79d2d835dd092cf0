"""Imitate the teacher's outputs, as the paper does (arXiv 1704.04861, section 4.5)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.distill.objective import Objective, squared
from mobilevision.distill.teacher import Seen


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
    aim = torch.where(known[:, None], teacher.float(), 0.0).softmax(dim=1)
    each = -(aim * student.float().log_softmax(dim=1)).sum(dim=1)
    return (each * known).sum() / known.sum().clamp(min=1)


def attribute_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over attributes of the mean cross-entropies of sigmoid(student) against sigmoid(teacher), logits [B, A]."""
    known = teacher.isfinite()
    aim = torch.where(known, teacher.float(), 0.0).sigmoid()
    each = functional.binary_cross_entropy_with_logits(student.float(), aim, reduction="none")
    return known_mean(each, known)


def known_mean(each: Tensor, known: Tensor) -> Tensor:
    """Mean over columns of the means over the rows that are known; 0 where nothing is."""
    number = known.sum(dim=0)
    columns = (each * known).sum(dim=0) / number.clamp(min=1)
    return columns.sum() / (number > 0).sum().clamp(min=1)
