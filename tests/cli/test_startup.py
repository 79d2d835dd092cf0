"""The way to --help and to an error is short: nothing heavy is imported on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "torchvision", "timm", "pytorch_lightning", "torchmetrics", "wandb", "matplotlib", "scipy", "pandas"}
CODE = """
import sys
sys.argv = sys.argv[1:]
try:
    if sys.argv[0] == "train.py":
        from mobilevision.cli.main import main
    else:
        from mobilevision.cli.commands import main
    main()
except SystemExit as end:
    print("\\ncode", end.code or 0)
else:
    print("\\ncode 0")
print("heavy", *sorted({heavy!r} & set(sys.modules)))
"""


def start(program: str, *arguments: str) -> tuple[str, int, list[str]]:
    """What a command prints, its exit code, and the heavy modules that it imported."""
    code = CODE.replace("{heavy!r}", repr(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", code, program, *arguments],
        cwd=ROOT,
        env={**os.environ, "MOBILEVISION_PATH": "", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    printed, _, rest = done.stdout.rpartition("\ncode ")
    lines = rest.splitlines()
    assert lines, done.stderr
    return printed + done.stderr, int(lines[0]), lines[1].split()[1:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train.py", "--help"], "trainer      auto* cpu ddp debug gpu"),
        (["train.py", "--help", "backbone=mobilenet_v2", "seed=3"], "seed=3"),
        (["train.py", "--cfg", "job"], "_target_: mobilevision.tasks.classification.Classification"),
        (["train.py", "seed=7", "--cfg", "job"], "seed: 7"),
        (["train.py", "--cfg", "job", "--package", "trainer", "trainer.kwargs.min_epochs=2"], "min_epochs: 2"),
        (["train.py", "-sc", "install=bash"], "complete"),
        (["train.py", "--hydra-help"], "Hydra"),
        (["mobilevision", "train", "--help"], "Train a model on images"),
        (["mobilevision", "--help"], "mobilevision COMMAND --help"),
        (["mobilevision"], "mobilevision COMMAND --help"),
        (["mobilevision", "evaluate", "--help"], "Example: mobilevision evaluate RUN"),
        (["mobilevision", "predict", "--help"], "Example: mobilevision predict RUN"),
        (["mobilevision", "check-data", "--help"], "Example: mobilevision check-data data=folder"),
        (["mobilevision", "cost", "--help"], "Example: mobilevision cost task=detection"),
        (["mobilevision", "paper", "--help"], "Example: mobilevision paper --table 13"),
        (["mobilevision", "plugins", "--help"], "check"),
        (["mobilevision", "plugins"], "no plugins"),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str], said: str) -> None:
    printed, code, heavy = start(*arguments)
    assert said in printed
    assert (code, heavy) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train.py", "trainer.max_epoch=3"], "did you mean trainer.max_epochs?"),
        (["train.py", "--cfg", "job", "task=clasification"], "did you mean classification?"),
        (["train.py", "-m", "seed=1,2", "backbone.widht=0.5,1.0"], "did you mean backbone.width?"),
        (["train.py", "trainer=ddp", "-m", "seed=1,2"], "-m runs one process"),
        (["train.py", "-m", "seed=1,2", "trainer.devices=2"], "-m runs one process"),
        (["train.py", "-m", "seed=1,[2"], "have a meaning of their own"),
        (["train.py", "resume=nowhere"], "nowhere is not a run folder"),
        (["train.py", "--config-name", "other"], "--config-dir"),
        (["train.py", "--config-dir", "nowhere"], "there is no such folder"),
        (["mobilevision", "train", "seed=x"], "seed=x: needs a whole number"),
        (["mobilevision", "trian"], "No such command"),
        (["mobilevision", "plugins", "--what"], "No such option"),
        (["mobilevision", "cost", "backbone.widht=1"], "did you mean backbone.width?"),
        (
            ["mobilevision", "evaluate", "run", "--conf", "0.3"],
            "--conf: there is no such option; here it is --threshold",
        ),
        (["mobilevision", "cost", "nowhere"], "nowhere is not a run folder"),
        (["mobilevision", "predict", "nowhere", "images"], "nowhere is not a run folder"),  # nor is there an --out
        (["mobilevision", "predict", "run", "--oot"], "--oot (Possible options: --out; --help shows what there is)"),
        (["mobilevision", "push", "nowhere"], "nowhere: not an exported model"),
        (["mobilevision", "paper", "--table", "15"], "the paper has tables 1 to 14"),
        (["mobilevision", "inspect", "nowhere.onnx"], "nowhere.onnx: there is no such file"),
        (["mobilevision", "plugins", "check"], "Missing argument"),
        (["mobilevision", "plugins", "check", "nothing"], "there is no plugin nothing"),
    ],
    ids=" ".join,
)
def test_an_error_is_a_line_and_imports_nothing_heavy(arguments: list[str], said: str) -> None:
    printed, code, heavy = start(*arguments)
    assert said in printed
    assert "Traceback" not in printed
    assert (code, heavy) == (1, [])


@pytest.mark.parametrize("command", ["train.py --debug seed=x", "mobilevision plugins check x --debug"])
def test_debug_shows_the_traceback(command: str) -> None:
    printed, code, _ = start(*command.split())
    assert "Traceback" in printed
    assert printed.strip().splitlines()[-1].startswith("error: ")
    assert code == 1
