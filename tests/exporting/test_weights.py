"""Pretrained weights exported without a run: the answers of the weights themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mobilevision.backbones.imagenet import imagenet_names
from mobilevision.deploy.artifact import Artifact
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.exporting.command import export
from mobilevision.exporting.subject import calibration_of, subject_of

WIDTH = "backbone.width=0.25"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of random weights with a classifier of three classes, as somebody would publish it."""
    from mobilevision.backbones import mobilenet_v1

    torch.manual_seed(0)
    backbone = mobilenet_v1(width=0.25)
    state = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    state |= {"classifier.weight": torch.randn(3, backbone.spec.width), "classifier.bias": torch.zeros(3)}
    path = tmp_path_factory.mktemp("weights") / "published.safetensors"
    save_file(state, path)
    return f"backbone.weights={path}"


def compared(artifact: Artifact, overrides: list[str], files: list[Path]) -> float:
    """How far the file is from the weights in torch."""
    task = subject_of(overrides, gated=False).task
    pixels = np.stack([artifact.prepare(file).pixels for file in files])
    with torch.inference_mode():
        mine = task.predict(torch.from_numpy(pixels))
    return max(float(np.abs(mine[name].numpy() - value).max()) for name, value in artifact.outputs(pixels).items())


@pytest.mark.slow
def test_with_data_classes_are_its_own_and_the_gate_looks(weights: str, coloured: Path, tmp_path: Path) -> None:
    own = [weights, WIDTH, "data=folder", f"data.root={coloured}", "data.resolution=32", "data.workers=0"]
    found = export(own, out=tmp_path / "out", latency=False)
    assert found.classes == ("blue & <b>", "green", "red")
    gate = found.manifest.about["gate"]
    assert (gate["split"], gate["pictures"], gate["agreement"]) == ("test", 15, 1.0)
    assert compared(found, own, sorted((coloured / "test").rglob("*.png"))) < 1e-5
    measured = evaluate(tmp_path / "out", ["data=folder", f"data.root={coloured}", "data.workers=0"])
    assert measured["test/top1"] == pytest.approx(gate["artifact"]["top1"])
    assert calibration_of(own, 6).shape == (6, 3, 32, 32)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "published.safetensors" in card
    assert str(coloured) not in (tmp_path / "out" / "model.json").read_text(encoding="utf-8")


def test_without_data_classes_have_numbers_and_nothing_is_compared(
    weights: str, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = export([weights, WIDTH], out=tmp_path / "out", latency=False)
    assert found.classes == ("class 0", "class 1", "class 2")
    assert found.resolution == (224, 224)  # of the weights, not of the task's default data
    assert found.manifest.about["gate"] is None
    assert found.manifest.about["data"] is None
    assert "not compared" in capsys.readouterr().out
    assert "Not measured" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert compared(found, [weights, WIDTH], [next((coloured / "test").rglob("*.png"))]) < 1e-5


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["WEIGHTS", WIDTH], "--out: weights have no run folder"),
        ([WIDTH], "name a run folder, or pretrained weights with backbone.weights="),
        (["WEIGHTS", WIDTH, "task=detection"], "task=detection: weights bring no head for it"),
        (["WEIGHTS", WIDTH, "task=face_embedding"], "head.dimensions=null head.norm=false"),
        (["WEIGHTS", WIDTH, "data=shapes"], "know 3 classes, the data has 10"),
    ],
)
def test_what_weights_cannot_be_is_said(weights: str, overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        export([weights if each == "WEIGHTS" else each for each in overrides])


@pytest.mark.parametrize("asked", [{"gate_samples": 50}, {"max_drop": 0.1}])
def test_a_gate_without_images_is_refused(weights: str, asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--.*: weights bring no images to compare on: add data=auto"):
        export([weights, WIDTH], out=tmp_path / "out", **asked)


def test_int8_without_images_is_refused(weights: str) -> None:
    with pytest.raises(UserError, match=r"int8 takes its ranges from images, .* add data=auto"):
        calibration_of([weights, WIDTH], 5)


def test_data_of_one_split_is_what_ranges_come_from(weights: str, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 40), (90 * number, 10, 200)).save(tmp_path / "val" / name / f"{number}.png")
    own = [weights, WIDTH, "data=folder", f"data.root={tmp_path}", "data.resolution=32"]
    assert calibration_of(own, 4).shape == (4, 3, 32, 32)


def test_imagenets_names_are_all_different() -> None:
    names = imagenet_names()
    assert (len(names), len(set(names)), names[0]) == (1000, 1000, "tench")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("mobilenet_v1_0.25_128_in1k", [WIDTH]),
        ("mobilenet_v1_0.25_224_in1k", [WIDTH]),
        ("mobilenet_v1_0.5_160_in1k", ["backbone.width=0.5"]),
        ("mobilenet_v2_1.0_224_in1k", ["backbone=mobilenet_v2"]),
        ("mobilenet_v1_0.25_96_person", [WIDTH]),
        ("mobilenet_v1_0.25_128_in1k", [WIDTH, "task=face_embedding", "head.dimensions=null", "head.norm=false"]),
    ],
)
def test_published_weights_answer_as_in_torch(
    file: str, more: list[str], shared_weights: Path, shared_data: Path, tmp_path: Path
) -> None:
    overrides = [f"backbone.weights={shared_weights / file}.safetensors", *more]
    found = export(overrides, out=tmp_path / "out", latency=False)
    images = sorted((shared_data / "clothing" / "test").rglob("*.jpg"))[::10]
    assert compared(found, overrides, images) < 2e-5
    known = {"in1k": "tench", "person": "class 0"}[file.rpartition("_")[2]]
    assert found.classes[:1] == (() if len(more) > 2 else (known,))
