"""Predictions for the same images of val, sent to a tracker while a training goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from mobilevision.callbacks import images
from mobilevision.config.compose import compose
from mobilevision.training.train import train
from tests.training.compare_runs import differences

SHORT = ["task=detection", "data.format.train=16", "data.format.val=12", "data.format.test=8", "data.batch_size=8"]
SHORT += ["data.workers=0", "backbone.width=0.25", "data.resolution=64", "trainer=cpu", "trainer.max_epochs=4"]
SHORT += ["callbacks.pictures.every_n_epochs=2", "callbacks.ema.enabled=true", "callbacks.pictures.activation=false"]


def trained(folder: Path, *more: str) -> Path:
    train(compose([*SHORT, f"run_dir={folder}", *more]))
    return folder


@pytest.mark.slow
def test_a_tracker_gets_them_every_few_epochs_and_nothing_else_changes(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = trained(tmp_path / "shown", "logger=tensorboard")
    read = events.EventAccumulator(str(shown / "tensorboard"), size_guidance={"images": 0}).Reload()
    steps = {tag: [each.step for each in read.Images(tag)] for tag in read.Tags()["images"] if tag.startswith("val/")}
    assert set(steps) == {f"val/predictions/{number:03d}" for number in range(8)}
    points = [each.step for each in read.Scalars("val/map")]
    assert set(map(tuple, steps.values())) == {(points[1], points[3])}, "where the numbers of these epochs stand"
    assert len(list((shown / "predictions" / "val").glob("image_*.png"))) == 8

    kept_back = trained(tmp_path / "kept_back", "logger=tensorboard", "logger.pictures=false")
    assert not (kept_back / "predictions" / "val").exists()
    assert differences(shown, kept_back) == []


def test_a_drawing_that_fails_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("no font")

    monkeypatch.setattr("mobilevision.prediction.samples.draw_followed", fails)
    with caplog.at_level(logging.WARNING, logger=images.__name__):
        run = trained(tmp_path / "run", "logger=tensorboard")
    assert (run / "metrics.json").is_file()
    assert [record.getMessage() for record in caplog.records if record.name == images.__name__] == [
        "no images of val for the tracker: no font"
    ]
