"""Several tasks on one backbone: gradients, masks, losses and numbers are those of the parts."""

from __future__ import annotations

import copy
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mobilevision.backbones import mobilenet_v1
from mobilevision.config.compose import compose
from mobilevision.distill import Detections, Distiller, Embeddings, ModelOutputs, ModelTeacher, Outputs, PartDistillers
from mobilevision.engine.build import Built, build
from mobilevision.errors import UserError
from mobilevision.heads import Head
from mobilevision.heads.multitask import MultitaskHead, shrunk
from mobilevision.images.framing import Affine
from mobilevision.losses.multitask import FixedWeights, Uncertainty, without_conflicts
from mobilevision.metrics.multitask import MEAN
from mobilevision.ops.rows import take
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs
from mobilevision.testing import check
from mobilevision.testing.conformance import handful

SMALL = ["task=multitask", "backbone.width=0.25", "data.resolution=96", "data.workers=0"]


@pytest.fixture(scope="module")
def built() -> Built:
    return build(compose(SMALL))


def loss_of(task: Any, batch: dict[str, Any]) -> Tensor:
    return torch.stack(list(task.loss(task.outputs(batch), batch).values())).sum()


def gradients(task: Any) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in task.named_parameters() if weight.grad is not None}


def fresh(built: Built) -> tuple[Any, dict[str, Any]]:
    """The task in training, but for batch statistics, which are other ones for each subset of a batch."""
    task = built.task.train()
    for module in task.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    task.zero_grad(set_to_none=True)
    return task, handful(built)


def only(batch: dict[str, Any], name: str) -> dict[str, Any]:
    return {**batch, "target": {name: batch["target"][name]}}


def test_one_pass_gives_the_gradients_of_separate_passes(built: Built) -> None:
    task, batch = fresh(built)
    loss_of(task, batch).backward()
    together = gradients(task)
    task.zero_grad(set_to_none=True)
    for name in task.parts:
        loss_of(task, only(batch, name)).backward()
    apart = gradients(task)
    assert together.keys() == apart.keys()
    for name, value in together.items():
        torch.testing.assert_close(value, apart[name], rtol=1e-3, atol=1e-5, msg=name)


def test_what_a_part_does_not_know_of_an_image_gives_no_gradient(built: Built) -> None:
    task, batch = fresh(built)
    known = torch.arange(len(batch["index"])) % 2 == 0
    masked = copy.deepcopy(batch)
    for part in masked["target"].values():
        part["known"] = known.clone()
    loss_of(task, masked).backward()
    some = gradients(task)
    task.zero_grad(set_to_none=True)
    loss_of(task, take(batch, known)).backward()
    alone = gradients(task)
    for name, value in some.items():
        torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=1e-5, msg=name)


def test_wrong_labels_of_unknown_images_change_nothing(built: Built) -> None:
    task, batch = fresh(built)
    masked = copy.deepcopy(batch)
    masked["target"]["ground"]["known"][3:] = False
    before = loss_of(task, masked)
    masked["target"]["ground"]["target"][3:] = 7
    assert loss_of(task, masked) == before


def test_a_batch_of_which_nothing_is_known_has_a_loss_of_zero(built: Built) -> None:
    task, batch = fresh(built)
    empty = copy.deepcopy(batch)
    for part in empty["target"].values():
        part["known"][:] = False
    loss = loss_of(task, empty)
    assert float(loss) == 0.0
    assert float(loss_of(task, {**batch, "target": {}})) == 0.0


def test_predictions_are_those_of_the_parts(built: Built) -> None:
    task = built.task.eval()
    image = handful(built)["image"]
    with torch.no_grad():
        together = task.predict(image)
        for name, part in task.parts.items():
            alone = part.decode(part.outputs({"features": task.extract(image)}))
            for key, value in alone.items():
                assert torch.equal(together[f"{name}/{key}"], value)


def test_the_mean_of_the_parts_is_what_it_says(built: Built) -> None:
    task, batch = built.task.eval(), handful(built)
    metric = task.configure_metrics()
    with torch.no_grad():
        metric.update(task.predict(batch["image"]), batch["target"])
    values = {name: float(value) for name, value in metric.compute().items()}
    primary = [values["objects/map"], values["ground/top1"], values["forms/mean_ap"]]
    assert values[MEAN] == pytest.approx(sum(primary) / 3)


