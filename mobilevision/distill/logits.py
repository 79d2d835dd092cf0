"""Imitate softened probabilities (Hinton, Vinyals and Dean, "Distilling the knowledge", arXiv 1503.02531)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.distill.objective import Objective
from mobilevision.distill.outputs import known_mean
from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.ranges import PositiveFloat, check_ranges
from mobilevision.spec import Emits


@final
class Logits(Objective):
    """Kullback-Leibler divergence at a temperature, times its square.

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
        aim = torch.where(known, teacher.outputs.float(), 0.0) / self.temperature
        own = student.outputs.float() / self.temperature
        if self.emits == "softmax":
            rows = known.all(dim=1)
            each = functional.kl_div(own.log_softmax(1), aim.log_softmax(1), reduction="none", log_target=True).sum(1)
            mean = (each * rows).sum() / rows.sum().clamp(min=1)
        else:
            mean = known_mean(_binary_divergence(own, aim), known)
        return {"logits": mean * self.temperature**2}


def _binary_divergence(own: Tensor, aim: Tensor) -> Tensor:
    """Kullback-Leibler divergence of sigmoid(own) from sigmoid(aim), element by element."""
    sure = aim.sigmoid()
    yes = sure * (functional.logsigmoid(aim) - functional.logsigmoid(own))
    no = (1 - sure) * (functional.logsigmoid(-aim) - functional.logsigmoid(-own))
    return yes + no
