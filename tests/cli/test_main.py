"""The main command: flags in any place, sweeps with a folder a run, what a stop and a defect look like."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mobilevision.cli import commands
from mobilevision.cli import main as module
from mobilevision.cli.main import folder_after, main, split
from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.io.error_lines import error_line


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[DictConfig]:
    """The configs that would have been trained."""
    configs: list[DictConfig] = []

    def start(cfg: DictConfig, *, began: float | None = None) -> dict[str, float]:
        configs.append(cfg)
        return {}

    monkeypatch.setattr("mobilevision.training.train.start", start)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.chdir(tmp_path)
    return configs


def test_flags_are_found_anywhere() -> None:
    flags, overrides = split(["task=a", "-m", "b=1,2", "--cfg", "job", "--config-dir=x", "~c"])
    assert flags == {"-m": None, "--cfg": "job", "--config-dir": "x"}
    assert overrides == ["task=a", "b=1,2", "~c"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["--auto-augment=ra"],
            "--auto-augment: what to change is written without dashes, as key=value: augment.rand_",
        ),
        (["--log-wandb"], "value: logger=wandb, the default"),
        (["--swin"], "--swin: there is no such option; keys have no dashes: data.batch_size=16"),
        (["--epochs", "5"], "--epochs: what to change is written without dashes, as key=value: trainer.max_epochs=5"),
        (["--batch-size=8", "data=shapes"], "data.batch_size=8"),
        (["--gpus", "2"], "trainer=gpu"),
        (["--trainer.max_epochs=5"], "key=value: trainer.max_epochs=5"),
    ],
)
def test_flags_of_other_tools_are_told_what_to_type(typed: list[str], said: str) -> None:
    with pytest.raises(UserError) as failure:
        module.run(typed)
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("override", "folder"),
    [("resume=a/b", "a/b"), ("resume='a b'", "a b"), ('resume="a,b"', "a,b"), ("resume=null", None), ("seed=1", None)],
)
def test_the_run_to_go_on_with(override: str, folder: str | None) -> None:
    assert folder_after("resume", [override]) == folder


def test_a_plain_run(trained: list[DictConfig], tmp_path: Path) -> None:
    main(["trainer.max_epochs=2", "seed=5"])
    (cfg,) = trained
    assert (cfg.seed, cfg.trainer.max_epochs) == (5, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_starts_each_run_with_a_folder_of_its_own(
    trained: list[DictConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["seed=1,2", "trainer.kwargs.min_epochs=2,3", "-m", "run_dir=here"])
    assert [(cfg.seed, cfg.trainer.kwargs.min_epochs) for cfg in trained] == [(1, 2), (1, 3), (2, 2), (2, 3)]
    names = [f"here/seed-{seed}_min_epochs-{epochs}" for seed in (1, 2) for epochs in (2, 3)]
    assert [cfg.run_dir for cfg in trained] == names
    assert "run 3 of 4: seed-2_min_epochs-2" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_sweep_over_options_checks_each(trained: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    main(["-m", "backbone=mobilenet_v1,mobilenet_v2", "optimizer=glob(*)"])
    assert len(trained) == 2 * len({cfg.optimizer.name for cfg in trained})
    trained.clear()
    with pytest.raises(SystemExit):
        main(["-m", "backbone=mobilenet_v1,mobilenet_v3", "backbone.conv=full"])
    assert trained == []
    assert "backbone.conv=full: there is no such key" in capsys.readouterr().err


def test_a_run_that_goes_on_cannot_be_swept(trained: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-m", "resume=x", "seed=1,2"])
    assert trained == []
    assert "resume=" in capsys.readouterr().err


def test_going_on_shows_the_runs_own_config(
    trained: list[DictConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "a run"
    run.mkdir()
    OmegaConf.save(compose(["seed=9"]), run / "config.yaml", resolve=True)
    main([f"resume='{run}'", "trainer.max_epochs=30"])
    (cfg,) = trained
    assert (cfg.seed, cfg.trainer.max_epochs, cfg.resume) == (9, 30, str(run))
    main([f"resume='{run}'", "--cfg", "job"])
    assert "seed: 9" in capsys.readouterr().out


def fails(error: BaseException) -> Any:
    def start(cfg: DictConfig, *, began: float | None = None) -> dict[str, float]:
        raise error

    return start


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("mend this"), 1, "error: mend this\n"),
        (KeyError("x"), 1, "error: KeyError: 'x' ("),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_how_a_run_ends(
    trained: list[DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
    flags: list[str],
) -> None:
    monkeypatch.delenv("MOBILEVISION_DEBUG", raising=False)
    monkeypatch.setattr("mobilevision.training.train.start", fails(error))
    with pytest.raises(SystemExit) as end:
        main([*flags, "seed=1"])
    printed = capsys.readouterr().err
    assert end.value.code == code
    assert said in printed
    assert "Traceback" not in printed


def test_an_unforeseen_error_names_its_place() -> None:
    with pytest.raises(OSError) as failure:  # noqa: PT011 - any will do
        os.stat("/there/is/no/such/file")
    assert __file__ in error_line(failure.value)
    assert "--debug" in error_line(failure.value)


WHOLE: dict[str, Any] = {"tiles": None, "overlap": None, "merge": None}
COMMANDS = {
    "evaluate run split=val --scores all --threshold 0.5": (
        "evaluation",
        "evaluate",
        ("run", ["split=val"], {"scores": "all", "threshold": 0.5, "track_as": None, **WHOLE}),
    ),
    "evaluate backbone.weights=timm": (
        "evaluation",
        "evaluate",
        (None, ["backbone.weights=timm"], {"scores": None, "threshold": None, "track_as": None, **WHOLE}),
    ),
    "predict run a.jpg b --out here --which last --no-pictures": (
        "prediction",
        "predict",
        (
            "run",
            ["a.jpg", "b"],
            {
                **{"out": "here", "seconds": None, "which": "last", "batch_size": 32, "pictures": False},
                **{"device": None, "scores": "shown", "threshold": None, "annotations": None, **WHOLE},
            },
        ),
    ),
    "check-data data=folder --out here": ("tools", "check_data", (["data=folder"], {"out": "here"})),
    "check-data": ("tools", "check_data", ([], {"out": None})),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_hands_on_what_it_was_given(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, name, expected = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    calls: list[Any] = []

    def work(*arguments: Any, **options: Any) -> int:
        calls.append((*arguments, options) if options else arguments)
        return 1

    monkeypatch.setattr(f"mobilevision.{room}.{name}.{name}", work)
    monkeypatch.setattr(sys, "argv", ["mobilevision", *command.split()])
    if name == "check_data":  # its number is the exit code
        with pytest.raises(SystemExit) as end:
            commands.main()
        assert end.value.code == 1
    else:
        commands.main()
    assert calls == [expected]
