"""``trainer.max_time``: the length that fits, and a run that is at its time is finished."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from mobilevision.config.compose import compose
from mobilevision.config.settings import seconds_of
from mobilevision.errors import UserError
from mobilevision.optim import Cosine
from mobilevision.training import time_budget
from mobilevision.training.resuming import compose_resume
from mobilevision.training.time_budget import fitting_length
from mobilevision.training.train import train

QUICK = ["backbone.width=0.25", "data.resolution=32", "data.workers=0", "logger=none", "callbacks.pictures.count=0"]


def test_a_time_is_days_hours_minutes_seconds() -> None:
    assert seconds_of("01:02:03:04") == 86_400 + 2 * 3600 + 3 * 60 + 4


@pytest.mark.parametrize("wrong", ["10", "00:10:00", "00:00:00:00", "soon", "-1:00:00:00"])
def test_any_other_time_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match=r"trainer.max_time=.*days:hours:minutes:seconds"):
        seconds_of(wrong)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (1000.0, ("trainer.max_epochs", 40)),  # never more than four times the usual
        (110.0, ("trainer.max_epochs", 8)),  # (0.95 * 110 - 5 for the test) / (10 steps of 1 s + 2 looks of 1 s)
        (15.0, ("trainer.limit_train_batches", 7)),
        (1.0, ("trainer.limit_train_batches", 1)),
    ],
)
def test_what_fits(left: float, expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_budget, "_seconds_a_step", lambda *_, **__: 1.0)
    monkeypatch.setattr(time_budget, "_seconds_an_eval_batch", lambda *_, **__: 1.0)
    lengths = {"val": 2, "test": 5}
    data = SimpleNamespace(
        splits=SimpleNamespace(val=object(), test=object()),
        train_dataloader=lambda: range(10),
        eval_dataloader=lambda split: range(lengths[split]),
    )
    built: Any = SimpleNamespace(data=data, task=None)
    found = fitting_length(built, torch.device("cpu"), left=left, usual=10)
    assert (found.key, found.value) == expected


def test_a_schedule_can_be_shortened_while_it_runs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = Cosine()
    scheduler = schedule(optimizer, total_steps=100)
    for step in range(20):
        if step == 10:
            schedule.end_at(20)
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0)


def test_a_run_at_its_time_is_finished(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time_budget.TimeBudget, "left", property(lambda _: -1.0))  # over before it has begun
    run = tmp_path / "run"
    given = ["data=folder", f"data.root={coloured}", *QUICK, "data.batch_size=8", "trainer.max_epochs=5"]
    found = train(compose([*given, f"run_dir={run}", "trainer.max_time=00:00:00:30"]))
    assert found == json.loads((run / "metrics.json").read_text())
    with (run / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "1"  # stopped after its first step, and looked at val
    assert row["val/top1"]
    assert (run / "checkpoints" / "best.ckpt").is_file()
    said = capsys.readouterr()
    assert "resume=" not in said.err
    line = (
        "time: trainer.max_time is up in epoch 1 of 5: the run counts as finished;"
        " the learning rate has not fallen to its end, as trainer.max_epochs was set by hand"
    )
    assert said.out.splitlines().count(line) == 1
    assert line in (run / "train.log").read_text()
    monkeypatch.undo()
    train(compose_resume(run, ["trainer.max_time=null"]))  # from the next epoch on
    with (run / "metrics.csv").open(newline="") as file:
        assert int(list(csv.DictReader(file))[-1]["step"]) == 1 + 4 * 3


def test_a_length_that_is_left_open_is_measured_said_and_kept(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = time_budget.Decision("trainer.max_epochs", 2, "measured")
    monkeypatch.setattr(time_budget, "fitting_length", lambda *_, **__: chosen)
    run = tmp_path / "run"
    train(compose(["data=folder", f"data.root={coloured}", *QUICK, f"run_dir={run}", "trainer.max_time=00:01:00:00"]))
    out = capsys.readouterr().out
    assert "time: trainer.max_epochs=2: measured" in out
    assert re.search(r"^time: about .* for 2 epochs, with .* left of trainer.max_time, at ", out, re.MULTILINE)
    assert set(re.findall(r"trainer\.max_epochs=(\d+)", out)) == {"2"}  # the usual length is not said beside it
    decisions = json.loads((run / "info.json").read_text())["decisions"]
    assert {"key": "trainer.max_epochs", "value": "2", "why": "measured"} in decisions
    assert [each["key"] for each in decisions].count("trainer.max_epochs") == 1
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 2
    assert float(list(csv.DictReader((run / "metrics.csv").open()))[-1]["train/lr"]) == pytest.approx(0.0)


def test_a_shortened_run_keeps_its_last_length_everywhere(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = time_budget.Decision("trainer.max_epochs", 4, "measured")
    monkeypatch.setattr(time_budget, "fitting_length", lambda *_, **__: chosen)
    monkeypatch.setattr(time_budget.TimeBudget, "left", property(lambda _: 1e-9))  # no time for another epoch
    run = tmp_path / "run"
    train(compose(["data=folder", f"data.root={coloured}", *QUICK, f"run_dir={run}", "trainer.max_time=00:01:00:00"]))
    out = capsys.readouterr().out
    assert "time: 1 instead of 4 epochs fit into trainer.max_time" in out
    assert " left of trainer.max_time, which is not enough for all of 4 epochs, at " in out
    assert "time: about" not in out
    (decision,) = (
        each for each in json.loads((run / "info.json").read_text())["decisions"] if each["key"] == "trainer.max_epochs"
    )
    assert decision["value"] == "1"
    assert decision["why"] == "shortened to fit into trainer.max_time"
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    assert decision["why"] in (run / "report.html").read_text()


def test_a_part_of_an_epoch_is_one_epoch(coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = time_budget.Decision("trainer.limit_train_batches", 1, "measured")
    monkeypatch.setattr(time_budget, "fitting_length", lambda *_, **__: chosen)
    run = tmp_path / "run"
    train(compose(["data=folder", f"data.root={coloured}", *QUICK, f"run_dir={run}", "trainer.max_time=00:01:00:00"]))
    said = {each["key"]: each["value"] for each in json.loads((run / "info.json").read_text())["decisions"]}
    assert (said["trainer.max_epochs"], said["trainer.limit_train_batches"]) == ("1", "1")


@pytest.mark.parametrize("epochs", ["-1", "null"])
@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ([], "give a number of epochs, or trainer.max_steps above 0"),
        (["trainer.max_time=00:00:01:00"], "leave it out, and a length is chosen that fits into trainer.max_time"),
    ],
)
def test_a_training_without_an_end_is_refused(epochs: str, more: list[str], fix: str) -> None:
    with pytest.raises(UserError) as refused:
        compose([f"trainer.max_epochs={epochs}", *more])
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"trainer.max_epochs={epochs}: ")
    assert line.endswith(fix)


@pytest.mark.parametrize("epochs", ["-1", "null"])
def test_steps_alone_bound_a_training(epochs: str) -> None:
    assert compose([f"trainer.max_epochs={epochs}", "trainer.max_steps=3"]).trainer.max_steps == 3
