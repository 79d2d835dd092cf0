"""The parts of a multi-task configuration: added, changed and taken away on a command line, each checked as a task."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from torch import nn

from mobilevision.config.compose import compose
from mobilevision.config.loaded import read_config
from mobilevision.config.parts import is_part_name, names, part_config
from mobilevision.errors import UserError
from mobilevision.training.sweep import check_sweep, from_hydra

CARS = ["parts.cars=detection", "parts.cars.data=coco_json", "parts.cars.data.root=CARS"]


def test_the_plain_command_has_the_embedded_parts() -> None:
    cfg = compose(["task=multitask"])
    assert names(cfg) == ["objects", "ground", "forms"]
    assert [cfg.parts[name].task.kind for name in names(cfg)] == ["boxes", "class", "attributes"]
    assert (cfg.data.resolution, cfg.data.fit) == (144, "stretch"), "what the boxes ask for is shared"


def test_parts_that_are_given_take_the_place_of_the_embedded_ones() -> None:
    cfg = compose(["task=multitask", *CARS, "parts.weather=classification", "parts.weather.loss.label_smoothing=0.1"])
    assert names(cfg) == ["cars", "weather"]
    assert cfg.parts.cars.data.root == "CARS"
    assert cfg.parts.weather.loss.label_smoothing == 0.1


def test_a_side_of_a_part_is_its_own_and_another_is_what_the_parts_share() -> None:
    cfg = compose(["task=multitask", "parts.ground.data.resolution=64"])
    assert cfg.data.resolution == 144
    assert [cfg.parts[name].data.resolution for name in names(cfg)] == [None, 64, None]
    assert part_config(cfg, "ground").data.resolution == 64
    assert part_config(cfg, "forms").data.resolution == 144
    alike = [f"parts.{name}.data.resolution={side}" for name, side in (("ground", 64), ("forms", 96))]
    assert compose(["task=multitask", "~parts.objects", *alike]).data.resolution == 96


def test_an_embedded_part_is_changed_or_taken_away() -> None:
    cfg = compose(["task=multitask", "parts.objects.head=picodet", "~parts.ground"])
    assert names(cfg) == ["objects", "forms"]
    assert cfg.parts.objects.loss["_target_"].endswith("TaskAligned"), "the head brings its loss along"


def test_a_part_that_is_gone_anyway_may_be_taken_away() -> None:
    assert names(compose(["task=multitask", "~parts.objects", *CARS])) == ["cars"]
    with pytest.raises(UserError, match=r"parts\.objcts: there is no part"):
        compose(["task=multitask", "~parts.objcts"])


def test_overrides_come_in_any_order() -> None:
    cfg = compose(["parts.cars.head=ssdlite", "task=multitask", "parts.cars.data.root=CARS", CARS[1], CARS[0]])
    assert cfg.parts.cars.head["_target_"].endswith("SSDLiteHead")


def test_the_last_task_that_a_part_is_given_counts() -> None:
    cfg = compose(
        ["task=multitask", "parts.a=classification", "parts.a.loss.label_smoothing=0.1", "parts.a=fine_grained"]
    )
    assert cfg.parts.a.task.name == "fine_grained"
    assert cfg.parts.a.loss.label_smoothing == 0.1


def test_an_experiment_holds_the_whole(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "street.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /task: multitask\n\nparts:\n"
        "  cars: [task=detection, data=coco_json, data.root=CARS]\n  weather: [task=classification]\n",
        encoding="utf-8",
    )
    cfg = compose(["experiment=street", "parts.cars.head=ssdlite"], config_dir=str(tmp_path))
    assert names(cfg) == ["cars", "weather"]
    assert cfg.parts.cars.head["_target_"].endswith("SSDLiteHead")


def test_weights_are_given_at_once_or_one_by_one() -> None:
    cfg = compose(["task=multitask", "loss.weights={ground: 2}", "loss.weights.forms=0.5"])
    assert dict(cfg.loss.weights) == {"ground": 2, "forms": 0.5}


def test_the_seed_is_one_for_all() -> None:
    cfg = compose(["task=multitask", "seed=7"])
    assert {cfg.parts[name].data.seed for name in names(cfg)} == {7}


def test_a_part_alone_is_the_config_of_its_task() -> None:
    cfg = compose(["task=multitask", "data.channels=1", "backbone.width=0.5"])
    alone = part_config(cfg, "ground")
    assert (alone.task.name, alone.data.channels, alone.backbone.width) == ("classification", 1, 0.5)
    assert alone.head["_target_"].endswith("LinearHead")
    assert "parts" not in alone


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["parts.objcts.head=ssd"], ["parts.objcts: there is no part objcts", "did you mean objects"]),
        (["parts.cars=detecton"], ["parts.cars: task=detecton: there is no such task", "detection"]),
        (["parts.cars=detection", "parts.cars.head=linear"], ["parts.cars: head=linear is for class"]),
        (["parts.objects.head.stride=8"], ["parts.objects: head.stride=8", "head.strides"]),
        (["parts.objects.trainer.max_epochs=3"], ["all parts share trainer: write trainer.max_epochs=3"]),
        (["parts.objects.data.batch_size=3"], ["the parts share their batches: write data.batch_size=3"]),
        (["parts.a=multitask"], ["a part is a task by itself"]),
        (["parts.Cars=detection"], ["parts.Cars: the name of a part is made of a-z"]),
        (["parts.loss=detection"], ["parts.loss: tables of predictions have a column of this name"]),
        (["parts=none"], ["task=multitask has no parts"]),
        (["parts=nonsuch"], ["parts=nonsuch: there is no such parts"]),
        (["~parts.ground", "~parts.forms", "~parts.objects"], ["task=multitask has no parts"]),
        (["loss.weights.objcts=2"], ["loss.weights.objcts: there is no part objcts", "objects"]),
        (["data.format.sampling={cars: 2}"], ["data.format.sampling.cars: there is no part cars"]),
        (["data.format.sampling=evenly"], ["data.format.sampling=evenly: give size, even, or a weight for each part"]),
        (["data.format.sampling={objects: 2, ground: 1}"], ["{objects: 2, ground: 1, forms: 1}; missing: forms"]),
        (["parts.cars=detecton", "parts.cars.head=ssdlite", "parts.cars.data=coco_json"], ["did you mean detection?"]),
        (["data.format.sampling={}"], ["give every part a weight"]),
        (["data.format.sampling={objects: 0}"], ["objects must be above 0"]),
        (["data.format.sampling={objects: true}"], ["objects needs a number, not True"]),
        (["data.format.sampling.ground=2"], ["write data.format.sampling={ground: VALUE}"]),
        (["loss.weights.ground=abc"], ["needs a number, not the text abc"]),
        (["loss.weights={ground: -1}"], ["loss.weights.ground must be at least 0"]),
        (["parts.ground.data=multitask"], ["parts.ground: data=multitask is for multitask, task=classification"]),
    ],
)
def test_what_is_wrong_is_said_in_a_line(overrides: list[str], said: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        compose(["task=multitask", *overrides])
    for words in said:
        assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("override", ["data=multitask", "data=zzz", "loss=fixed_weights"])
def test_what_is_for_several_tasks_is_not_proposed_to_a_part(override: str) -> None:
    with pytest.raises(UserError) as raised:
        compose(["task=multitask", f"parts.ground.{override}"])
    said = str(raised.value).removeprefix(f"parts.ground: {override}")
    assert not re.search(r"multitask(?!, task=classification)", said), said


@pytest.mark.parametrize(
    "told",
    [
        {
            "head=ssd": "each part has its own head: write parts.objects.head=ssd",
            "data.format.test=64": "write parts.objects.data.format.test=64 or parts.ground.data.format.test=64",
            "distill=logits": "each part has its own distill: write parts.ground.distill=logits",
            "data=coco_json": "each part has its own data: write parts.objects.data=coco_json",
            "loss=cross_entropy": "each part has its own loss: write parts.ground.loss=cross_entropy",
            "augment=mosaic": "each part has its own augment: write parts.objects.augment=mosaic",
            "trainer.max_epohs=3": "did you mean trainer.max_epochs?",
            "data.batch_size=abc": "data.batch_size=abc: needs a whole number",
        },
        {
            "loss=uncertainty": "",
            "loss.weights.ground=2": "loss=fixed_weights has it (uncertainty learns its weights)",
            "parts.val=classification": "keys and metrics have a split of this name",
            "parts.type=classification": "this word is taken",
            "parts.objects=detection": "",
            "parts.objects.heads=ssd": "a part has task, data, head, loss, augment, distill; did you mean head?",
            "parts.objects.lr=0.1": "did you mean optimizer.lr?",
            "parts.ground=classification": "",
        },
        {
            "backbone=mobilenet_v3": "",
            "parts.objects.head=ssdlite": "",
            "parts.objects.head.weights=x.pth": "a pretrained detector starts task=detection alone",
            "loss.weights.grnd=2": "there is no part grnd; did you mean ground?",
            "callbacks.best.monitor=val/objcts/map": "the parts are objects, ground, forms; did you mean objects?",
        },
        {
            "parts.objects.head=faster_rcnn": "takes the backbone's last stage",
            "parts.ground.head=ssd": "head=ssd is for boxes",
            "callbacks.best.monitor=typo": "must be auto, mean_of_parts, loss, or PART/METRIC",
        },
    ],
)
def test_errors_of_all_parts_and_of_what_they_share_are_told_at_once(told: dict[str, str]) -> None:
    with pytest.raises(UserError) as raised:
        compose(["task=multitask", *told])
    first, *lines = str(raised.value).splitlines()
    wrong = [words for words in told.values() if words]
    assert first.startswith(f"{len(wrong)} errors"), lines
    for words in wrong:
        assert any(words in line for line in lines), words


def test_an_error_in_a_part_of_a_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "street.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /task: multitask\n\nparts:\n"
        "  cars: [task=detection, head=ssdlit]\n  weather: classification\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as raised:
        compose(["experiment=street", "parts.cars.loss.nonsuch=1"], config_dir=str(tmp_path))
    lines = str(raised.value).splitlines()
    assert any("street.yaml:6: parts.cars: head=ssdlit" in line for line in lines)
    assert any("street.yaml:7: parts.weather: in a file, a part is a list" in line for line in lines)
    assert any(line.startswith("  parts.cars: loss.nonsuch=1") for line in lines)


def test_words_that_torch_has_taken_are_no_parts() -> None:
    taken = {*dir(nn.ModuleDict()), *dir(nn.ParameterDict())}
    assert not [name for name in taken if is_part_name(name)]


def test_a_single_task_has_no_parts() -> None:
    with pytest.raises(UserError, match=r"max_epohs.*\n.*parts\.cars: only task=multitask has parts"):
        compose(["parts.cars=detection", "trainer.max_epohs=3"])


@pytest.fixture(scope="module")
def embedded() -> str:
    """The config of the embedded example, as a run keeps it."""
    return OmegaConf.to_yaml(compose(["task=multitask"]), resolve=True)


def test_a_config_that_a_run_keeps_is_read(embedded: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(embedded, encoding="utf-8")
    assert names(read_config(path)) == ["objects", "ground", "forms"]


@pytest.mark.parametrize(
    "change",
    [
        {"parts.objects.head._target_": "os.system"},
        {"parts.objects.data.format._target_": "mobilevision.data.Augment"},
        {"parts.objects.task.name": "${oc.env:HOME}"},
        {"parts.objects.head.strides": [0]},
        {"parts.objects.head": None},
        {"loss.weights": {"parts": "much"}},
        {"data.format.sampling": {"parts": -1}},
        {"parts.objects": 5},
        {"parts": [1]},
        {"parts": {}},
        {"parts.ground.task._target_": "mobilevision.tasks.multitask.Multitask"},
        {"parts.ground.head._target_": "mobilevision.heads.multitask.MultitaskHead"},
        {"parts.ground.loss._target_": "mobilevision.losses.multitask.Uncertainty"},
        {"parts.ground.data.format._target_": "mobilevision.data.formats.Multitask"},
        {"task._target_": "mobilevision.tasks.classification.Classification"},
        {"loss._target_": "mobilevision.losses.cross_entropy.CrossEntropy"},
        {"head.parts": {"ground": {"_target_": "mobilevision.heads.linear.LinearHead"}}},
        {"task.parts": {"ground": 1}},
        {"parts.ground.task.parts": {"ground": 1}},
        {"parts.ground.head.parts": {"ground": 1}},
    ],
)
def test_a_loaded_part_builds_only_what_its_groups_name(embedded: str, tmp_path: Path, change: dict[str, Any]) -> None:
    cfg, path = OmegaConf.create(embedded), tmp_path / "config.yaml"
    for key, value in change.items():
        OmegaConf.update(cfg, key, value, merge=False)
    path.write_text(OmegaConf.to_yaml(cfg), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_config(path)
    assert "parts" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../../away", "a.b", "A", "", "found"])
def test_a_loaded_part_has_a_plain_name(embedded: str, tmp_path: Path, name: str) -> None:
    values: Any = OmegaConf.to_container(OmegaConf.create(embedded))
    values["parts"][name] = values["parts"].pop("ground")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"parts.*(is no part|nothing is built there)"):
        read_config(path)


def test_a_loaded_part_downloads_nothing(tmp_path: Path) -> None:
    cfg = compose(["task=multitask", "parts.a=classification", "parts.a.data=oxford_pets"])
    path = tmp_path / "config.yaml"
    path.write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    assert cfg.parts.a.data.format.download
    assert not read_config(path).parts.a.data.format.download


def test_what_a_sweep_says_of_parts_goes_through_hydra() -> None:
    words = ["task=multitask", "~parts.forms", "parts.objects.head=ssd,picodet", "+parts.ground.head.dropout=0.1"]
    plan, given = check_sweep(words)
    assert plan.runs == 2
    assert plan.place(["++given_parts.objects-head=ssd"]).name == "objects-head-ssd"
    assert [from_hydra(line) for line in given] == [each.lstrip("+") for each in words]
    with pytest.raises(UserError, match=r"parts\.objects: head=picodett: there is no such head; did you mean picodet"):
        check_sweep(["task=multitask", "parts.objects.head=ssd,picodett"])
