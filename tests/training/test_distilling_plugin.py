"""A plugin's task, which has never heard of distillation, is distilled; so is one over two processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = [
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "logger=none",
    "callbacks.pictures.enabled=false",
    "data.workers=0",
    "data.batch_size=8",
    "data.format.train=32",
    "data.format.val=8",
    "data.format.test=8",
    "data.resolution=32",
]


def train(folder: Path, *overrides: str, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *QUICK, *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rows(run: Path) -> dict[str, tuple[float, float]]:
    found = json.loads((run / "tables.json").read_text(encoding="utf-8"))["student_and_teacher"]
    return {row["metric"]: (row["student"], row["teacher"]) for row in found}


def test_a_plugins_task_is_distilled(tmp_path: Path) -> None:
    package = ROOT / "examples" / "mobilevision_plugin_counting" / "mobilevision_plugin_counting"
    shutil.copytree(package, tmp_path / "parts" / package.name)
    shutil.move(tmp_path / "parts" / package.name / "conf", tmp_path / "parts" / "conf")
    example = {"MOBILEVISION_PATH": str(tmp_path / "parts")}
    train(tmp_path, "task=counting", "backbone.width=0.5", "run_dir=teacher", **example)
    for way in ("outputs", "features"):
        given = [f"distill={way}", "distill.teacher=teacher", "backbone.width=0.25", f"run_dir={way}"]
        train(tmp_path, "task=counting", *given, **example)
    assert rows(tmp_path / "outputs")["mean_error"][1] is not None
    assert rows(tmp_path / "features")["parameters"][0] < rows(tmp_path / "features")["parameters"][1]


@pytest.mark.slow
def test_two_processes_learn_from_a_teacher(tmp_path: Path) -> None:
    """A projection gets its gradients from both; teacher and student are measured over both."""
    train(tmp_path, "backbone.width=0.5", "run_dir=teacher")
    given = ["distill.teacher=teacher", "backbone.width=0.25", "trainer.devices=2", "trainer.strategy=ddp"]
    for way in ("outputs", "embeddings"):
        train(tmp_path, f"distill={way}", *given, f"run_dir={way}")
        assert (tmp_path / way / "metrics.json").is_file()
    assert rows(tmp_path / "outputs")["top1"][1] is not None
