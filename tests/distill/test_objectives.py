"""What a student is asked to imitate: losses by hand, gradients to the student only, classes by name."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from mobilevision.distill import (
    Detections,
    Distiller,
    Embeddings,
    FeatureMaps,
    KnownOutputs,
    Logits,
    ModelOutputs,
    ModelTeacher,
    Objective,
    Outputs,
    order,
)
from mobilevision.distill.distiller import reordered
from mobilevision.distill.objectives import soft_cross_entropy
from mobilevision.distill.teacher import rescaled, resized
from mobilevision.errors import UserError
from mobilevision.ops.candidates import Candidates, DetectorOutputs, PointCandidates, PointOutputs
from mobilevision.ops.rows import take
from mobilevision.spec import Features, Needs


def seen(outputs: object, pooled: Tensor | None = None, **maps: Tensor) -> ModelOutputs:
    return ModelOutputs(outputs, Features({int(name[1:]): value for name, value in maps.items()}, pooled))


def detector(logits: Tensor, deltas: Tensor, references: Tensor) -> DetectorOutputs:
    batch, count = logits.shape[:2]
    boxes = references.expand(batch, count, 4)
    return DetectorOutputs(Candidates(logits, deltas, boxes, torch.ones(batch, count, dtype=torch.bool), (1, 1, 1, 1)))


def test_softmax_outputs_by_hand() -> None:
    student, teacher = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, math.log(3.0)]])
    total = math.log(math.exp(1) + math.exp(2))
    expected = 0.25 * (total - 1) + 0.75 * (total - 2)
    part = Outputs(output_kind="softmax")(seen(student), seen(teacher))["outputs"]
    assert part.item() == pytest.approx(expected, rel=1e-5)


def test_attributes_are_averaged_over_those_that_are_known() -> None:
    """Two samples of the first attribute, one of the second: the attributes weigh the same, not the cells."""
    student = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    teacher = torch.tensor([[0.0, math.log(4.0)], [0.0, math.nan]])

    def entropy(logit: float, p: float) -> float:
        q = 1 / (1 + math.exp(-logit))
        return -p * math.log(q) - (1 - p) * math.log(1 - q)

    expected = ((entropy(0, 0.5) + entropy(2, 0.5)) / 2 + entropy(1, 0.8)) / 2
    part = Outputs(output_kind="sigmoid")(seen(student), seen(teacher))["outputs"]
    assert part.item() == pytest.approx(expected, rel=1e-5)


def test_other_outputs_are_compared_by_squared_distance() -> None:
    part = Outputs(output_kind=None)(seen(torch.tensor([[1.0, 2.0], [0.0, 0.0]])), seen(torch.zeros(2, 2)))["outputs"]
    assert part.item() == pytest.approx((1 + 4) / 2)


@pytest.mark.parametrize("output_kind", ["softmax", "sigmoid"])
def test_softened_logits(output_kind: str) -> None:
    """Zero where both agree; at high temperatures the squared difference of the (centred) logits, by Hinton's limit."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 3, generator=generator) for _ in range(2))
    objective = Logits(output_kind=output_kind, temperature=200.0)  # type: ignore[arg-type]
    assert objective(seen(teacher), seen(teacher))["logits"].abs().item() < 1e-3
    difference = student - teacher
    if output_kind == "softmax":
        difference = difference - difference.mean(dim=1, keepdim=True)
        expected = difference.square().sum(dim=1).mean() / (2 * 3)
    else:
        expected = difference.square().mean() / 8
    assert objective(seen(student), seen(teacher))["logits"].item() == pytest.approx(expected.item(), rel=0.05)


def test_maps_are_compared_place_by_place_at_the_students_size() -> None:
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8, 8)
    smaller = torch.nn.functional.interpolate(teacher, (4, 4), mode="bilinear", antialias=True)
    for objective in (Outputs(output_kind="softmax"), Logits(output_kind="softmax")):
        objective.prepare(seen(student), seen(teacher))
        rows = [objective(seen(student), seen(each)) for each in (teacher, smaller)]
        assert next(iter(rows[0].values())).item() == pytest.approx(next(iter(rows[1].values())).item())
    each = -(smaller.softmax(1) * student.log_softmax(1)).sum(1).mean().item()
    assert soft_cross_entropy(student, smaller).item() == pytest.approx(each, rel=1e-5)
    with pytest.raises(UserError, match=r"\[5, 8, 8\] numbers an image, the student's \[3, 4, 4\]"):
        Outputs(output_kind="softmax").prepare(seen(student), seen(torch.randn(2, 5, 8, 8)))


