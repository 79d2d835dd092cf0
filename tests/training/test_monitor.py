"""Which metric a run chooses by: best.ckpt, early stopping, the probe and whoever reads the run folder follow it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobilevision.callbacks.history import read_history
from mobilevision.config.compose import compose
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.training.train import train
from tests.training.test_learning_options import SMALL, run


@pytest.mark.parametrize(("metric", "mode"), [("balanced_accuracy", "max"), ("loss", "min")])
def test_the_best_epoch_is_that_of_the_metric_that_was_asked_for(tmp_path: Path, metric: str, mode: str) -> None:
    checkpoint = run(tmp_path, f"callbacks.best.monitor={metric}", "callbacks.early_stopping.enabled=true")
    rows = [float(row[f"val/{metric}"]) for row in read_history(tmp_path / "metrics.csv") if row.get(f"val/{metric}")]
    states = {name.partition("{")[0]: state for name, state in checkpoint["callbacks"].items()}
    assert states["BestCheckpoint"]["score"] == pytest.approx((max if mode == "max" else min)(rows), abs=1e-6)
    assert float(states["EarlyStopping"]["best_score"]) == pytest.approx(states["BestCheckpoint"]["score"])
    info = json.loads((tmp_path / "info.json").read_text())
    assert (info["primary"], info["mode"]) == (metric, mode)
    task = load_run(tmp_path).task
    assert (task.followed, task.followed_mode) == (metric, mode), "whoever opens the run judges by it, too"
    assert (task.primary, type(task).primary) == ("top1", "top1"), "the task's own stays what it is"


def test_an_unknown_metric_is_refused_before_training_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"monitor=topp1: must be auto or one of balanced_accuracy, ece, loss, macro_f1, top1.*mean top1\?",
    ):
        train(compose([*SMALL, f"run_dir={tmp_path}", "callbacks.best.monitor=topp1"]))
    assert not (tmp_path / "checkpoints").exists()
