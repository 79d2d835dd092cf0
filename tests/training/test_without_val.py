"""data.val_fraction=0: all images to learn from, the last weights kept, and no option that would choose by val."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mobilevision.config.compose import compose
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.training.train import train

QUICK = ["backbone.width=0.25", "data.resolution=32", "data.batch_size=8", "data.workers=0", "logger=none"]


@pytest.fixture
def halves(coloured: Path, tmp_path: Path) -> Path:
    shutil.copytree(coloured, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "val")
    return tmp_path / "data"


def test_it_trains_tests_and_keeps_the_last_weights(halves: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["data=folder", f"data.root={halves}", "data.val_fraction=0", "trainer.max_epochs=2", f"run_dir={run}"]
    train(compose([*command, *QUICK]))
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["test/top1"] <= 1
    best, last = (load_run(run, which=which).task.state_dict() for which in ("best", "last"))
    assert all(bool((best[name] == last[name]).all()) for name in best)
    assert (run / "report.html").is_file()


def test_a_probe_chooses_by_folds_of_train(halves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data=folder", f"data.root={halves}", "data.val_fraction=0", f"run_dir={tmp_path / 'run'}"]
    train(compose([*command, *QUICK, "trainer.max_epochs=1", "probe.enabled=true", "probe.folds=3"]))
    assert "probe: probe/top1 " in capsys.readouterr().out


def test_stopping_by_val_is_refused(halves: Path, tmp_path: Path) -> None:
    command = ["data=folder", f"data.root={halves}", "data.val_fraction=0", f"run_dir={tmp_path / 'run'}"]
    command.append("callbacks.early_stopping.enabled=true")
    with pytest.raises(UserError, match=r"chooses by val, and the data has none"):
        train(compose([*command, *QUICK]))


def test_without_test_too_nothing_could_be_measured(halves: Path, tmp_path: Path) -> None:
    shutil.rmtree(halves / "test")
    command = ["data=folder", f"data.root={halves}", "data.val_fraction=0", f"run_dir={tmp_path / 'run'}"]
    with pytest.raises(UserError, match="neither val nor test"):
        train(compose([*command, *QUICK, "data.test_fraction=0"]))


def test_statistics_are_held_although_no_val_ever_interrupts_the_training(halves: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["data=folder", f"data.root={halves}", "data.val_fraction=0", "freeze.statistics=true", f"run_dir={run}"]
    train(compose([*command, *QUICK, "trainer.max_epochs=1", "callbacks.pictures.enabled=false"]))
    weights = load_run(run).task.state_dict()
    means = [value for name, value in weights.items() if name.endswith("running_mean")]
    assert means
    assert not any(bool(mean.any()) for mean in means), "random weights begin with means of zero"


def test_too_few_images_for_a_val_or_a_test(coloured: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("red", "green")):
        images = sorted((coloured / "train" / name).iterdir())
        (tmp_path / "data" / name).mkdir(parents=True)
        for image in images[: 2 if number else 1]:
            shutil.copy(image, tmp_path / "data" / name)
    given = [
        "data=folder",
        f"data.root={tmp_path / 'data'}",
        "backbone.width=0.25",
        "data.resolution=32",
        "trainer=cpu",
    ]
    given += ["data.workers=0", "logger=none", "trainer.max_epochs=1", "callbacks.pictures.count=0"]
    results = train(compose([*given, f"run_dir={tmp_path / 'run'}"]))
    assert "test/top1" in results  # the one image that could be spared
    (next((tmp_path / "data" / "green").iterdir())).unlink()
    with pytest.raises(UserError, match="neither val nor test, so nothing can be measured: add images: of 2 none can"):
        train(compose([*given, f"run_dir={tmp_path / 'other'}"]))


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_an_empty_test_is_none(tmp_path: Path, task: str) -> None:
    given = [f"task={task}", "data.format.train=16", "data.format.val=8", "data.format.test=0", "data.resolution=64"]
    given += ["backbone.width=0.25", "data.workers=0", "logger=none", "trainer.max_epochs=1"]
    results = train(compose([*given, "callbacks.pictures.count=0", f"run_dir={tmp_path / 'run'}"]))
    assert all(name.startswith("val/") for name in results)
    assert results