def test_logits_need_logits() -> None:
    with pytest.raises(UserError, match="distill=outputs"):
        Logits(output_kind=None)
    with pytest.raises(UserError, match="temperature"):
        Logits(output_kind="softmax", temperature=0)


def test_embeddings_of_one_width_and_of_two() -> None:
    same = Embeddings(output_kind="embedding")
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    same.prepare(seen(student), seen(teacher))
    assert not list(same.parameters())
    assert same(seen(student), seen(teacher))["embeddings"].item() == pytest.approx(2.0)
    other = Embeddings(output_kind="softmax")
    assert other.needs.pooled
    pooled, wide = torch.ones(2, 4), torch.zeros(2, 6)
    other.prepare(seen(None, pooled), seen(None, wide))
    assert sum(weight.numel() for weight in other.parameters()) == 4 * 6 + 6
    projected = other.projection(pooled)
    expected = projected.square().mean()
    torch.testing.assert_close(other(seen(None, pooled), seen(None, wide))["embeddings"], expected)


def test_hints_project_and_resize() -> None:
    objective = FeatureMaps(output_kind="softmax", strides=[16])
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 8, 8)
    objective.prepare(seen(None, s16=student), seen(None, s16=teacher))
    part = objective(seen(None, s16=student), seen(None, s16=teacher))["features"]
    part.backward()
    assert all(weight.grad is not None for weight in objective.parameters())
    exact = FeatureMaps(output_kind="softmax", strides=[16])
    exact.projections["16"] = nn.Identity()
    assert exact(seen(None, s16=teacher), seen(None, s16=teacher))["features"].item() == 0


def test_detections_count_where_the_teacher_is_sure() -> None:
    """Three candidates: the teacher is sure of the first; one other, the worst, counts beside it."""
    references = torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 8.0, 16.0, 16.0], [0.0, 8.0, 8.0, 16.0]])
    truth = torch.tensor([[[-9.0, 9.0], [9.0, -9.0], [9.0, -9.0]]])
    said = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]])
    student = seen(detector(said, torch.full((1, 3, 4), 0.5), references))
    teacher = seen(detector(truth, torch.zeros(1, 3, 4), references))
    objective = Detections(output_kind="detections", negatives=0.0)
    objective.prepare(student, teacher)
    parts = objective(student, teacher)
    assert parts["class"].item() == pytest.approx(math.log(2) + math.log(1 + math.exp(3)), rel=1e-4)
    assert parts["box"].item() == pytest.approx(4 * 0.5 * 0.25)
    with pytest.raises(UserError, match="candidate by candidate"):
        objective.prepare(student, seen(detector(truth[:, :2], torch.zeros(1, 2, 4), references[:2])))


def points(logits: Tensor, sides: Tensor, stride: float = 8.0) -> PointCandidates:
    count = logits.shape[1]
    where = torch.tensor([[8.0 * number + 4, 4.0] for number in range(count)])
    return PointCandidates(logits, sides, where.expand(1, count, 2), torch.full((1, count), stride))


