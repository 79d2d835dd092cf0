"""A plugin brings kinds of target that nothing here was told of: that of docs/plugins.md, and a float vector."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.data import DataModule
from mobilevision.data.formats import Shapes
from mobilevision.data.targets import Placement, are_classes, equal, mixable
from mobilevision.images.framing import Frame
from mobilevision.spec import DataSpec

ROOT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = ["backbone.width=0.25", "data.format.train=32", "data.format.val=8", "data.format.test=8", "data.workers=0"]
QUICK = ["data.batch_size=8", "trainer=cpu", "trainer.max_epochs=1", "logger=none", "callbacks.pictures.count=4"]

VECTOR = """
from typing import final

import numpy as np
import torch
from torch.nn.functional import mse_loss

from mobilevision.data import Splits
from mobilevision.data.data_format import DataFormat
from mobilevision.losses import Loss
from mobilevision.metrics import TaskMetric
from mobilevision.tasks.base import Task
from my_data import FaceRecords


@final
class Tints(DataFormat):
    kinds = ("vector",)

    def __init__(self, *, train: int = 32, val: int = 8, test: int = 8):
        self.sizes = train, val, test

    def read(self, *, root, kind, channels, seed):
        parts = []
        for split, n in enumerate(self.sizes):
            records = FaceRecords((seed, split), n, 32, channels)
            records.targets = np.random.default_rng(split).normal(0, 3, (n, 2)).astype(np.float32)
            parts.append(records)
        return Splits(*parts, ("warm", "bright"))


@final
class Squares(Loss):
    def forward(self, outputs, batch):
        return {"squares": mse_loss(outputs, batch["target"])}


@final
class Error(TaskMetric):
    def __init__(self):
        super().__init__()
        self.add_state("total", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction, target):
        error = (prediction["vector"] - target).abs().double()
        self.total += torch.tensor([error.sum(), error.numel()], device=error.device)

    def compute(self):
        return {"error": self.total[0] / self.total[1]}


@final
class Vector(Task):
    kind, primary, mode = "vector", "error", "min"

    def decode(self, outputs):
        return {"vector": outputs}

    def configure_metrics(self):
        return Error()
"""
VECTOR_FILES = {
    "vector.py": VECTOR,
    "conf/data/tints.yaml": (
        "# Tints.\ndefaults:\n  - base\n  - _self_\n\nresolution: 32\nformat:\n  _target_: vector.Tints\n"
        "  train: 32\n  val: 8\n  test: 8\n"
    ),
    "conf/head/vector.yaml": "# Ours, lent.\ndefaults:\n  - linear\n  - _self_\n\nkinds: [vector]\n",
    "conf/loss/squares.yaml": "# Squares.\n_target_: vector.Squares\nkinds: [vector]\n",
    "conf/task/vector.yaml": (
        "# @package _global_\n# A vector.\ndefaults:\n  - /data: tints\n  - /backbone: mobilenet_v1\n"
        "  - /head: vector\n  - /loss: squares\n  - /augment: standard\n  - /optimizer: adamw\n  - /scheduler: cosine\n"
        "  - _self_\n\ntask:\n  _target_: vector.Vector\n  name: vector\n  kind: vector\n"
    ),
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory, write: Callable[[Path, dict[str, str]], Path]) -> Path:
    """A folder with both kinds, and an image to predict for."""
    recipe = dict(FILE.findall((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")))
    assert {"my_task.py", "conf/task/keypoints.yaml"} <= set(recipe)
    folder = write(tmp_path_factory.mktemp("plugin") / "mine", {**recipe, **VECTOR_FILES})
    Image.new("RGB", (96, 64), (40, 60, 80)).save(folder.parent / "face.png")
    return folder


def command(plugin: Path, *words: str, path: str | None = None, code: int = 0) -> str:
    """Run ``python train.py`` or a command of mobilevision beside the plugin; gives what it printed."""
    program = [str(ROOT / "train.py"), *words[1:]] if words[0] == "train" else ["-m", "mobilevision", *words]
    variables = {"MOBILEVISION_PATH": str(plugin) if path is None else path, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, *program],
        cwd=plugin.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_data_says_of_itself_is_kept() -> None:
    data = DataModule(format=Shapes(train=20, val=10, test=0), workers=0)
    data.read_splits().facts["skeleton"] = [[0, 1]]
    spec = data.setup_data()
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).facts == {"skeleton": [[0, 1]]}


@pytest.mark.slow  # a dozen processes
@pytest.mark.parametrize(("task", "answer"), [("keypoints", "left eye ["), ("vector", "vector [")])
def test_a_new_kind_goes_from_training_to_an_exported_models_answer(plugin: Path, task: str, answer: str) -> None:
    command(plugin, "train", f"task={task}", f"run_dir={task}", *SMALL, *QUICK)
    run = plugin.parent / task
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
    assert len(list((run / "predictions").glob("*.png"))) == 4
    name = {"keypoints": "distance", "vector": "error"}[task]
    measured = json.loads((run / "metrics.json").read_text(encoding="utf-8"))[f"test/{name}"]
    assert f"{measured:.4f}" in command(plugin, "evaluate", task)
    assert f"face.png  {answer}" in command(plugin, "predict", task, "face.png", "--out", "found")
    command(plugin, "export", task, "--no-latency")
    said = command(plugin, "predict", f"{task}/exports/onnx", "face.png", "--out", "found")
    assert f"face.png  {answer}" in said
    missing = command(plugin, "evaluate", task, path="", code=1)
    assert "was made with the plugin mine" in missing
    assert "MOBILEVISION_PATH=" in missing


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            "task=keypoints data=tints",
            "data=tints is for vector, task=keypoints learns from keypoints: take data=",
        ),
        ("task=keypoints distill=detections distill.teacher=none", "distill=detections is for boxes, task=keypoints"),
        ("task=keypoints augment=ssd", "augment=ssd is for boxes, task=keypoints learns from keypoints: take augment="),
        ("task=keypoints augment=heavy", "targets of the kind keypoints do not mix; set both to 0"),
        ("task=keypoints augment.rand_augment=3", "keypoints would stay where they are"),
    ],
)
def test_what_does_not_go_with_a_new_kind_is_one_line(plugin: Path, overrides: str, said: str) -> None:
    printed = command(plugin, "train", *overrides.split(), "run_dir=refused", *SMALL, *QUICK, code=1)
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_point_moves_as_the_pixels_under_it_do(mirrored: bool) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:14, 30:34] = 255
    frame = Frame((20.0, 4.0, 32.0, 16.0), (32, 64))
    from mobilevision.images.decode import resample

    pixels = resample(Image.fromarray(image), frame.box, frame.size)
    pixels = pixels[:, ::-1] if mirrored else pixels
    placement = Placement(frame, mirrored, (40, 60), (32, 64), training=True)
    x, y = placement.to_input.points(np.array([32.0, 12.0]))
    rows, columns = np.nonzero(pixels[..., 0] > 127)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=0.5)
    assert placement.to_input.inverse.points(np.array([x, y])) == pytest.approx([32.0, 12.0])


def test_what_targets_are() -> None:
    classes, vector, ages = np.arange(3), np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    assert [are_classes(each) for each in (classes, vector, ages)] == [True, False, False]
    assert [mixable(each) for each in (classes, vector, ages)] == [True, True, False]
    assert equal({"a": np.array([np.nan])}, {"a": np.array([np.nan])})
    assert not equal({"a": classes}, {"a": classes + 1})
