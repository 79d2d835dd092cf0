"""A run that was stopped, in whatever way, ends with the very weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mobilevision.runs.callbacks.history import read_history

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.format.train=160",
    "data.format.val=20",
    "data.format.test=20",
    "data.batch_size=8",
    "data.workers=1",
    "head.dropout=0.3",
    "augment.mixup=0.2",
    "callbacks.last.every_n_steps=3",
    "callbacks.ema.enabled=true",
    "callbacks.ema.decay=0.9",
    "trainer.max_epochs=3",
    "logger=none",
]


def start(run: Path, *overrides: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *overrides],
        cwd=run.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    return output


def weights(run: Path) -> dict[str, Any]:
    """The averaged weights and those that are being trained."""
    checkpoint: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    trained = {f"trained.{name}": value for name, value in checkpoint["current_model_state"].items()}
    return {**checkpoint["state_dict"], **trained}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    run = tmp_path_factory.mktemp("whole") / "run"
    process = start(run, f"run_dir={run}", *SMALL)
    output = finish(process)
    assert process.returncode == 0, output
    return run


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_goes_on_exactly(whole: Path, tmp_path: Path, way: signal.Signals) -> None:
    run = tmp_path / "run"
    process = start(run, f"run_dir={run}", *SMALL)
    wait_for_step(run, process, at_least=24)  # inside the second of three epochs of 20 steps
    process.send_signal(way)
    output = finish(process)
    assert process.returncode != 0
    if way is not signal.SIGKILL:
        assert "resume=" in output
        assert "Traceback" not in output
    assert not same(weights(run), weights(whole))

    again = start(run, f"resume={run}")
    output = finish(again)
    assert again.returncode == 0, output
    assert same(weights(run), weights(whole))
    assert [row["epoch"] for row in read_history(run / "metrics.csv")] == ["1", "2", "3"]
    assert read_history(run / "metrics.csv") == read_history(whole / "metrics.csv")
    assert not list((run / "checkpoints").glob("*.part"))


def test_a_ruined_checkpoint_falls_back_to_the_one_before(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(run, f"run_dir={run}", *SMALL)
    wait_for_step(run, process, at_least=24)
    process.kill()
    finish(process)
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])

    again = start(run, f"resume={run}")
    output = finish(again)
    assert again.returncode == 0, output
    assert "previous.ckpt" in output
    assert same(weights(run), weights(whole))


def test_more_epochs_recompute_the_schedule_and_say_so(whole: Path) -> None:
    again = start(whole, f"resume={whole}", "trainer.max_epochs=4")
    output = finish(again)
    assert again.returncode == 0, output
    assert "schedule" in output
    assert len(read_history(whole / "metrics.csv")) == 4


def wait_for_step(run: Path, process: subprocess.Popen[str], *, at_least: int) -> None:
    """Until a checkpoint of that step can be read."""
    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        try:
            path = run / "checkpoints" / "last.ckpt"
            if torch.load(path, weights_only=True)["global_step"] >= at_least:
                return
        except Exception:  # not there yet
            pass
        time.sleep(0.05)
    raise AssertionError("the run ended, or never came so far")