def test_points_imitate_scores_and_distributions_of_sides() -> None:
    """Three points: the teacher is sure of the first; one other, the farthest, counts beside it."""
    truth = torch.tensor([[[9.0, -9.0], [-9.0, -9.0], [-9.0, -9.0]]])
    said = torch.tensor([[[0.0, -9.0], [-9.0, 1.0], [3.0, -9.0]]])
    sure = torch.tensor([20.0, 0.0, 0.0]).expand(1, 3, 4, 3)
    student, teacher = points(said, torch.zeros(1, 3, 4, 3)), points(truth, sure)
    objective = Detections(output_kind="detections", negatives=0.0)
    one, other = seen(PointOutputs(student)), seen(PointOutputs(teacher))
    objective.prepare(one, other)
    assert objective.reaches_head
    parts = objective(one, other)
    assert parts["class"].item() == pytest.approx(math.log(2) + math.log(1 + math.exp(3)), rel=1e-2)
    assert parts["box"].item() == pytest.approx(math.log(3), rel=1e-4), "of equal shares against a sure teacher"
    same = objective(other, other)
    assert same["box"].item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(UserError, match="candidate by candidate"):
        objective.prepare(one, seen(PointOutputs(points(truth, sure, stride=16.0))))
    with pytest.raises(UserError, match=r"teacher's head\.bins is 5, the student's 3: set head\.bins=5"):
        objective.prepare(one, seen(PointOutputs(points(truth, torch.zeros(1, 3, 4, 5)))))
    anchored = seen(detector(torch.zeros(1, 3, 3), torch.zeros(1, 3, 4), torch.zeros(3, 4)))
    with pytest.raises(UserError, match="starts from anchors, the other from points"):
        objective.prepare(one, anchored)


def test_a_one_to_one_student_learns_as_its_teacher_reads() -> None:
    sides = torch.zeros(1, 1, 4, 3)
    alone, many = points(torch.full((1, 1, 2), 1.0), sides), points(torch.full((1, 1, 2), 2.0), sides)
    student = seen(PointOutputs(alone, one_to_one=True, one_to_many=many))
    objective = Detections(output_kind="detections")
    objective.prepare(student, seen(PointOutputs(many)))
    assert not objective.reaches_head, "one of its readings learns from labels only"
    for teacher in (PointOutputs(many), PointOutputs(alone, one_to_one=True)):
        value = torch.tensor(2.0 if teacher.final is many else 1.0)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(value, value.sigmoid()).item()
        assert objective(student, seen(teacher))["class"].item() == pytest.approx(2 * entropy, rel=1e-4)


def test_a_detectors_outputs_are_moved_and_put_in_order() -> None:
    references = torch.tensor([[0.0, 0.0, 8.0, 4.0]])
    outputs = detector(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), torch.zeros(1, 1, 4), references)
    assert rescaled(outputs, 2.0, 3.0).final.anchors.tolist() == [[[0.0, 0.0, 16.0, 12.0]]]
    assert reordered(outputs, torch.tensor([1, 0])).final.logits.tolist() == [[[0.0, 2.0, 1.0]]]
    read = PointOutputs(points(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.zeros(1, 1, 4, 3)))
    assert reordered(read, torch.tensor([2, 0])).final.logits.tolist() == [[[3.0, 1.0]]]


def test_classes_are_matched_by_name() -> None:
    assert order(["a", "b"], ["a", "b"], output_kind="softmax", name="t") is None
    assert order(["a", "b"], ["b", "a"], output_kind="softmax", name="t") == [1, 0]
    assert order(["b"], ["a", "b"], output_kind="sigmoid", name="t") == [1]
    with pytest.raises(UserError, match=r"Teacher \(2\): cat, dog. Student \(2\): cat, owl"):
        order(["cat", "owl"], ["cat", "dog"], output_kind="softmax", name="t")
    with pytest.raises(UserError, match="another order"):
        order(["a", "b"], ["b", "a"], output_kind=None, name="t")


