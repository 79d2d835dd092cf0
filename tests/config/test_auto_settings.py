"""What ``auto`` decides: the rules by table; what is set by hand stays; a run keeps what was decided."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from mobilevision.config.auto_settings import AUTO, RULES, Facts, decide, decided, open_keys, without_training
from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.reports.page import write_report
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.train import train

QUICK = ["backbone.width=0.25", "data.resolution=32", "data.workers=0", "logger=none", "callbacks.pictures.count=0"]
PLAIN = compose(["logger=none", "data=folder", "data.root=_"])
BOXES = compose(["logger=none", "task=detection", "data=auto", "data.root=_"])
SMALL = Facts("class", samples=250, classes=10, pretrained=True, probes=True)


def values(facts: Facts, cfg: Any = PLAIN, **given: Any) -> dict[str, Any]:
    changed = cfg.copy()
    for key, value in given.items():
        OmegaConf.update(changed, key.replace("__", "."), value)
    return {each.key: each.value for each in decide(changed, facts)}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts("class", samples=16, classes=2, pretrained=True, probes=True), {"data.batch_size": 8}),
        (SMALL, {"data.batch_size": 32, "probe.enabled": True, "freeze.statistics": True, "optimizer.lr": 1e-4}),
        (replace(SMALL, pretrained=False), {"probe.enabled": False, "freeze.statistics": False, "optimizer.lr": 1e-2}),
        (replace(SMALL, samples=2_000_000, classes=1000), {"data.batch_size": 64, "optimizer.lr": 5e-4}),
        (replace(SMALL, counts=(30,) * 9 + (9,)), {"loss.class_weights": "balanced"}),
        (replace(SMALL, primary="top1", counts=(30,) * 9 + (9,)), {"callbacks.best.monitor": "balanced_accuracy"}),
        (replace(SMALL, primary="top1", counts=(30,) * 9 + (11,)), {"callbacks.best.monitor": "top1"}),
        (replace(SMALL, counts=(30,) * 9 + (11,)), {"loss.class_weights": "none"}),
        (replace(SMALL, probes=False), {"probe.enabled": False, "freeze.statistics": False}),
    ],
)
def test_rules_by_table(facts: Facts, expected: dict[str, Any]) -> None:
    found = values(facts)
    assert {key: found[key] for key in expected} == expected


TINY = Facts("class", samples=6, classes=3, counts=(4, 1, 1), pretrained=True, probes=True)
FACES = Facts("identity", samples=72, classes=14, pretrained=True)
ASKED = Facts("attributes", samples=51, classes=4, pretrained=True, probes=True)


@pytest.mark.parametrize(
    ("facts", "key", "why"),
    [
        (TINY, "data.batch_size", "6 images: 8 is the smallest that is taken"),
        (replace(TINY, samples=100), "data.batch_size", "100 images: at least six steps an epoch"),
        (replace(FACES, samples=96), "data.batch_size", "96 images: 32 is the smallest that is taken, for an identity"),
        (TINY, "trainer.max_epochs", "pretrained weights, few images: 90 steps, 1 an epoch; at least 90 are taken"),
        (replace(TINY, samples=297), "trainer.max_epochs", "few images: 108 steps, 9 an epoch; 12 epochs are usual"),
        (replace(TINY, samples=10**9), "trainer.max_epochs", "15,625,000 an epoch; at most 100,000 are taken"),
        (FACES, "probe.enabled", "a probe fits classifiers, and this head gives embeddings"),
        (FACES, "trainer.gradient_clip_val", "batch statistics are not held"),
        (ASKED, "freeze.statistics", "51 images, at most 100"),
        (replace(TINY, samples=42), "freeze.statistics", "14 images a class on average, at most 100"),
        (replace(TINY, samples=42), "optimizer.lr", "14 images a class on average; the whole rate from 125 on"),
        (TINY, "augment.crop_scale", "pretrained weights"),
        (replace(TINY, pretrained=False), "augment.crop_scale", "random weights, 1,000 steps, fewer than 20,000"),
        (TINY, "callbacks.ema.enabled", "90 steps, fewer than 20,000"),
        (replace(TINY, samples=10**9), "callbacks.ema.enabled", "steps, at least 20,000"),
        (TINY, "loss.class_weights", "has 4.0 times the images of the smallest, at least 3"),
    ],
)
def test_reasons_say_what_decided(facts: Facts, key: str, why: str) -> None:
    assert why in next(each.why for each in decide(PLAIN, facts) if each.key == key)


def test_steps_that_a_time_may_cut_are_told_as_planned_ones() -> None:
    timed = PLAIN.copy()
    timed.trainer.max_time = "00:00:01:00"
    (why,) = (each.why for each in decide(timed, TINY) if each.key == "callbacks.ema.enabled")
    assert why == "90 steps without trainer.max_time, fewer than 20,000"


@pytest.mark.parametrize("samples", [1, 20, 250, 5_000, 100_000, 2_000_000])
@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("kind", ["class", "attributes", "identity", "coordinate", "boxes", "of a plugin"])
def test_every_size_gets_steps_between_a_floor_and_a_ceiling(samples: int, pretrained: bool, kind: str) -> None:
    facts = Facts(kind, samples=samples, classes=10, pretrained=pretrained, probes=kind == "class")
    found = values(facts, BOXES if kind == "boxes" else PLAIN)
    steps = found["trainer.max_epochs"] * max(1, samples // found["data.batch_size"])
    assert 80 <= steps <= 320_000
    assert found["data.batch_size"] <= 64


def test_memory_bounds_the_batch() -> None:
    large = replace(SMALL, samples=10_000, image_bytes=80 * 2**20, memory=2**30)
    assert values(large)["data.batch_size"] == 8  # 12 fit
    assert values(replace(large, image_bytes=30 * 2**20))["data.batch_size"] == 32
    assert values(replace(large, image_bytes=40 * 2**20))["data.batch_size"] == 24
    assert values(replace(large, image_bytes=200 * 2**20))["data.batch_size"] == 4


def test_small_boxes_ask_for_a_finer_map() -> None:
    facts = Facts("boxes", samples=300, classes=2, pretrained=True, strides=(8, 16, 32))
    assert values(replace(facts, box_sides={0: (80.0,) * 9, 1: (90.0,)}), BOXES)["head.strides"] == [16, 32]
    assert values(replace(facts, box_sides={0: (80.0,) * 9, 1: (14.0,)}), BOXES)["head.strides"] == [8, 16, 32]
    assert values(replace(facts, box_sides={1: (14.0,)}, strides=(16, 32)), BOXES)["head.strides"] == [16, 32]


@pytest.mark.parametrize(
    ("sides", "first"),
    [((90.0,) * 20, 0.2), ((24.0,) * 20, 0.16), ((3.0,) * 20, 0.06), ((90.0,) * 17 + (15.0,) * 3, 0.1)],
)
def test_default_boxes_are_as_small_as_the_data_s(sides: tuple[float, ...], first: float) -> None:
    facts = Facts("boxes", samples=300, classes=1, pretrained=True, input_side=300, box_sides={0: sides})
    assert values(facts, BOXES)["head.scales"] == [first, 0.95]


@pytest.mark.parametrize(
    ("samples", "pretrained", "epochs", "crops", "why"),
    [
        (
            2_400,
            False,
            10,
            0.0,
            "random weights, each image seen 10 times, fewer than 30: a whole image teaches faster",
        ),
        (2_400, True, 12, 1.0, "pretrained weights"),
        (130, False, 125, 1.0, "random weights, each image seen 125 times, at least 30"),
        (118_000, False, 10, 1.0, "random weights, 73,750 steps, at least 20,000"),
    ],
)
def test_whole_images_teach_a_detector_that_has_little_time(
    samples: int, pretrained: bool, epochs: int, crops: float, why: str
) -> None:
    found = {
        each.key: each for each in decide(BOXES, Facts("boxes", samples=samples, classes=3, pretrained=pretrained))
    }
    assert found["trainer.max_epochs"].value == epochs
    for key, usual in (("augment.iou_crop", 1.0), ("augment.zoom_out", 0.5)):
        assert (found[key].value, found[key].why) == (usual * crops, why)


@pytest.mark.parametrize(
    ("pretrained", "given", "rate", "backbone"),
    [
        (True, {}, 1e-2, 0.1),
        (True, {"optimizer__lr": 4e-3}, None, 0.25),
        (True, {"optimizer__lr": 1e-4}, None, 1.0),
        (True, {"tune__learning_rate": True}, 1e-2, 1.0),
        (False, {}, 1e-2, 1.0),
    ],
)
def test_a_pyramid_learns_faster_than_the_pretrained_weights_below_it(
    pretrained: bool, given: dict[str, Any], rate: float | None, backbone: float
) -> None:
    facts = Facts("boxes", samples=160, classes=1, pretrained=pretrained, head_from_scratch=True)
    found = values(facts, compose(["task=detection", "head=picodet"]), **given)
    assert (found.get("optimizer.lr"), found["optimizer.backbone_lr_scale"]) == (rate, backbone)
    assert values(replace(facts, head_from_scratch=False), BOXES)["optimizer.backbone_lr_scale"] == 1.0


def test_so_it_does_as_a_part() -> None:
    parts = ["parts.cars=detection", "parts.cars.head=picodet", "parts.cars.data=scenes", "parts.ground=classification"]
    cfg = compose(["task=multitask", *parts, "parts.ground.data=scenes"])
    of_parts = {
        "cars": Facts("boxes", samples=160, classes=1, pretrained=True, head_from_scratch=True),
        "ground": Facts("class", samples=160, classes=2, pretrained=True, probes=True),
    }
    facts = Facts("multitask", samples=160, pretrained=True)

    def scales(**given: float) -> dict[str, float]:
        changed = cfg.copy()
        changed.optimizer.part_lr_scale.update(given)
        return dict(decided(changed, decide(changed, facts, of_parts)).optimizer.part_lr_scale)

    assert scales() == {"cars": 10.0, "ground": 1.0}
    assert scales(cars=3.0) == {"cars": 3.0, "ground": 1.0}
    for rate, scale in ((1e-5, 10.0), (2e-3, 5.0), (0.1, 1.0)):  # a rate set by hand lowers that of every head
        cfg.optimizer.lr = rate
        assert scales() == {"cars": scale, "ground": 1.0}
    cfg.optimizer.lr = AUTO

    def told() -> list[str]:
        return [each.key for each in decide(cfg, facts, of_parts) if each.why and "part_lr_scale" in each.key]

    assert told() == ["optimizer.part_lr_scale.cars"]
    cfg.freeze.parts = ["cars"]
    assert told() == []
    of_parts["cars"] = replace(of_parts["cars"], head_from_scratch=False)
    assert scales() == {"cars": 1.0, "ground": 1.0}


@pytest.mark.parametrize(
    ("samples", "given", "held", "backbone"),
    [
        ({"cars": 200, "ground": 300}, {}, True, 0.1),  # sets of their own
        ({"cars": 500, "ground": 300}, {}, False, 1.0),  # one has all images
        ({"cars": 200, "ground": 300}, {"optimizer__lr": 1e-4}, True, 1.0),
        ({"cars": 200, "ground": 300}, {"optimizer__backbone_lr_scale": 0.5}, False, 0.5),
        ({"cars": 200, "ground": 300}, {"freeze__statistics": False}, None, 1.0),
        ({"cars": 200, "ground": 300}, {"tune__learning_rate": True}, False, 1.0),
    ],
)
def test_statistics_of_a_mixture_of_sets_are_not_learnt(
    samples: dict[str, int], given: dict[str, Any], held: bool | None, backbone: float
) -> None:
    cfg = compose(["task=multitask", "parts.cars=detection", "parts.ground=classification"])
    kinds = {"cars": "boxes", "ground": "class"}
    of_parts = {name: Facts(kinds[name], samples=count, pretrained=True) for name, count in samples.items()}
    for key, value in given.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    facts = Facts("multitask", samples=500, pretrained=True)
    found = {each.key: each.value for each in decide(cfg, facts, of_parts)}
    assert found.get("freeze.statistics") is held
    assert found.get("optimizer.backbone_lr_scale", given.get("optimizer__backbone_lr_scale")) == backbone
    many = {each.key: each.value for each in decide(cfg, replace(facts, samples=6_000), of_parts)}
    assert many.get("freeze.statistics") is (None if held is None else False)


@pytest.mark.parametrize("rate", [AUTO, 0.1])
@pytest.mark.parametrize("head", [[], ["task=detection", "head=picodet"], ["task=multitask"]])
def test_an_optimizer_needs_no_usual_rates(head: list[str], rate: float | str) -> None:
    cfg = compose([*head, "~optimizer.scratch_lr", "~optimizer.pretrained_lr", f"optimizer.lr={rate}"])
    kind = "multitask" if cfg.get("parts") else "boxes" if head else "class"
    facts = replace(SMALL, kind=kind, probes=not head, head_from_scratch=bool(head))
    for pretrained in (True, False):
        seen = replace(facts, pretrained=pretrained)
        of_parts = {str(name): replace(seen, kind="boxes") for name in cfg.get("parts") or ()}
        found = decided(cfg, decide(cfg, seen, of_parts)).optimizer
        assert (found.lr, found.backbone_lr_scale) == (None if rate == AUTO else rate, 1.0)
        assert set(found.part_lr_scale.values()) <= {1.0}


def test_what_is_set_by_hand_stays_and_is_built_on() -> None:
    found = values(SMALL, trainer__max_epochs=3, optimizer__lr=0.3)
    assert not {"trainer.max_epochs", "optimizer.lr"} & found.keys()
    by_hand = values(SMALL, data__batch_size=1)
    assert "data.batch_size" not in by_hand
    assert by_hand["trainer.max_epochs"] * 250 >= 90
    assert values(SMALL, optimizer__lr=1e-3)["freeze.statistics"] is False  # held ones would ruin the network
    assert values(SMALL, optimizer__lr=1e-4)["freeze.statistics"] is True
    assert values(SMALL, trainer__max_steps=70)["trainer.max_epochs"] == 10  # seven steps an epoch


JOINT = "batches that the parts would take alone: objects 16, ground 32, forms 32"


@pytest.mark.parametrize(
    ("of_parts", "shown", "size", "why"),
    [
        ((160, 250, 440), 850, 56, f"850 images; {JOINT}"),  # no image in common
        ((160, 250, 440), 450, 32, f"450 images; {JOINT}"),  # some
        ((200, 200, 200), 200, 16, f"200 images; {JOINT}"),  # all
        ((200, 200, 200), 600, 48, f"600 images; {JOINT}"),
    ],
)
def test_a_joint_batch_has_no_more_of_a_part_than_its_own_would(
    of_parts: tuple[int, ...], shown: int, size: int, why: str
) -> None:
    kinds = {"objects": "boxes", "ground": "class", "forms": "attributes"}
    parts = {name: Facts(kind, samples=n) for (name, kind), n in zip(kinds.items(), of_parts, strict=True)}
    cfg = compose(["logger=none", "task=multitask"])
    found = decide(cfg, Facts("multitask", samples=shown), parts)
    assert next((each.value, each.why) for each in found if each.key == "data.batch_size") == (size, why)


def test_deciding_leaves_nothing_open_and_the_config_as_it_was() -> None:
    before = OmegaConf.to_yaml(PLAIN)
    cfg = decided(PLAIN, decide(PLAIN, SMALL))
    assert OmegaConf.to_yaml(PLAIN) == before
    assert open_keys(cfg) == []
    assert open_keys(without_training(PLAIN)) == ["callbacks.best.monitor"]  # the task's own
    assert open_keys(PLAIN) == [key for key in RULES if OmegaConf.select(PLAIN, key) == AUTO] != []


@pytest.mark.parametrize(
    "words",
    [
        ["task=classification", "augment=standard"],
        ["task=detection", "head=ssd"],
        ["task=detection", "head=ssdlite"],
        ["task=detection", "head=faster_rcnn"],
        ["task=face_embedding"],
        ["task=face_attributes"],
        ["task=geolocalization"],
    ],
    ids=lambda words: words[-1],
)
def test_what_was_decided_begins_as_what_was_auto(words: list[str]) -> None:
    torch.manual_seed(0)
    first = build(compose([*words, *QUICK, "data.format.train=32"] if words[0] != "task=geolocalization" else words))
    drawn = torch.rand(1)
    torch.manual_seed(0)
    again = build(first.cfg)
    assert open_keys(first.cfg) == []
    assert torch.equal(torch.rand(1), drawn)
    for (name, one), other in zip(first.task.state_dict().items(), again.task.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.fixture(scope="module")
def fine_tuned(coloured: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = shutil.copytree(finished_run, tmp_path_factory.mktemp("weights") / "run")
    folder = tmp_path_factory.mktemp("auto") / "run"
    given = ["data=folder", f"data.root={coloured}", f"backbone.weights={weights}", f"run_dir={folder}"]
    train(compose([*given, *QUICK, "trainer.max_epochs=2"]))
    return folder


def test_a_run_keeps_what_was_decided(fine_tuned: Path) -> None:
    cfg = OmegaConf.load(fine_tuned / "config.yaml")
    assert open_keys(cfg) == []
    info = json.loads((fine_tuned / "info.json").read_text())
    decisions = {each["key"]: each["value"] for each in info["decisions"]}
    assert decisions["probe.enabled"] == "true"
    assert "trainer.max_epochs" not in decisions
    assert cfg.probe.enabled is True
    assert f"data.batch_size={cfg.data.batch_size}  (24 images" in (fine_tuned / "train.log").read_text()
    write_report(RunFolder(fine_tuned))
    assert "What auto decided" in (fine_tuned / "report.html").read_text()


def test_the_probe_is_epoch_0_and_the_best_checkpoint_is_never_below_it(fine_tuned: Path) -> None:
    from mobilevision.io.tensor_files import read_checkpoint

    with (fine_tuned / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["train/loss"] == ""
    assert float(rows[0]["val/top1"]) > 0.5
    best = read_checkpoint(fine_tuned / "checkpoints" / "best.ckpt")
    scores = [float(row["val/top1"]) for row in rows]
    state = next(value for key, value in best["callbacks"].items() if "BestCheckpoint" in key)
    assert state["score"] == pytest.approx(max(scores))
    assert state["epoch"] == scores.index(max(scores))


DOCS = Path(__file__).resolve().parents[2] / "docs" / "training.md"
SITUATIONS = {
    "20 images of 2 classes": Facts("class", samples=20, classes=2, probes=True),
    "250 of 10": Facts("class", samples=250, classes=10, probes=True),
    "2,000 of 10": Facts("class", samples=2_000, classes=10, probes=True),
    "50,000 of 10": Facts("class", samples=50_000, classes=10, probes=True),
    "1.28 million of 1,000": Facts("class", samples=1_281_167, classes=1000, probes=True),
    "boxes, 130 images": Facts("boxes", samples=130, classes=1),
    "boxes, 118,000 images": Facts("boxes", samples=118_287, classes=80),
    "attributes, 500 images": Facts("attributes", samples=500, classes=40, probes=True),
    "400 faces of 50 people (embeddings)": Facts("identity", samples=400, classes=50),
}


def situations() -> str:
    """What the rules come to, a row a situation."""
    lines = ["| images to train on | weights | batch | epochs | steps | rate (AdamW) | probe, held statistics |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, facts in SITUATIONS.items():
        for pretrained in (True, False):
            found = values(replace(facts, pretrained=pretrained), BOXES if facts.kind == "boxes" else PLAIN)
            size, epochs = found["data.batch_size"], found["trainer.max_epochs"]
            held = ", ".join(
                word for word, key in (("probe", "probe.enabled"), ("held", "freeze.statistics")) if found[key]
            )
            steps = epochs * max(1, facts.samples // size)
            weights = "pretrained" if pretrained else "random"
            rate = f"{found['optimizer.lr']:g}"
            lines.append(f"| {name} | {weights} | {size} | {epochs} | {steps:,} | {rate} | {held or 'neither'} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_situations_equals_the_rules() -> None:
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- generated: auto -->\n")
    written = f"{before}<!-- generated: auto -->\n{situations()}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    if os.environ.get("MOBILEVISION_UPDATE_DOCS"):
        DOCS.write_text(written, encoding="utf-8")
    assert written == DOCS.read_text(encoding="utf-8"), "run it with MOBILEVISION_UPDATE_DOCS=1"


def test_parts_see_their_images_as_often_as_alone() -> None:
    boxes = Facts("boxes", samples=128, classes=1, pretrained=True)
    attributes = Facts("attributes", samples=482, classes=40, pretrained=True, probes=True)
    both = Facts("multitask", samples=610, classes=41, pretrained=True)
    several = compose(["task=multitask", "parts.a=detection", "parts.b=face_attributes"])
    found = {each.key: each for each in decide(several, both, {"a": boxes, "b": attributes})}
    alone = [values(boxes, BOXES)["trainer.max_epochs"], values(attributes)["trainer.max_epochs"]]
    assert min(alone) <= found["trainer.max_epochs"].value <= max(alone)
    assert found["trainer.max_epochs"].value == round((alone[0] * 128 + alone[1] * 482) / 610)
    assert f"that each part would take alone: a {alone[0]}, b {alone[1]}" in found["trainer.max_epochs"].why
    assert found["probe.enabled"].value is True
    single = compose(["task=multitask", "parts.a=detection"])
    only_boxes = {each.key: each.value for each in decide(single, both, {"a": boxes})}
    assert only_boxes["probe.enabled"] is False
    random = replace(both, pretrained=False)
    assert {each.key: each.value for each in decide(single, random, {"a": boxes})}["probe.enabled"] is False
