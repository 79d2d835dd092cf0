"""What a student is asked to imitate: outputs (arXiv 1704.04861, section 4.5), embeddings, feature maps, detections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.distill.teacher import ModelOutputs
from mobilevision.errors import UserError
from mobilevision.ops.candidates import Candidates, DetectorOutputs, PointCandidates, PointOutputs
from mobilevision.ops.rows import attribute_mean
from mobilevision.ranges import Items, NonNegativeFloat, PositiveFloat, PositiveInt, Range, check_ranges
from mobilevision.spec import Needs, OutputKind


class Objective(nn.Module, ABC):
    """How far a student is from its teacher.

    Args:
        output_kind: what the task's raw outputs are (:attr:`mobilevision.tasks.base.Task.output_kind`).
    """

    # Whether classes of both are compared one by one; whether the student's head learns from it, too.
    by_class: ClassVar[bool] = True
    reaches_head: bool = True
    # Features that it compares, of both.
    needs: Needs = Needs()

    def __init__(self, *, output_kind: OutputKind | None) -> None:
        super().__init__()
        self.output_kind = output_kind

    def prepare(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Learn the shapes from what both make of one image; layers that are needed in between are made here.

        Raises:
            UserError: shapes that cannot be compared.
        """
        if not isinstance(student.outputs, Tensor) or not isinstance(teacher.outputs, Tensor):
            raise UserError("distill: this objective compares one vector an image; for detectors take detections")
        if student.outputs.shape[1:] != at_size_of_student(teacher.outputs, student.outputs).shape[1:]:
            have, want = ([*each.outputs.shape[1:]] for each in (teacher, student))
            raise UserError(f"distill: the teacher's outputs are {have} numbers an image, the student's {want}")

    @abstractmethod
    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """Scalar parts by name; ``teacher`` carries no gradient and has its classes in the student's order."""


