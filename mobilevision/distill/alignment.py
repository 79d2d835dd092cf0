"""A teacher's outputs as the student would give them: classes matched by name, boxes in the student's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.spec import Emits


def rescaled(outputs: Any, across: float, down: float) -> Any:
    """A detector's outputs with its anchors in other pixels; anything else as it is.

    Args:
        outputs: raw outputs of any head.
        across: factor on x.
        down: factor on y.
    """
    if not isinstance(outputs, DetectorOutputs) or across == down == 1:
        return outputs

    def one(candidates: Candidates) -> Candidates:
        factors = candidates.anchors.new_tensor([across, down, across, down])
        return candidates._replace(anchors=candidates.anchors * factors)

    return DetectorOutputs(one(outputs.final), None if outputs.proposals is None else one(outputs.proposals))


def reordered(outputs: DetectorOutputs, order: Tensor) -> DetectorOutputs:
    """Class ``order[k]`` becomes class k; background stays first, unused outputs go.

    Args:
        outputs: a detector's.
        order: int64 [K].
    """
    places = torch.cat([order.new_zeros(1), order + 1])
    final = outputs.final
    deltas = final.deltas if final.deltas.ndim == 3 else final.deltas[:, :, places]
    return outputs._replace(final=final._replace(logits=final.logits[..., places], deltas=deltas))


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
