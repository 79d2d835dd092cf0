"""A teacher, what of it is to be imitated, and how much that counts beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, final

import torch
from torch import Tensor, nn

from mobilevision.distill.objectives import Objective
from mobilevision.distill.teacher import ModelOutputs, Teacher
from mobilevision.errors import UserError
from mobilevision.ops.candidates import DetectorOutputs, PointOutputs
from mobilevision.ops.rows import take
from mobilevision.ranges import NonNegativeFloat, check_ranges
from mobilevision.spec import Features, Needs, OutputKind, PartFeatures, PartOutputs

Loss = Callable[[Any, Mapping[str, Any]], dict[str, Tensor]]


@final
class Distiller(nn.Module):
    """Wraps the loss of any task: ``label_weight`` times its own parts, ``weight`` times the distance to the teacher.

    Only what is learnt along (a projection) is a part of it as a module; the teacher is not.

    Args:
        teacher: who teaches.
        objective: what is imitated.
        order: where each of the student's classes stands in the teacher's outputs; None for the same order.
        label_weight: factor on the task's own loss; 0 learns from the teacher alone.
        weight: factor on the objective.

    Raises:
        UserError: weights that leave something untaught.
    """

    order: Tensor | None

    @check_ranges("distill")
    def __init__(
        self,
        *,
        teacher: Teacher,
        objective: Objective,
        order: Sequence[int] | None = None,
        label_weight: NonNegativeFloat = 0.0,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.teacher, self.objective = teacher, objective
        self.label_weight, self.weight = label_weight, weight
        self.register_buffer("order", None if order is None else torch.tensor(order), persistent=False)

    @property
    def needs(self) -> Needs:
        """Features that the student has to give beside those that its head takes."""
        return self.objective.needs

    def prepare(self, student: ModelOutputs, batch: Mapping[str, Any]) -> None:
        """Learn the shapes from a batch and what the student makes of it.

        Raises:
            UserError: student and teacher cannot be compared, or the student's head would be taught by nobody.
        """
        self.objective.prepare(student, self.ask(self.teacher, batch))
        if self.label_weight == 0 and (self.weight == 0 or not self.objective.reaches_head):
            raise UserError(
                "distill.label_weight=0 would leave the last layers untaught, which this way of distilling does not"
                " reach: give it a number above 0"
            )

    def ask(self, teacher: Teacher, batch: Mapping[str, Any]) -> ModelOutputs:
        """What a teacher makes of a batch, its classes in the student's order."""
        seen = teacher(batch, self.needs)
        return seen._replace(outputs=aligned(seen.outputs, self.order)) if self.objective.by_class else seen

    def forward(self, outputs: Any, features: Features, batch: Mapping[str, Any], loss: Loss) -> dict[str, Tensor]:
        """Parts of the loss by name.

        Args:
            outputs: the student's raw outputs.
            features: the student's features.
            batch: where it holds ``labelled``, bool [B], only those samples have a target.
            loss: the task's own.
        """
        own = self._own(outputs, batch, loss)
        distance = self.objective(ModelOutputs(outputs, features), self.ask(self.teacher, batch))
        parts = {name: self.label_weight * part for name, part in own.items()}
        return parts | {f"distil_{name}": self.weight * part for name, part in distance.items()}

    def _own(self, outputs: Any, batch: Mapping[str, Any], loss: Loss) -> dict[str, Tensor]:
        """The task's loss, also where it counts nothing: every weight gets a gradient, as several processes demand."""
        rows = batch.get("labelled")
        if rows is None or bool(rows.all()):
            return loss(outputs, batch)
        if not bool(rows.any()):
            return {}
        return loss(take(outputs, rows), {**batch, "target": take(batch["target"], rows)})


