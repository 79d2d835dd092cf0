"""What the console shows of a training and of an evaluation, on a terminal and on a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobilevision.callbacks.progress import EVALUATION_SHARE, Progress, in_words

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.workers=0",
    "logger=none",
    "callbacks.pictures.enabled=false",
]
SMALL += ["data.format.train=96", "data.format.val=32", "data.format.test=32", "data.batch_size=16", "trainer=cpu"]
LINE = (
    r"epoch 1/2  loss \d\.\d{4}  val loss \d\.\d{4}  top1 [01]\.\d{4} \(best\)  \d+ s left\n"
    r"epoch 2/2  loss \d\.\d{4}  val loss \d\.\d{4}  top1 [01]\.\d{4} \(best( [01]\.\d{4})?\)\n"
)
LIVE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(command: list[str], columns: int) -> str:
    """Everything that a terminal of that width is sent; the command has to end well."""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(ROOT)
        os.execve(command[0], command, {**os.environ, "TERM": "xterm-256color"})
    sent = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how a terminal on Linux says that nobody writes to it any more
            break
        if not part:
            break
        sent += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, sent.decode(errors="replace")
    return sent.decode()


def test_a_training_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    run = tmp_path / "run"
    sent = on_a_terminal([sys.executable, "train.py", *SMALL, "trainer.max_epochs=2", f"run_dir={run}"], 80)
    assert sent.startswith("mobilevision "), "the first words come before anything heavy is imported"
    drawn = [part for part in re.split(r"[\r\n]", LIVE.sub("", sent)) if "━" in part]
    assert max(map(len, drawn)) <= 80
    assert re.search(r"epoch 2/2 [━╸╺]+ 1/8 loss \d\.\d{4}  \d+ s left", "\n".join(drawn))
    log = (run / "train.log").read_text(encoding="utf-8")
    assert re.search(LINE, log)
    assert "━" not in log, "the bar is not for the log"
    evaluated = on_a_terminal([sys.executable, "-m", "mobilevision", "evaluate", str(run)], 80)
    assert "test ━" in LIVE.sub("", evaluated)


@pytest.mark.slow
def test_a_training_on_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "train.py", *SMALL, "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=2"]
    done = subprocess.run(
        [*command, f"run_dir={tmp_path / 'run'}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert re.fullmatch(r"epoch 1/2  loss \d\.\d{4}  \d+ s left", lines[0]), (
        "no figures of a validation that was not made"
    )
    assert re.fullmatch(r"epoch 2/2  loss .*  top1 [01]\.\d{4} \(best\)", lines[1])
    assert "━" not in done.stdout


@pytest.mark.slow
def test_an_epoch_that_is_gone_on_with_begins_where_it_was_left(tmp_path: Path) -> None:
    run = tmp_path / "run"
    some_steps_of_the_first_epoch = "0:24:9"
    stopping = [str(ROOT / "tests" / "training" / "stopping_places.py"), some_steps_of_the_first_epoch]
    options = [*SMALL, "trainer.max_epochs=2", "callbacks.last.every_n_steps=1", f"run_dir={run}"]
    command, where = [sys.executable, *stopping, *options], {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, cwd=ROOT, env=where, capture_output=True, check=False)
    assert killed.returncode != 0
    sent = on_a_terminal([sys.executable, "train.py", f"resume={run}"], 80)
    shown = [int(place) for place in re.findall(r"epoch 1/2.*?(\d+)/8", LIVE.sub("", sent))]
    assert shown == sorted(shown)
    assert min(place for place in shown if place) > 1
    [left] = re.findall(r"epoch 1/2 .* (\d+) s left", LIVE.sub("", sent).replace("\r", "\n"))[-1:]
    assert int(left) < 60


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (59.6, "60 s"), (150, "2 min"), (12_600, "3.5 h")])
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("options", "batches"),
    [
        ({"max_epochs": 5}, 10 + 3 * (100 + 20 * EVALUATION_SHARE)),
        ({"max_epochs": 5, "check_val_every_n_epoch": 2}, 10 + 3 * (100 + 10 * EVALUATION_SHARE)),
        ({"max_epochs": 5, "val_check_batch": 25}, 10 + 3 * (100 + 80 * EVALUATION_SHARE)),
        ({"max_epochs": -1, "max_steps": 200}, 50 * (100 + 20 * EVALUATION_SHARE) / 100),
        ({"max_epochs": 5, "max_steps": 151}, (100 + 20 * EVALUATION_SHARE) / 100),
        ({"max_epochs": None}, None),
    ],
)
def test_what_is_left_of_a_training(options: dict[str, Any], batches: float | None) -> None:
    usual = {"max_steps": -1, "current_epoch": 1, "global_step": 150, "accumulate_grad_batches": 1}
    usual |= {"num_training_batches": 100, "check_val_every_n_epoch": 1, "val_check_batch": 100}
    trainer: Any = SimpleNamespace(**{**usual, "num_val_batches": [20], **options})
    progress = Progress()
    assert progress._seconds_left(trainer, of_this_epoch=10.0) is None, "nothing was timed yet"
    progress._batch_seconds = 2.0
    assert progress._seconds_left(trainer, of_this_epoch=10.0) == (
        None if batches is None else pytest.approx(2 * batches)
    )
    progress.at_most = lambda: 1.0
    assert progress._seconds_left(trainer, of_this_epoch=10.0) == (None if batches is None else 1.0)
