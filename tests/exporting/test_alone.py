"""Exported models where nothing of ours is: a fresh environment with onnxruntime, NumPy and Pillow, and the example."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mobilevision
from mobilevision import export
from mobilevision.deploy.artifact import Artifact

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "consumer" / "use_model.py"
BOX = re.compile(r"(\w+) ([\d.]+) at (\[[^]]*\])")


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has nothing else, or skip."""
    place = tmp_path_factory.mktemp("alone") / "venv"
    venv.create(place, with_pip=True, system_site_packages=False)
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [python, "-m", "pip", "install", "-q", "onnxruntime", "numpy", "pillow"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install onnxruntime here: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    return python


@pytest.fixture(scope="module")
def detector(shared_data: Path, shared_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that finds raccoons, roughly."""
    from mobilevision.config.compose import compose
    from mobilevision.training.train import train

    folder = tmp_path_factory.mktemp("raccoons") / "run"
    small = ["data.resolution=128", "data.workers=0", "backbone.width=0.25", "trainer=cpu", "trainer.max_epochs=12"]
    weights = f"backbone.weights={shared_weights / 'mobilenet_v1_0.25_128_in1k.safetensors'}"
    calm = ["logger=none", "callbacks.pictures.count=0", f"run_dir={folder}"]
    data = ["experiment=finetune_boxes", "head=ssdlite", "data=auto", f"data.root={shared_data / 'raccoon' / 'csv'}"]
    train(compose([*data, weights, *small, *calm]))
    return folder


def said(python: Path, folder: Path, images: list[Path]) -> list[str]:
    """What the example says of each image, in an environment of its own."""
    command = [python, "-I", EXAMPLE, folder, *images]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


def test_there_is_nothing_else(lonely: Path) -> None:
    for name in ("torch", "mobilevision", "hydra", "onnx", "scipy"):
        assert subprocess.run([lonely, "-I", "-c", f"import {name}"], capture_output=True, check=False).returncode == 1


def test_a_classifier(lonely: Path, trained: Path, coloured: Path, tmp_path: Path) -> None:
    export(trained, out=tmp_path / "colours", latency=False)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    files = sorted((coloured / "test").rglob("*.png"))
    Image.open(files[0]).resize((210, 90)).save(turned, exif=exif)
    images = [*files[::4], turned]
    rows = mobilevision.load(tmp_path / "colours").predict(images)
    for line, row in zip(said(lonely, tmp_path / "colours", images), rows, strict=True):
        assert line == ", ".join(f"{each['label']} {each['score']:.3f}" for each in row["top5"][:3])


@pytest.mark.parametrize("raw", [False, True])
def test_a_detector(raw: bool, lonely: Path, detector: Path, shared_data: Path, tmp_path: Path) -> None:
    found = export(detector, out=tmp_path / "raccoons", raw=raw, latency=False)
    gate = found.manifest.about["gate"]
    assert gate["agreement"] == 1.0
    assert gate["drop"] == pytest.approx(0, abs=1e-6)
    assert {port.name for port in found.manifest.outputs} == (
        {"logits", "deltas"} if raw else {"boxes", "scores", "labels"}
    )
    images = sorted((shared_data / "raccoon" / "JPEGImages").glob("*.jpg"))[:20]
    lines = said(lonely, tmp_path / "raccoons", images)
    shown = [_boxes(line) for line in lines]
    expected = [row["detections"] for row in found.predict(images)]
    assert sum(map(len, expected)) >= 5
    for mine, theirs in zip(shown, expected, strict=True):
        assert [each["label"] for each in mine] == [each["label"] for each in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=6e-4)
            np.testing.assert_allclose(one["box"], other["box"], atol=0.11)
    _same_as_the_checkpoint(found, detector, images)


def _same_as_the_checkpoint(found: Artifact, run: Path, images: list[Path]) -> None:
    for mine, theirs in zip(found.predict(images), mobilevision.load(run, device="cpu").predict(images), strict=True):
        assert mine["found"] == theirs["found"]
        for one, other in zip(mine["detections"], theirs["detections"], strict=True):
            np.testing.assert_allclose(one["box"], other["box"], atol=0.11)


def _boxes(line: str) -> list[dict[str, Any]]:
    rows = []
    for label, score, box in BOX.findall(line):
        sides = [float(side) for side in box.strip("[]").split(",")]
        rows.append({"label": label, "score": float(score), "box": sides})
    return rows