def squared(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Euclidean distance of vectors [B, D], the mean over B."""
    return (student.float() - teacher.float()).square().flatten(1).sum(dim=1).mean()


@final
class Outputs(Objective):
    """Cross-entropy of the student's probabilities against the teacher's.

    Of classes that exclude each other, over the softmax; of attributes, sigmoid by sigmoid, each over the samples of
    which the teacher says anything, then averaged over attributes. Outputs that are neither are compared by their
    squared distance.

    Args:
        output_kind: as in :class:`Objective`.
    """

    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """Of logits float [B, K], or [B, K, h, w] of every place; a teacher's NaN is unknown."""
        own, target = student.outputs, at_size_of_student(teacher.outputs, student.outputs)
        if self.output_kind == "softmax":
            return {"outputs": soft_cross_entropy(own, target)}
        if self.output_kind == "sigmoid":
            return {"outputs": attribute_cross_entropy(own, target)}
        return {"outputs": squared(own, target)}


def at_size_of_student(teacher: Tensor, student: Tensor) -> Tensor:
    """A teacher's outputs; maps [B, K, H, W] at the size of the student's, bilinear."""
    if teacher.ndim != 4 or student.ndim != 4 or teacher.shape[2:] == student.shape[2:]:
        return teacher
    return functional.interpolate(teacher.float(), student.shape[2:], mode="bilinear", antialias=True)


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy of softmax(student) against softmax(teacher), logits [B, K] or [B, K, h, w]."""
    known = teacher.isfinite().all(dim=1)
    target = torch.where(known[:, None], teacher.float(), 0.0).softmax(dim=1)
    each = -(target * student.float().log_softmax(dim=1)).sum(dim=1)
    return (each * known).sum() / known.sum().clamp(min=1)


def attribute_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over attributes of the mean cross-entropies of sigmoid(student) against sigmoid(teacher), logits [B, A]."""
    known = teacher.isfinite()
    target = torch.where(known, teacher.float(), 0.0).sigmoid()
    each = functional.binary_cross_entropy_with_logits(student.float(), target, reduction="none")
    return attribute_mean(each, known)


@final
class Logits(Objective):
    """Kullback-Leibler divergence at a temperature, times its square (Hinton, Vinyals and Dean, arXiv 1503.02531).

    Both logits are divided by the temperature, so that what the teacher thinks of the wrong classes weighs more; the
    square keeps the gradient's size. Zero where both agree. Attributes are taken one by one and averaged.

    Args:
        output_kind: as in :class:`Objective`.
        temperature: above 0; 1 has the gradient of plain cross-entropy.

    Raises:
        UserError: a temperature that is none, or outputs that are no logits.
    """

    @check_ranges("distill")
    def __init__(self, *, output_kind: OutputKind | None, temperature: PositiveFloat = 4.0) -> None:
        super().__init__(output_kind=output_kind)
        if output_kind not in ("softmax", "sigmoid"):
            raise UserError("distill=logits is for outputs that are logits; this task's are not: take distill=outputs")
        self.temperature = temperature

    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """Of logits float [B, K], or [B, K, h, w] of every place; a teacher's NaN is unknown."""
        theirs = at_size_of_student(teacher.outputs, student.outputs)
        known = theirs.isfinite()
        target = torch.where(known, theirs.float(), 0.0) / self.temperature
        own = student.outputs.float() / self.temperature
        if self.output_kind == "softmax":
            rows = known.all(dim=1)
            each = functional.kl_div(own.log_softmax(1), target.log_softmax(1), reduction="none", log_target=True).sum(
                1
            )
            mean = (each * rows).sum() / rows.sum().clamp(min=1)
        else:
            mean = attribute_mean(_binary_divergence(own, target), known)
        return {"logits": mean * self.temperature**2}


def _binary_divergence(own: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of sigmoid(own) from sigmoid(target), element by element."""
    sure = target.sigmoid()
    yes = sure * (functional.logsigmoid(target) - functional.logsigmoid(own))
    no = (1 - sure) * (functional.logsigmoid(-target) - functional.logsigmoid(-own))
    return yes + no


@final
class Embeddings(Objective):
    """Squared distance of the embeddings (arXiv 1704.04861, section 4.7); of other tasks, of the pooled features.

    Where the widths differ, a linear layer from the student's to the teacher's is learnt along; it is left behind when
    the student is used. Embeddings have unit length, so theirs is a sum over numbers; of pooled features it is a mean.

    Args:
        output_kind: as in :class:`Objective`.
    """

    by_class = False

    def __init__(self, *, output_kind: OutputKind | None) -> None:
        super().__init__(output_kind=output_kind)
        self.reaches_head = output_kind == "embedding"
        self.needs = Needs() if self.reaches_head else Needs(pooled=True)
        self.projection: nn.Module = nn.Identity()

    def prepare(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """See :class:`Objective`."""
        own, target = self._vector(student), self._vector(teacher)
        if own.shape[1] != target.shape[1]:
            self.projection = nn.Linear(own.shape[1], target.shape[1])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """See :class:`Objective`."""
        own, target = self.projection(self._vector(student)), self._vector(teacher)
        distance = squared(own, target)
        return {"embeddings": distance if self.reaches_head else distance / target.shape[1]}

    def _vector(self, seen: ModelOutputs) -> Tensor:
        vector = seen.outputs if self.reaches_head else seen.features.pooled if seen.features else None
        if not isinstance(vector, Tensor) or vector.ndim != 2:
            raise UserError("distill=embeddings: teacher and student must both give a vector an image")
        return vector


@final
class FeatureMaps(Objective):
    """Mean squared difference of feature maps at some strides: hint layers (FitNets, Romero et al., arXiv 1412.6550).

    A 1x1 convolution takes the student's channels to the teacher's; it is learnt along and left behind when the
    student is used. Where the two look at other sides, the teacher's map is averaged or stretched to the student's
    places. A map's scale is the teacher's own: differences are measured in its standard deviations.

    Args:
        output_kind: as in :class:`Objective`.
        strides: of the maps.

    Raises:
        UserError: no strides.
    """

    by_class = False
    reaches_head = False

    @check_ranges("distill")
    def __init__(
        self, *, output_kind: OutputKind | None, strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (16,)
    ) -> None:
        super().__init__(output_kind=output_kind)
        self.needs = Needs(strides=tuple(sorted(set(strides))))
        self.projections = nn.ModuleDict()

    def prepare(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """See :class:`Objective`."""
        if teacher.features is None or student.features is None:
            raise UserError("distill=features: the teacher has outputs only; take a run or a timm model")
        for stride in self.needs.strides:
            own, aim = (seen.features.maps[stride].shape[1] for seen in (student, teacher) if seen.features)
            self.projections[str(stride)] = nn.Conv2d(own, aim, 1)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """See :class:`Objective`."""
        assert student.features is not None
        assert teacher.features is not None
        total = student.features.maps[self.needs.strides[0]].new_zeros(())
        for stride, projection in zip(self.needs.strides, self.projections.values(), strict=True):
            own, aim = projection(student.features.maps[stride]), teacher.features.maps[stride]
            aim = at_size_of_student(aim, own)
            spread = aim.float().var().clamp(min=1e-6)
            total = total + (own.float() - aim.float()).square().mean() / spread
        return {"features": total / len(self.needs.strides)}


_NEAR = 0.02  # anchors may differ by this share of the input: rounding at other sides


@final
class Detections(Objective):
    """Candidate by candidate: cross-entropy of the class scores, and how far the boxes are from the teacher's.

    After Chen et al., "Learning efficient object detection models with knowledge distillation", NIPS 2017. Offsets from
    anchors are compared by smooth L1; distributions of a point's sides by cross-entropy (localisation distillation,
    arXiv 2102.12252, section 3.2).

    Candidates count where the teacher sees an object. Of the others, those from which the student is farthest count,
    a few for each of the former, so that images without labels also teach what is background. Both parts are divided
    by the number of sure candidates. Both detectors must start from the same boxes or points: the same kind of head at
    the same side. Of two-stage detectors the first stage is compared; the second looks at regions of its own. Of a
    student with a one-to-one reading, that learns from a teacher which has one, too; else its other reading does.

    Args:
        output_kind: as in :class:`Objective`.
        sure: probability that there is an object from which the teacher counts as sure.
        negatives: other candidates that count, for each sure one.
        box_weight: factor on the box part.
    """

    @check_ranges("distill")
    def __init__(
        self,
        *,
        output_kind: OutputKind | None,
        sure: Annotated[float, Range(above=0, below=1)] = 0.3,
        negatives: NonNegativeFloat = 3.0,
        box_weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__(output_kind=output_kind)
        self.sure, self.negatives, self.box_weight = sure, negatives, box_weight

    def prepare(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """See :class:`Objective`."""
        own, target = candidates(student, teacher)
        if isinstance(student.outputs, PointOutputs):
            self.reaches_head = not student.outputs.one_to_one  # one of its readings would be taught by nobody
        else:
            self.reaches_head = student.outputs.proposals is None
        if isinstance(own, PointCandidates) and isinstance(target, PointCandidates):
            bins, theirs = own.sides.shape[-1], target.sides.shape[-1]
            if bins != theirs:
                raise UserError(
                    f"distill=detections: the teacher's head.bins is {theirs}, the student's {bins}: set"
                    f" head.bins={theirs}, or take distill=features"
                )
        one, other = (_starts(each) for each in (own, target))
        same = one.shape == other.shape and bool((one - other).abs().amax() < _NEAR * one.amax())
        if not same or own.logits.shape[-1] > target.logits.shape[-1]:
            have, want = (each.logits.shape[1] for each in (target, own))
            raise UserError(
                f"distill=detections compares candidate by candidate, and the teacher's {have} boxes are not the"
                f" student's {want}: use the teacher's head and its data.resolution, or distill=features"
            )

    def forward(self, student: ModelOutputs, teacher: ModelOutputs) -> dict[str, Tensor]:
        """Of detectors' raw outputs."""
        own, target = candidates(student, teacher)
        with torch.autocast(own.logits.device.type, enabled=False):
            distances = distances_of(own, target)
            sure = distances.seen >= self.sure
            count = sure.sum().clamp(min=1)
            counted = sure | self._hard(distances.classes.detach(), sure)
            boxes = distances.boxes[sure].sum()
        return {"class": distances.classes[counted].sum() / count, "box": self.box_weight * boxes / count}

    def _hard(self, each: Tensor, sure: Tensor) -> Tensor:
        """Of the candidates that are not sure, those with the largest loss, at least one an image on average."""
        most = min(int(self.negatives * int(sure.sum())) + len(each), int((~sure).sum()))
        values = each.masked_fill(sure, -1).flatten()
        chosen = torch.zeros_like(values, dtype=torch.bool)
        chosen[values.topk(most).indices] = True
        return chosen.view_as(each)


AnyCandidates = Candidates | PointCandidates


class Distances(NamedTuple):
    """Of each of a student's candidates from its teacher's.

    Attributes:
        classes: float32 [B, A], of the class scores.
        boxes: float32 [B, A], of the boxes.
        seen: float32 [B, A], how sure the teacher is that there is an object.
    """

    classes: Tensor
    boxes: Tensor
    seen: Tensor


def anchor_distances(own: Candidates, target: Candidates) -> Distances:
    """Cross-entropy over the classes and background, smooth L1 of the offsets."""
    truth = target.logits[..., : own.logits.shape[-1]].float().softmax(dim=-1)
    classes = -(truth * own.logits.float().log_softmax(dim=-1)).sum(dim=-1)
    factors = own.deltas.new_tensor(own.weights) / own.deltas.new_tensor(target.weights)
    boxes = functional.smooth_l1_loss(own.deltas.float(), (target.deltas * factors).float(), reduction="none")
    return Distances(classes, boxes.sum(dim=-1), 1 - truth[..., 0])


def point_distances(own: PointCandidates, target: PointCandidates) -> Distances:
    """Cross-entropy of each class, and of the distribution of each side."""
    truth = target.probabilities()
    classes = functional.binary_cross_entropy_with_logits(own.logits.float(), truth, reduction="none")
    spread = target.sides.float().softmax(dim=-1)
    sides = -(spread * own.sides.float().log_softmax(dim=-1)).sum(dim=-1)
    return Distances(classes.sum(dim=-1), sides.mean(dim=-1), truth.amax(dim=-1))


def distances_of(own: AnyCandidates, target: AnyCandidates) -> Distances:
    """By what both start from, which is the same."""
    if isinstance(own, PointCandidates) and isinstance(target, PointCandidates):
        return point_distances(own, target)
    assert isinstance(own, Candidates)
    assert isinstance(target, Candidates)
    return anchor_distances(own, target)


def _starts(candidates: AnyCandidates) -> Tensor:
    """The anchors [B, A, 4], or the points and their strides [B, A, 3]; in pixels."""
    if isinstance(candidates, PointCandidates):
        return torch.cat((candidates.points, candidates.strides[..., None]), dim=-1)
    return candidates.anchors


def candidates(student: ModelOutputs, teacher: ModelOutputs) -> tuple[AnyCandidates, AnyCandidates]:
    """What can be compared place by place: all candidates of one stage, the first of two; the student's first.

    Raises:
        UserError: not two detectors that start alike.
    """
    own, target = student.outputs, teacher.outputs
    if isinstance(own, PointOutputs) and isinstance(target, PointOutputs):
        taught = own.one_to_many if own.one_to_many is not None and not target.one_to_one else own.final
        return taught, target.final
    if isinstance(own, DetectorOutputs) and isinstance(target, DetectorOutputs):
        one, other = (each.final if each.proposals is None else each.proposals for each in (own, target))
        return one, other
    if all(isinstance(each, PointOutputs | DetectorOutputs) for each in (own, target)):
        raise UserError(
            "distill=detections: one of teacher and student starts from anchors, the other from points: use the"
            " teacher's head, or distill=features"
        )
    raise UserError("distill=detections: teacher and student must both be detectors")
