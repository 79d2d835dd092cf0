"""The classes of teacher and student: matched by name, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mobilevision.distill.boxes import reordered
from mobilevision.errors import UserError
from mobilevision.ops.candidates import DetectorOutputs
from mobilevision.spec import Emits


def order(student: Sequence[str], teacher: Sequence[str], *, emits: Emits | None, name: str) -> list[int] | None:
    """Where each class of the student stands in the teacher's outputs; None where both have the same order.

    Attributes are questions of their own, so a teacher may answer more of them than the student asks. Outputs that are
    not one a class cannot be put into another order.

    Args:
        student: the student's classes.
        teacher: the teacher's.
        emits: what the outputs are.
        name: the teacher's, for the message.

    Raises:
        UserError: classes that differ, with both lists.
    """
    if tuple(student) == tuple(teacher):
        return None
    places = {each: place for place, each in enumerate(teacher)}
    missing = [each for each in student if each not in places]
    more = [] if emits == "sigmoid" else [each for each in teacher if each not in set(student)]
    if missing or more:
        raise UserError(
            f"distill.teacher={name}: its classes are not the student's. Teacher ({len(teacher)}):"
            f" {', '.join(teacher)}. Student ({len(student)}): {', '.join(student)}. Take a teacher of the same"
            " classes, in any order, or distill=embeddings or features, which compare no classes"
        )
    if emits is None:
        raise UserError(
            f"distill.teacher={name}: its classes stand in another order, and this task's outputs are not one a class:"
            f" teacher {', '.join(teacher)}; student {', '.join(student)}"
        )
    return [places[each] for each in student]


def aligned(outputs: Any, places: Tensor | None) -> Any:
    """The teacher's outputs in the student's order.

    Args:
        outputs: float [B, K], or a detector's.
        places: int64 [K] from :func:`order`.
    """
    if places is None:
        return outputs
    return reordered(outputs, places) if isinstance(outputs, DetectorOutputs) else outputs[:, places]