@final
class PartDistillers(nn.Module):
    """Teachers of several tasks on one backbone: each part of the model imitates its own, or learns from labels alone.

    A part hears its teacher on the images that it has targets for, and on images without any label.

    Args:
        parts: by part that has a teacher.
        sides: (height, width) of the parts that see images at a side of their own.
        every_image: let every teacher be heard on every image, whatever parts have targets for it.
    """

    def __init__(
        self,
        parts: Mapping[str, Distiller],
        *,
        sides: Mapping[str, tuple[int, int]] | None = None,
        every_image: bool = False,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))
        self.sides, self.every_image = dict(sides or {}), every_image

    @property
    def needs(self) -> Needs:
        """As of :class:`Distiller`, of all of them."""
        return reduce(Needs.__or__, (part.needs for part in self.items().values()), Needs())

    def items(self) -> dict[str, Distiller]:
        """By part."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Distiller)}

    def rows(self, name: str, batch: Mapping[str, Any]) -> Tensor | None:
        """The images of a batch, bool [B], from which a part learns; None: from none of them."""
        target = batch["target"].get(name)
        known: Tensor | None = None if target is None else target["known"]
        if name not in self.parts:
            return known
        every = torch.ones_like(batch["index"], dtype=torch.bool)
        if self.every_image:
            return every
        labelled: Tensor = batch.get("labelled", every)
        return ~labelled if known is None else known | ~labelled

    def forward(
        self,
        outputs: Mapping[str, PartOutputs],
        features: Features | PartFeatures,
        batch: Mapping[str, Any],
        loss: Callable[..., dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """As of :class:`Distiller`, by ``part/name``; ``loss`` is a :class:`mobilevision.losses.MultitaskLoss`."""
        return loss(outputs, batch, {name: partial(self._of_part, name, features) for name in self.parts})

    def _of_part(
        self, name: str, features: Features | PartFeatures, outputs: PartOutputs, batch: Mapping[str, Any], loss: Loss
    ) -> dict[str, Tensor]:
        target = batch["target"].get(name)
        if isinstance(features, PartFeatures):
            features = features.of(self.sides.get(name))
        own = {key: batch[key] for key in ("image", "index")}
        if target is None:
            own["labelled"] = torch.zeros_like(batch["index"], dtype=torch.bool)
        else:
            own |= {"labelled": target["known"], "target": target["target"]}
        if outputs.rows is not None:
            own, features = take((own, features), outputs.rows)
        found: dict[str, Tensor] = self.parts[name](outputs.outputs, features, own, loss)
        return found


def reordered(outputs: DetectorOutputs | PointOutputs, order: Tensor) -> DetectorOutputs | PointOutputs:
    """Class ``order[k]`` becomes class k; background, where there is one, stays first, unused outputs go.

    Args:
        outputs: a detector's.
        order: int64 [K].
    """
    if isinstance(outputs, PointOutputs):
        return outputs._replace(final=outputs.final._replace(logits=outputs.final.logits[..., order]))
    places = torch.cat([order.new_zeros(1), order + 1])
    final = outputs.final
    deltas = final.deltas if final.deltas.ndim == 3 else final.deltas[:, :, places]
    return outputs._replace(final=final._replace(logits=final.logits[..., places], deltas=deltas))


def order(
    student: Sequence[str], teacher: Sequence[str], *, output_kind: OutputKind | None, name: str
) -> list[int] | None:
    """Where each class of the student stands in the teacher's outputs; None where both have the same order.

    Attributes are questions of their own, so a teacher may answer more of them than the student asks. Outputs that are
    not one a class cannot be put into another order.

    Args:
        student: the student's classes.
        teacher: the teacher's.
        output_kind: what the outputs are.
        name: the teacher's, for the message.

    Raises:
        UserError: classes that differ, with both lists.
    """
    if tuple(student) == tuple(teacher):
        return None
    places = {each: place for place, each in enumerate(teacher)}
    missing = [each for each in student if each not in places]
    more = [] if output_kind == "sigmoid" else [each for each in teacher if each not in set(student)]
    if missing or more:
        raise UserError(
            f"distill.teacher={name}: its classes are not the student's. Teacher ({len(teacher)}):"
            f" {', '.join(teacher)}. Student ({len(student)}): {', '.join(student)}. Take a teacher of the same"
            " classes, in any order, or distill=embeddings or features, which compare no classes"
        )
    if output_kind is None:
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
    return reordered(outputs, places) if isinstance(outputs, DetectorOutputs | PointOutputs) else outputs[:, places]