def test_fixed_weights_multiply(built: Built) -> None:
    task, batch = built.task.eval(), handful(built)
    outputs = task.outputs(batch)
    parts = dict(task.loss.parts.items())
    plain = FixedWeights(data=task.data_spec, parts=parts)(outputs, batch)
    twice = FixedWeights(data=task.data_spec, parts=parts, weights={"ground": 2.0})(outputs, batch)
    for name, value in plain.items():
        assert float(twice[name].detach()) == pytest.approx(float(value.detach()) * (2 if "ground" in name else 1))
    with pytest.raises(UserError, match="weights"):
        FixedWeights(data=task.data_spec, parts=parts, weights={"ground": -1.0})


def test_uncertainty_begins_at_one_and_is_learnt(built: Built) -> None:
    task, batch = built.task.eval(), handful(built)
    outputs = task.outputs(batch)
    parts = dict(task.loss.parts.items())
    loss = Uncertainty(data=task.data_spec, parts=parts)
    plain = sum(FixedWeights(data=task.data_spec, parts=parts)(outputs, batch).values())
    learnt = sum(loss(outputs, batch).values())
    assert float(torch.as_tensor(learnt)) == pytest.approx(float(torch.as_tensor(plain)))
    torch.as_tensor(learnt).backward()
    own = {name: weight.grad for name, weight in loss.log_variances.items()}
    for name, grad in own.items():  # d/ds of exp(-s) L + s / 2 at 0 is 1 / 2 - L
        whole = sum(v for k, v in loss(outputs, batch).items() if k.startswith(f"{name}/") and k != f"{name}/weight")
        assert float(grad) == pytest.approx(0.5 - float(torch.as_tensor(whole)), rel=1e-4)


def test_gradients_of_the_backbone_lose_what_works_against_another_part(built: Built) -> None:
    task, batch = fresh(built)
    losses = task.loss(task.outputs(batch), batch)
    losses["forms/against"] = -3 * sum(value for key, value in losses.items() if key.startswith("ground"))
    shared, heads = list(task.backbone.parameters()), list(task.head.parameters())

    def gradient(loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        return torch.cat(
            [(torch.zeros_like(w) if g is None else g).flatten() for w, g in zip(shared, found, strict=True)]
        )

    alone = {
        n: gradient(sum(v for key, v in losses.items() if key.startswith(n))) for n in ("objects", "ground", "forms")
    }
    assert float(alone["ground"] @ alone["forms"]) < 0
    torch.manual_seed(3)
    expected = torch.zeros_like(alone["ground"])
    for name, vector in alone.items():  # algorithm 1 of the paper, word for word
        own = vector.clone()
        for place in torch.randperm(len(alone)).tolist():
            other, theirs = list(alone.items())[place]
            if other != name and own @ theirs < 0:
                own -= own @ theirs / (theirs @ theirs) * theirs
        expected += own
    of_heads = torch.autograd.grad(sum(losses.values()), heads, retain_graph=True, allow_unused=True)
    task.loss.gradient_surgery = True
    try:
        torch.manual_seed(3)
        total = task.added_up(losses)
    finally:
        task.loss.gradient_surgery = False
    assert float(total.detach()) == pytest.approx(float(sum(losses.values()).detach()))
    (total / 2).backward()  # as where two batches make a step
    found = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in shared])
    assert float((2 * found - expected).norm() / expected.norm()) < 1e-4
    for weight, plain in zip(heads, of_heads, strict=True):
        torch.testing.assert_close(weight.grad, None if plain is None else plain / 2)


def test_gradients_that_agree_stay_as_they_are() -> None:
    agreeing = [[torch.tensor([1.0, 2.0]), None], [torch.tensor([2.0, 0.0]), torch.tensor([1.0])]]
    assert all(
        (a is None and b is None) or torch.equal(a, b)
        for kept, given in zip(without_conflicts(agreeing), agreeing, strict=True)
        for a, b in zip(kept, given, strict=True)
    )


def test_mixed_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"parts\.ground\.augment\.mixup"):
        compose([*SMALL, "parts.ground.augment.mixup=0.2"])


