"""Several tasks on one backbone: gradients, masks, losses and numbers are those of the parts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mobilevision.backbones import mobilenet_v1
from mobilevision.config.compose import compose
from mobilevision.distill import Detections, Distiller, ModelTeacher, Outputs, PartDistillers
from mobilevision.engine.build import Built, build
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine
from mobilevision.losses.multitask import FixedWeights, Uncertainty
from mobilevision.metrics.multitask import MEAN
from mobilevision.ops.rows import take
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


def test_mixed_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"parts\.ground\.augment\.mixup"):
        compose([*SMALL, "parts.ground.augment.mixup=0.2"])


def test_the_weights_of_a_checkpoint_are_those_of_backbone_head_and_loss(built: Built) -> None:
    keys = {key.split(".")[0] for key in built.task.state_dict()}
    assert {"backbone", "head"} <= keys <= {"backbone", "head", "loss", "meters", "epoch_loss"}


PAIRS = [
    ["parts.a=face_embedding", "parts.a.data=drawn_identities", "parts.b=geolocalization"],
    ["parts.a=detection", "parts.b=face_attributes"],
    ["parts.a=fine_grained", "parts.b=face_embedding"],
    ["parts.a=geolocalization", "parts.b=detection", "parts.b.head=picodet"],
    ["parts.a=detection", "parts.a.head=ssdlite", "parts.b=classification"],
]


@pytest.mark.slow
@pytest.mark.parametrize("parts", PAIRS, ids=lambda parts: "+".join(parts))
def test_any_two_tasks_are_trained_together(parts: list[str]) -> None:
    check(["task=multitask", "backbone.width=0.25", "data.resolution=96", *parts])


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
