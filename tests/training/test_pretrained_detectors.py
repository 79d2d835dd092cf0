"""A whole detector of torchvision's as a start: trained on without its file, measured and exported without a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from mobilevision.config.compose import compose
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import train

MODEL = ("task=detection", "head=ssdlite", "backbone=mobilenet_v3", "data.workers=0", "trainer=cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's SSDLite with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "ssdlite.pth"
    torch.save(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict(), path)
    return path


def boxes(root: Path, names: tuple[str, str]) -> Path:
    """Four images for training and two for val, a box in each, as COCO json."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for split, count in (("train", 4), ("val", 2)):
        images, annotations = [], []
        for number in range(1, count + 1):
            file = f"{split}{number}.png"
            Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(root / "images" / file)
            images.append({"id": number, "file_name": file, "height": 96, "width": 128})
            box = {"bbox": [10, 10, 60, 50], "area": 3000, "iscrowd": 0, "category_id": 1 + number % 2}
            annotations.append({"id": number, "image_id": number, **box})
        classes = [{"id": place + 1, "name": name} for place, name in enumerate(names)]
        text = json.dumps({"images": images, "annotations": annotations, "categories": classes})
        (root / f"{split}.json").write_text(text)
    return root


@pytest.mark.slow
def test_the_file_may_be_gone(weights: Path, tmp_path: Path) -> None:
    """A run goes on and is loaded without it, with its layers and normalisation; config.yaml says what they are."""
    file, run = tmp_path / "here.pth", tmp_path / "run"
    file.write_bytes(weights.read_bytes())
    root = boxes(tmp_path / "data", ("dog", "raccoon"))
    given = [
        *MODEL,
        "data=auto",
        f"data.root={root}",
        f"head.weights={file}",
        "data.resolution=96",
        "data.batch_size=2",
    ]
    train(compose([*given, "trainer.max_epochs=1", "logger=none", f"run_dir={run}"]))
    assert "1 of 2 classes are COCO's and keep their outputs; new: raccoon" in (run / "info.json").read_text()
    file.unlink()
    train(compose_resume(run, ["trainer.max_epochs=2"]))
    config = (run / "config.yaml").read_text()
    for line in (f"weights: {file}", "layout: torchvision", "reduced_tail: true", "nms: 0.55"):
        assert f"  {line}\n" in config
    task = load_run(run).task
    assert task.backbone.preset.mean == (0.5, 0.5, 0.5)
    assert task.backbone.preset.bn_eps == 1e-3
    assert evaluate(run, ["trainer=cpu"])["val/map"] >= 0
    with pytest.raises(UserError, match=r"head\.weights=.*here\.pth: no such file"):
        train(compose([*given, f"run_dir={tmp_path / 'other'}"]))


def test_measured_without_a_run(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = [*MODEL, "data=auto", f"head.weights={weights}"]
    found = evaluate(None, [*common, f"data.root={boxes(tmp_path / 'known', ('Dog', 'sofa'))}"])
    assert 0 <= found["val/map"] <= 1
    shown = capsys.readouterr().out
    assert f"{weights}" in shown
    assert "head: 144 of 144 tensors matched" in shown
    assert "side 320" in shown
    with pytest.raises(UserError, match="do not know raccoon: train on this data first"):
        evaluate(None, [*common, f"data.root={boxes(tmp_path / 'unknown', ('dog', 'raccoon'))}"])


@pytest.mark.slow
def test_exported_without_a_run(weights: Path, tmp_path: Path) -> None:
    """With COCO's classes, and images stretched to the input as torchvision does."""
    from mobilevision.exporting.command import export

    pytest.importorskip("onnxruntime")
    export([*MODEL, f"head.weights={weights}"], out=tmp_path / "exported")
    manifest = json.loads((tmp_path / "exported" / "model.json").read_text())
    assert manifest["classes"][:2] == ["person", "bicycle"]
    assert len(manifest["classes"]) == 80
    assert manifest["preprocessing"]["fit"] == "stretch"
