"""Two real processes: the metrics of one, one run folder, the same weights everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("mobilevision")
SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.format.train=64",
    "data.format.val=21",
    "data.format.test=37",  # does not divide by two processes or by the batch
    "data.batch_size=8",
    "data.workers=0",
    "trainer.max_epochs=1",
    "logger=none",
    "callbacks.pictures.enabled=false",
]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.sync_batchnorm=false"]


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def newest(folder: Path) -> dict[str, float]:
    path = max(folder.glob("evaluations/*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def test_two_processes_measure_what_one_measures(tmp_path: Path) -> None:
    trained = tmp_path / "run"
    run(tmp_path, sys.executable, str(ROOT / "train.py"), *SMALL, *TWO, f"run_dir={trained}")
    two = json.loads((trained / "metrics.json").read_text())
    confusion = json.loads((trained / "tables.json").read_text())["confusion"]
    assert sum(value for row in confusion for key, value in row.items() if key != "class") == 37

    run(tmp_path, str(COMMAND), "evaluate", str(trained), "trainer=cpu")
    one = newest(trained)
    assert one.keys() == two.keys()
    assert one == pytest.approx(two, abs=1e-6)
    assert {name: value for name, value in one.items() if "loss" not in name and "ece" not in name} == {
        name: value for name, value in two.items() if "loss" not in name and "ece" not in name
    }


@pytest.mark.slow
def test_torchrun_shares_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILEVISION_RUN_DIR", str(tmp_path / "left_from_another_run"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29611"]
    run(tmp_path, *torchrun, str(ROOT / "train.py"), *SMALL, *TWO)
    runs = list((tmp_path / "outputs" / "classification").iterdir())
    assert len(runs) == 1
    assert (runs[0] / "metrics.json").is_file()
