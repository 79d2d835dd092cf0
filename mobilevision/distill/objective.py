"""The face of everything that a student can be asked to imitate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.spec import Emits, Needs


class Objective(nn.Module, ABC):
    """How far a student is from its teacher.

    Args:
        emits: what the task's raw outputs are (:attr:`mobilevision.tasks.base.Task.emits`).
    """

    # Whether classes of both are compared one by one; whether the student's head learns from it, too.
    by_class: ClassVar[bool] = True
    reaches_head: bool = True
    # Features that it compares, of both.
    needs: Needs = Needs()

    def __init__(self, *, emits: Emits | None) -> None:
        super().__init__()
        self.emits = emits

    def prepare(self, student: Seen, teacher: Seen) -> None:
        """Learn the shapes from what both make of one picture; layers that are needed in between are made here.

        Raises:
            UserError: shapes that cannot be compared.
        """
        if not isinstance(student.outputs, Tensor) or not isinstance(teacher.outputs, Tensor):
            raise UserError("distill: this objective compares one vector a picture; for detectors take detections")
        if student.outputs.shape[1:] != teacher.outputs.shape[1:]:
            have, want = ([*each.outputs.shape[1:]] for each in (teacher, student))
            raise UserError(f"distill: the teacher's outputs are {have} numbers a picture, the student's {want}")

    @abstractmethod
    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """Scalar parts by name; ``teacher`` carries no gradient and has its classes in the student's order."""


def squared(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Euclidean distance of vectors [B, D], the mean over B."""
    return (student.float() - teacher.float()).square().flatten(1).sum(dim=1).mean()
