"""Imitate the teacher's vector by squared difference: the paper's face embeddings (arXiv 1704.04861, section 4.7)."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from mobilevision.distill.objective import Objective, squared
from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.spec import Emits, Needs


@final
class Embeddings(Objective):
    """Squared distance of the embeddings; of tasks whose outputs are none, of the pooled features.

    Where the widths differ, a linear layer from the student's to the teacher's is learnt along; it is left behind when
    the student is used. Embeddings have unit length, so theirs is a sum over numbers; of pooled features it is a mean.

    Args:
        emits: as in :class:`Objective`.
    """

    by_class = False

    def __init__(self, *, emits: Emits | None) -> None:
        super().__init__(emits=emits)
        self.reaches_head = emits == "embedding"
        self.needs = Needs() if self.reaches_head else Needs(pooled=True)
        self.projection: nn.Module = nn.Identity()

    def prepare(self, student: Seen, teacher: Seen) -> None:
        """See :class:`Objective`."""
        own, target = self._vector(student), self._vector(teacher)
        if own.shape[1] != target.shape[1]:
            self.projection = nn.Linear(own.shape[1], target.shape[1])

    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """See :class:`Objective`."""
        own, target = self.projection(self._vector(student)), self._vector(teacher)
        distance = squared(own, target)
        return {"embeddings": distance if self.reaches_head else distance / target.shape[1]}

    def _vector(self, seen: Seen) -> Tensor:
        vector = seen.outputs if self.reaches_head else seen.features.pooled if seen.features else None
        if not isinstance(vector, Tensor) or vector.ndim != 2:
            raise UserError("distill=embeddings: teacher and student must both give a vector a picture")
        return vector