def test_the_weights_of_a_checkpoint_are_those_of_backbone_head_and_loss(built: Built) -> None:
    keys = {key.split(".")[0] for key in built.task.state_dict()}
    assert {"backbone", "head"} <= keys <= {"backbone", "head", "loss", "meters", "epoch_loss"}


KINDS = ("classification", "detection", "face_attributes", "face_embedding", "geolocalization")
HEADS = {"classification": "ssdlite", "geolocalization": "picodet", "detection": "picodet"}
"""Of a detector beside a task; beside others it has its own."""


def test_pairs_are_of_all_kinds() -> None:
    tasks = {path.stem for path in (Path(__file__).parents[2] / "conf" / "task").glob("*.yaml")}
    kinds = {name: compose([f"task={name}"]).task.kind for name in tasks - {"multitask"}}
    assert set(kinds.values()) == {kinds[name] for name in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), combinations_with_replacement(KINDS, 2))
def test_any_two_tasks_are_trained_together(one: str, other: str) -> None:
    parts = [f"parts.a={one}", f"parts.b={other}"]
    if "detection" in (one, other) and (head := HEADS.get(one if other == "detection" else other)):
        parts.append(f"parts.{'b' if other == 'detection' else 'a'}.head={head}")
    check(["task=multitask", "backbone.width=0.25", "data.resolution=64", *parts])


OWN_SIDES = ["parts.ground.data.resolution=64", "parts.forms.data.resolution=64"]


@pytest.fixture(scope="module")
def sides() -> Built:
    return build(compose([*SMALL, *OWN_SIDES]))


def test_a_part_with_a_side_of_its_own_sees_the_images_at_it(sides: Built) -> None:
    task, image = sides.task.eval(), handful(sides)["image"]
    assert task.parts["ground"].data_spec.resolution == (64, 64)
    assert task.parts["objects"].data_spec.resolution == task.data_spec.resolution == (96, 96)
    with torch.no_grad():
        together = task.predict(image)
        for name, seen in (("objects", image), ("ground", shrunk(image, (64, 64))), ("forms", shrunk(image, (64, 64)))):
            part = task.parts[name]
            alone = part.decode(part.outputs({"image": seen}))
            for key, value in alone.items():
                torch.testing.assert_close(together[f"{name}/{key}"], value)