class Pool(nn.Module):
    """A backbone in small: mean colours, after batch norm."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.sides: list[tuple[int, ...]] = []

    def forward(self, images: Tensor, needs: Needs) -> Features:
        self.sides.append(tuple(images.shape[2:]))
        maps = self.norm(images.float())
        return Features({16: maps} if needs.strides else {}, maps.mean(dim=(2, 3)))


class Last(nn.Module):
    needs = Needs(pooled=True)

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(3, classes)

    def forward(self, features: Features) -> Tensor:
        assert features.pooled is not None
        return self.layer(features.pooled)  # type: ignore[no-any-return]


def teacher(side: int = 6) -> ModelTeacher:
    return ModelTeacher(backbone=Pool(), head=Last(), resolution=(side, side), classes=("a", "b"), name="t")


def batch() -> dict[str, Tensor]:
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return {"image": images, "target": torch.tensor([0, 1, 0, 1]), "index": torch.arange(4)}


def own_loss(outputs: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"class": nn.functional.cross_entropy(outputs, batch["target"])}


def distiller(objective: Objective, teacher_: ModelTeacher, **weights: float) -> Distiller:
    return Distiller(teacher=teacher_, objective=objective, **weights)


def test_gradients_reach_the_student_only_and_the_teacher_stays_as_it_is() -> None:
    master = teacher()
    master.model.train()
    master.model.eval()
    before = {key: value.clone() for key, value in master.model.state_dict().items()}
    student, last = Pool(), Last()
    wrapped = distiller(Outputs(output_kind="softmax"), master, label_weight=0.5, weight=2.0)
    wrapped.train()
    features = student(batch()["image"], Needs(pooled=True))
    parts = wrapped(last(features), features, batch(), own_loss)
    assert set(parts) == {"class", "distil_outputs"}
    expected = 0.5 * own_loss(last(features), batch())["class"]
    torch.testing.assert_close(parts["class"], expected)
    torch.stack(list(parts.values())).sum().backward()
    assert all(weight.grad is not None for weight in [*student.parameters(), *last.parameters()])
    assert all(weight.grad is None and not weight.requires_grad for weight in master.model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in master.model.state_dict().items())
    assert not master.model.training


def test_the_teacher_is_no_part_of_the_module() -> None:
    master = teacher()
    wrapped = distiller(Outputs(output_kind="softmax"), master)
    assert not wrapped.state_dict()
    assert not list(wrapped.parameters())
    assert copy.deepcopy(wrapped).teacher is master


def test_the_teacher_looks_at_its_own_side() -> None:
    master = teacher(side=6)
    master(batch(), Needs())
    assert master.model.backbone.sides == [(6, 6)]  # type: ignore[union-attr]
    images = batch()["image"]
    assert resized(images, (8, 8)) is images
    smooth = nn.functional.interpolate(images.float(), (6, 6), mode="bilinear", antialias=True)
    torch.testing.assert_close(resized(images, (6, 6)), smooth)


def test_labels_count_only_where_there_are_some() -> None:
    wrapped = distiller(Outputs(output_kind="softmax"), teacher(), label_weight=1.0)
    last, features = Last(), Pool()(batch()["image"], Needs(pooled=True))
    outputs = last(features)
    some = {**batch(), "labelled": torch.tensor([True, False, True, False])}
    parts = wrapped(outputs, features, some, own_loss)
    expected = nn.functional.cross_entropy(outputs[[0, 2]], torch.tensor([0, 0]))
    torch.testing.assert_close(parts["class"], expected)
    none = {**batch(), "labelled": torch.zeros(4, dtype=torch.bool)}
    assert set(wrapped(outputs, features, none, own_loss)) == {"distil_outputs"}


def test_rows_of_whatever_is_nested() -> None:
    rows = torch.tensor([2, 0])
    found = take({"a": torch.arange(3), "b": ModelOutputs(torch.arange(3) * 2, None)}, rows)
    assert found["a"].tolist() == [2, 0]
    assert found["b"].outputs.tolist() == [4, 0]


def test_a_head_that_nobody_teaches_is_refused() -> None:
    wrapped = distiller(FeatureMaps(output_kind="softmax"), teacher(), label_weight=0.0)
    features = Pool()(batch()["image"], wrapped.needs)
    with pytest.raises(UserError, match="label_weight=0"):
        wrapped.prepare(ModelOutputs(None, features), batch())
    with pytest.raises(UserError, match="must be at least 0"):
        distiller(Outputs(output_kind="softmax"), teacher(), label_weight=-1.0)


def test_known_outputs_go_by_place() -> None:
    known = KnownOutputs(rows=torch.tensor([[0.0, 1.0], [2.0, 3.0]]), classes=("a", "b"), name="k")
    assert known({"index": torch.tensor([1, 0])}, Needs()).outputs.tolist() == [[2.0, 3.0], [0.0, 1.0]]
    with pytest.raises(UserError, match="no features"):
        known({"index": torch.tensor([0])}, Needs(pooled=True))


def test_teachers_that_differ_have_digests_that_differ() -> None:
    one = teacher()
    assert one.digest() == copy.deepcopy(one).digest() != teacher().digest()
