"""``trainer.max_time``: the length that fits, and a run that is at its time is finished."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import mobilevision
from mobilevision.cli import main
from mobilevision.config.compose import compose
from mobilevision.config.settings import seconds_of
from mobilevision.errors import UserError
from mobilevision.optim import Cosine
from mobilevision.training import time_budget
from mobilevision.training.cross_validation import statement
from mobilevision.training.resuming import compose_resume
from mobilevision.training.time_budget import fitting_length
from mobilevision.training.train import fixed_by, train

HARDLY_LEARNT = "; of so few, a model has hardly learnt: give it more time"
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
        (
            1000.0,
            ("trainer.max_epochs", 40, "40 epochs fit into trainer.max_time, 4 times the usual 10: more is not used"),
        ),
        (150.0, ("trainer.max_epochs", 11, "11 epochs fit into trainer.max_time (the usual: 10)")),
        # (110 - 10 for the end - 5 for the test) / (10 steps of 1 s + 2 looks of 1 s)
        (
            110.0,
            ("trainer.max_epochs", 7, "7 of 10 epochs fit into trainer.max_time (10 would take about 2 min)"),
        ),
        (
            24.0,
            (
                "trainer.max_epochs",
                1,
                "1 of 10 epochs fit into trainer.max_time (10 would take about 2 min)" + HARDLY_LEARNT,
            ),
        ),
        (
            15.0,
            (
                "trainer.limit_train_batches",
                4,
                "4 of the 10 batches of one epoch fit into trainer.max_time (10 epochs would take about 2 min)"
                + HARDLY_LEARNT,
            ),
        ),
        (
            1.0,
            (
                "trainer.limit_train_batches",
                1,
                "1 of the 10 batches of one epoch fit into trainer.max_time (10 epochs would take about 2 min)"
                + HARDLY_LEARNT,
            ),
        ),
    ],
)
def test_what_fits(left: float, expected: tuple[str, int, str], monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert (found.key, found.value, found.why) == expected


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
        " the learning rate has not fallen to its end, as trainer.max_epochs was set, by hand or by the recipe"
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
    assert "time: measured" in out
    assert re.search(r"^time: about .* for 2 epochs, with .* left of trainer.max_time, at ", out, re.MULTILINE)
    assert not re.search(r"trainer\.max_epochs=\d", out)  # the usual length is not said beside it
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
    first, second = (line for line in out.splitlines() if line.startswith("time: "))
    assert first == "time: measured"
    assert second.startswith("time: corrected to 1 epoch (before: 4), as an epoch now takes ")
    (decision,) = (
        each for each in json.loads((run / "info.json").read_text())["decisions"] if each["key"] == "trainer.max_epochs"
    )
    assert decision["value"] == "1"
    assert decision["why"] == "shortened to fit into trainer.max_time"
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    assert decision["why"] in (run / "report.html").read_text()


def test_a_length_that_was_set_is_told_with_the_fix_and_one_that_was_not_is_shortened_in_silence() -> None:
    fixed = fixed_by(compose(["experiment=finetune_boxes", "data.root=here"]), SimpleNamespace(decisions=()))  # type: ignore[arg-type]
    left = SimpleNamespace(left=42.0, fixed=fixed[0], fix=fixed[1])
    assert time_budget._estimate(99.0, "30 epochs", "at 1.3 s a step", left) == (  # type: ignore[arg-type]
        "42 s left of trainer.max_time, which is not enough for all of 30 epochs, at 1.3 s a step; trainer.max_epochs"
        " was set, by hand or by the recipe: trainer.max_epochs=auto chooses a length that fits"
    )
    left.fixed = left.fix = ""
    assert time_budget._estimate(99.0, "30 epochs", "at 1.3 s a step", left) == ""  # type: ignore[arg-type]


def test_a_change_of_the_length_is_told_as_a_correction_of_what_was_told() -> None:
    budget = time_budget.TimeBudget(seconds=60, began=0, fixed="", usual=20, told=False, shortened=lambda _: None)
    assert budget._how_many_fit(9, 20, 12.0) == "9 of 20 epochs fit into trainer.max_time (20 would take about 4 min)"
    assert budget._how_many_fit(8, 9, 13.0) == "corrected to 8 epochs (before: 9), as an epoch now takes 13 s"
    assert budget._how_many_fit(3, 8, 30.0).endswith(HARDLY_LEARNT)
    assert not budget._how_many_fit(2, 3, 50.0).endswith(HARDLY_LEARNT), "it was said before"


def test_the_time_counts_from_the_start_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    started = sys.modules["mobilevision.training.train"]
    monkeypatch.setattr(started, "train", lambda _, **given: seen.append(given) or {})
    with monkeypatch.context() as clock:
        clock.setattr(time, "perf_counter", lambda: 5.0)
        main.run(QUICK)
        mobilevision.train(QUICK)
    assert seen == [{"began": 5.0}, {"began": 5.0}]


def test_what_is_left_counts_from_the_start_and_over_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(perf_counter=lambda: 130.0))
    budget = time_budget.TimeBudget(seconds=100, began=100.0, fixed="", shortened=lambda _: None)
    assert budget.left == pytest.approx(95 - 30)
    assert budget.state_dict() == {"used": 30.0}
    budget.load_state_dict({"used": 20.0})
    assert budget.left == pytest.approx(95 - 50)
    assert budget.state_dict() == {"used": 50.0}


def test_folds_say_that_the_time_is_for_each() -> None:
    timed = [*QUICK, "data.folds=5", "data.folds_final=true", "trainer.max_time=00:00:01:00"]
    assert statement(compose(timed))[-1] == "time: trainer.max_time=00:00:01:00 is for each run; there are 6"


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