def test_a_pass_at_a_side_learns_from_the_images_of_its_parts_alone(sides: Built) -> None:
    task, batch = fresh(sides)
    known = torch.arange(len(batch["index"])) % 2 == 0
    masked = copy.deepcopy(batch)
    masked["target"]["objects"]["known"] = ~known
    for name in ("ground", "forms"):
        masked["target"][name]["known"] = known.clone()
    seen: list[tuple[int, ...]] = []
    handle = task.backbone.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    loss_of(task, masked).backward()
    handle.remove()
    assert seen == [(int((~known).sum()), 3, 96, 96), (int(known.sum()), 3, 64, 64)]
    together = gradients(task)
    task.zero_grad(set_to_none=True)
    for name in task.parts:
        loss_of(task, only(masked, name)).backward()
    for name, value in gradients(task).items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_teacher_compares_features_of_the_side_of_its_part(sides: Built) -> None:
    task, batch = fresh(sides)
    spec = task.parts["ground"].data_spec
    backbone, head = copy.deepcopy(task.backbone), copy.deepcopy(task.parts["ground"].head)
    teacher = ModelTeacher(backbone=backbone, head=head, resolution=(64, 64), classes=spec.classes, name="itself")
    distiller = Distiller(teacher=teacher, objective=Embeddings(output_kind="softmax"), label_weight=1.0)
    with torch.no_grad():
        features = task.extract(batch["image"])
        ground = ModelOutputs(torch.zeros(1), features.at[64, 64])
        distiller.prepare(ground, {"image": shrunk(batch["image"], (64, 64)), "index": batch["index"]})
    teachers = PartDistillers({"ground": distiller}, sides=task.heads.sides)
    found = losses_under(teachers, task, batch)
    own = ModelOutputs(None, features.at[64, 64])
    expected = distiller.objective(own, distiller.ask(teacher, batch))
    for name, value in expected.items():
        torch.testing.assert_close(found[f"ground/distil_{name}"], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("parts.objects.data.resolution=64", "what lies in the image, such as boxes"),
        ("parts.ground.data.resolution=128", "give data.resolution=128 or more"),
    ],
)
def test_a_side_that_a_part_cannot_have_is_refused(override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(compose([*SMALL, override]))


@pytest.mark.parametrize(("size", "to"), [((96, 96), (48, 32)), ((100, 77), (33, 50)), ((64, 64), (64, 64))])
def test_shrinking_averages(size: tuple[int, int], to: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    found = shrunk(image, to)
    assert found.shape == (2, 3, *to)
    if size == to:
        assert torch.equal(found, image.float())
    elif size[0] % to[0] == size[1] % to[1] == 0:
        torch.testing.assert_close(found, torch.nn.functional.adaptive_avg_pool2d(image.float(), to))
    torch.testing.assert_close(shrunk(torch.full_like(image, 7), to), torch.full((2, 3, *to), 7.0))


def test_a_backbone_is_shared_and_not_copied(built: Built) -> None:
    for part in built.task.parts.values():
        assert part.backbone is built.task.backbone
    assert sum(1 for _ in built.task.backbone.parameters()) == sum(1 for _ in mobilenet_v1(width=0.25).parameters())


def test_an_image_of_which_one_part_knows_nothing_is_drawn_all_the_same(built: Built) -> None:
    task, batch = built.task.eval(), handful(built)
    with torch.no_grad():
        prediction = take(task.predict(batch["image"]), 0)
    image = batch["image"][0].permute(1, 2, 0).contiguous().numpy()
    for name in task.parts:
        target = take({key: value for key, value in batch["target"].items() if key != name}, 0)
        mapping = Affine(2.0, 2.0, 0.0, 0.0)
        placed = [task.locate(values, mapping) for values in (prediction, target)]
        assert task.draw(image, *placed).width > image.shape[1]
        assert f"{name}: " not in task.truth(target)
        assert set(task.locate(target, mapping)) == set(target)


def test_parts_are_in_the_mode_that_is_restored_module_by_module(built: Built) -> None:
    task = built.task.eval()
    assert not any(part.training for part in task.parts.values())
    for module in task.modules():  # as Lightning does after a validation
        module.training = True
    assert all(part.training for part in task.parts.values())


def test_a_frozen_part_does_not_learn_and_others_learn_at_their_rates() -> None:
    built = build(compose([*SMALL, "freeze.parts=[forms]", "optimizer.part_lr_scale.ground=0.5"]))
    task, batch = fresh(built)
    task.freeze_parts(["forms"])
    losses = task.loss(task.outputs(batch), batch)
    assert {name.partition("/")[0] for name in losses} == {"objects", "ground"}
    torch.stack(list(losses.values())).sum().backward()
    assert not any(name.startswith("head.parts.forms") for name in gradients(task))
    optimizer = task.optimizer_factory(backbone=task.backbone.model, head=torch.nn.ModuleList([task.head, task.loss]))
    rates = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
    own = {name: rates[id(next(part.head.parameters()))] for name, part in task.parts.items()}
    assert own["ground"] == pytest.approx(own["objects"] / 2)
    task.zero_grad(set_to_none=True)
    nothing = task.added_up(task.loss(task.outputs(only(batch, "forms")), only(batch, "forms")))
    nothing.backward()  # a batch that only the frozen part knows
    assert nothing == 0
    assert not any(bool(each.any()) for each in gradients(task).values())
    with pytest.raises(UserError, match="no part is left to learn"):
        task.freeze_parts(list(task.parts))


def test_shared_keys_speak_of_parts_that_there_are() -> None:
    with pytest.raises(UserError, match=r"freeze\.parts=\[form\]: there is no part form; did you mean forms"):
        compose([*SMALL, "freeze.parts=[form]"])
    with pytest.raises(UserError, match=r"freeze\.parts=\[objects, ground, forms\]: no part is left to learn"):
        compose([*SMALL, "freeze.parts=[forms,ground,objects]"])
    with pytest.raises(UserError, match=r"optimizer\.part_lr_scale\.grund: there is no part grund"):
        compose([*SMALL, "optimizer.part_lr_scale.grund=2"])
    for alone in ("freeze.parts=[a]", "optimizer.part_lr_scale.a=2"):
        with pytest.raises(UserError, match=r"only task=multitask has parts: leave it out"):
            compose(["task=classification", alone])


# --- teachers ---


@pytest.fixture(scope="module")
def taught(built: Built) -> PartDistillers:
    """Ground and objects under teachers that are the model itself as it was at first."""
    made = {}
    for name, objective in (("ground", Outputs(output_kind="softmax")), ("objects", Detections(output_kind=None))):
        part = built.task.parts[name]
        teacher = ModelTeacher(
            backbone=copy.deepcopy(built.task.backbone),
            head=copy.deepcopy(part.head),
            resolution=part.data_spec.resolution,
            classes=part.data_spec.classes,
            name=name,
        )
        made[name] = Distiller(teacher=teacher, objective=objective, label_weight=0.5)
    return PartDistillers(made)


def losses_under(teachers: PartDistillers, task: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
    task.distiller = teachers
    try:
        features = task.extract(batch["image"], teachers.needs)
        found: dict[str, Tensor] = teachers(task.outputs({**batch, "features": features}), features, batch, task.loss)
    finally:
        task.distiller = None
    return found


def test_a_part_is_taught_as_it_would_be_alone(built: Built, taught: PartDistillers) -> None:
    task, batch = fresh(built)
    known = torch.arange(len(batch["index"])) % 2 == 0
    batch["target"]["ground"]["known"] &= known
    together = losses_under(taught, task, batch)
    part, some = task.parts["ground"], take(batch, known)
    alone = {"image": some["image"], "index": some["index"], "target": some["target"]["ground"]["target"]}
    features = task.extract(alone["image"])
    single = taught.items()["ground"](part.head(features), features, alone, part.loss)
    for name, value in single.items():
        torch.testing.assert_close(together[f"ground/{name}"], value, rtol=1e-4, atol=1e-5)
    labels_alone = task.loss(task.outputs(batch), batch)
    for name, value in labels_alone.items():
        if name.startswith("forms/"):
            torch.testing.assert_close(together[name], value)  # which has no teacher
    assert {"objects/distil_class", "objects/distil_box"} <= together.keys()


def test_images_without_labels_are_heard_of_from_teachers_alone(built: Built, taught: PartDistillers) -> None:
    task, batch = fresh(built)
    for part in batch["target"].values():
        part["known"][:] = False
    del batch["target"]["objects"]  # as where boxes of no image of a batch are known
    assert losses_under(taught, task, batch).keys() == {"nothing"}
    batch["labelled"] = torch.zeros(len(batch["index"]), dtype=torch.bool)
    heard = losses_under(taught, task, batch)
    assert set(heard) == {"ground/distil_outputs", "objects/distil_class", "objects/distil_box"}
    everywhere = PartDistillers(taught.items(), every_image=True)
    del batch["labelled"]
    for name, value in losses_under(everywhere, task, batch).items():
        torch.testing.assert_close(value, heard[name])


def test_four_images_in_one_have_no_class_in_common() -> None:
    with pytest.raises(UserError, match=r"parts\.objects\.augment\.mosaic joins four images"):
        build(compose([*SMALL, "parts.objects.augment=mosaic", "parts.objects.augment.mosaic=0.5"]))


class Looking(Head):
    """A head of which only the needs matter."""

    def __init__(self, needs: Needs) -> None:
        super().__init__(backbone=BackboneSpec(8, {8: 4, 16: 4, 32: 4}), data=DataSpec("mask", ("a",), 3, (32, 32)))
        self.needs = needs

    def forward(self, features: Features) -> Any:
        return features.maps[8]


def test_dilated_stages_are_shared_by_those_that_want_them_so() -> None:
    dilated, plain = Needs((8, 32), output_stride=16), Needs((16, 32))
    shared = {"backbone": BackboneSpec(8, {8: 4, 16: 4, 32: 4}), "data": DataSpec("multitask", ("a",), 3, (32, 32))}
    heads = {"road": Looking(dilated), "sky": Looking(dilated), "low": Looking(Needs((8, 16)))}
    assert MultitaskHead(**shared, parts=heads).needs == Needs((8, 16, 32), output_stride=16)
    with pytest.raises(UserError, match=r"parts\.cars\.head takes .* dilated to stride 16: .*head\.output_stride=32"):
        MultitaskHead(**shared, parts={"road": Looking(dilated), "cars": Looking(plain)})
