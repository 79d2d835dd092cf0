"""Sweeps: what each run is called, what is done already, what failed; the trainings are replaced but for one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mobilevision.cli.main import main
from mobilevision.errors import StoppedError, UserError
from mobilevision.training.sweep import Plan, _covering, check_sweep, refuse_missing

ROOT = Path(__file__).parents[2]
WIDTHS = ["-m", "backbone.width=0.25,0.5"]


def finished(cfg: DictConfig) -> dict[str, float]:
    """What a training leaves, without one."""
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.merge(cfg, {"resume": None}), folder / "config.yaml", resolve=True)
    width = float(cfg.backbone.width)
    info = {"task": "classification", "primary": "top1", "mode": "max", "backbone": f"mobilenet_v1_{width}"}
    info |= {"width": width, "resolution": [64, 64], "parameters": int(1e6 * width), "mult_adds": int(1e7 * width)}
    (folder / "info.json").write_text(json.dumps(info))
    metrics = {"test/top1": width}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics


Trainings = list[DictConfig]
Start = Callable[[DictConfig], dict[str, float]]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainings:
    """The configs that were trained, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOBILEVISION_DEBUG", raising=False)
    found: Trainings = []

    def start(cfg: DictConfig) -> dict[str, float]:
        found.append(cfg.copy())
        return finished(cfg)

    monkeypatch.setattr("mobilevision.training.train.start", start)
    return found


def test_runs_are_named_by_what_varies(tmp_path: Path) -> None:
    plan = Plan("f", ("backbone.width", "data.resolution"), 2)
    assert plan.place(["seed=1", "backbone.width=0.25", "data.resolution=32"]) == Path("f/width-0.25_resolution-32")
    plan = Plan("f", ("backbone.width", "head.width"), 2)
    assert plan.place(["backbone.width=1", "head.width=2"]).name == "backbone.width-1_head.width-2"
    plan = Plan("f", ("data.root",), 2)
    first, second = (plan.place([f"data.root={folder}/pictures"]) for folder in ("a", "b"))
    assert first != second
    assert first.parent == Path("f")
    assert Plan("f", (), 1).place(["seed=1"]) == Path("f/run")
    assert len(Plan("f", ("x",), 1).place([f"x=[{'a' * 500}]"]).name) < 200
    plan = Plan(str(tmp_path), ("a",), 3)
    plan.write()
    assert Plan.read(tmp_path) == plan


def test_the_same_command_does_what_is_left(trained: Trainings, capsys: pytest.CaptureFixture[str]) -> None:
    main(WIDTHS)
    assert [cfg.backbone.width for cfg in trained] == [0.25, 0.5]
    folder = Path(trained[0].run_dir).parent
    assert {"compare.csv", "compare.html", "top1_by_mult_adds.svg", "top1_by_parameters.png"} <= {
        path.name for path in folder.iterdir()
    }
    (folder / "width-0.5" / "metrics.json").unlink()
    trained.clear()
    capsys.readouterr()
    main(WIDTHS)
    assert [cfg.backbone.width for cfg in trained] == [0.5]
    out = capsys.readouterr().out
    assert "done already" in out
    assert "2 runs in" in out


@pytest.mark.slow
def test_parts_vary_as_everything_does(trained: Trainings, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-m", "task=multitask", "~parts.forms", "parts.objects.head=ssd,picodet", "run_dir=sweep"]
    main(words)
    assert [Path(cfg.run_dir).name for cfg in trained] == ["objects-head-ssd", "objects-head-picodet"]
    assert all(set(cfg.parts) == {"objects", "ground"} for cfg in trained)
    heads = [cfg.parts.objects.head._target_.rpartition(".")[2] for cfg in trained]
    assert heads == ["SSDHead", "PicoDetHead"]
    main(words)
    assert len(trained) == 2, "done already"
    assert "done already" in capsys.readouterr().out


def test_a_run_that_was_broken_off_goes_on(trained: Trainings) -> None:
    main([*WIDTHS, "run_dir=all"])
    run = Path("all/width-0.25")
    (run / "metrics.json").unlink()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    trained.clear()
    main([*WIDTHS, "run_dir=all"])
    assert [cfg.resume for cfg in trained] == ["all/width-0.25"]


def test_a_failed_run_does_not_lose_the_others(
    trained: Trainings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = True

    def start(cfg: DictConfig) -> dict[str, float]:
        if cfg.backbone.width == 0.25 and fails:
            raise UserError("no such image")
        return finished(cfg)

    monkeypatch.setattr("mobilevision.training.train.start", start)
    with pytest.raises(SystemExit) as ended:
        main([*WIDTHS, "run_dir=all"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "1 runs in all" in said.out
    assert "1 of 2 runs failed" in said.err
    assert "width-0.25: no such image" in said.err
    fails = False
    main([*WIDTHS, "run_dir=all"])
    assert not Path("all/width-0.25/error.txt").exists()


def test_stopping_one_stops_the_sweep(trained: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def start(cfg: DictConfig) -> dict[str, float]:
        seen.append(cfg)
        raise StoppedError("stopped at step 3")

    monkeypatch.setattr("mobilevision.training.train.start", start)
    with pytest.raises(SystemExit) as ended:
        main(WIDTHS)
    assert ended.value.code == 130
    assert len(seen) == 1


def test_another_configuration_is_not_taken_for_done(trained: Trainings, capsys: pytest.CaptureFixture[str]) -> None:
    main([*WIDTHS, "run_dir=all"])
    with pytest.raises(SystemExit):
        main([*WIDTHS, "run_dir=all", "seed=3"])
    assert "holds a run of another configuration (seed: 0, now 3," in capsys.readouterr().err


def test_an_experiment_may_say_what_varies(trained: Trainings) -> None:
    main(["-m", "experiment=tradeoff_classification", "data.resolution=64"])
    assert [cfg.backbone.width for cfg in trained] == [0.25, 0.5, 0.75, 1.0]


def test_every_value_and_every_pair_of_options_is_checked() -> None:
    jobs = [
        [f"backbone={b}", f"loss={c}", f"seed={s}", f"a.b={x}"]
        for b in "pq"
        for c in "rs"
        for s in "1"
        for x in "12345"
    ]
    kept = _covering(jobs)
    assert len(kept) == 4 + 4
    assert {line for job in kept for line in job} == {line for job in jobs for line in job}


def test_one_folder_for_the_whole_sweep() -> None:
    with pytest.raises(UserError, match="one folder for the whole sweep"):
        check_sweep(["seed=1,2", "run_dir=a,b"])
    assert check_sweep(["seed=1"])[0].runs == 1


def test_a_launcher_that_is_not_there_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilevision.training.sweep.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'mobilevision\[parallel\]'"):
        refuse_missing("hydra/launcher=parallel")


@pytest.mark.slow
def test_two_real_runs_at_once(tmp_path: Path) -> None:
    small = ["data.format.train=32", "data.format.val=16", "data.format.test=16", "trainer.max_epochs=1", "logger=none"]
    words = [
        "-m",
        "backbone.width=0.25,0.3",
        "data.resolution=32",
        "data.workers=0",
        "trainer=cpu",
        "run_dir=all",
        *small,
    ]
    command = [sys.executable, str(ROOT / "train.py"), *words, "hydra/launcher=parallel"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "2 runs in all" in first.stdout
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "all" / "compare.html").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["backbone.width=0.25,9"], "backbone.width=9: must be above 0 and at most 1"),
        (["seed=range(0,30)", "data.workers=range(-1,30)"], "data.workers=-1: must be between 0 and 1024"),
        (["optimizer.lr=interval(-1,0.1)"], "optimizer.lr=-1: must be above 0"),
        (["trainer.check_val_every_n_epoch=1,5", "trainer.max_epochs=3,9"], "val would never be looked at"),
        (["head=linear,ssd"], "head=ssd is for boxes"),
    ],
)
def test_every_value_is_checked_before_the_first_run(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        check_sweep(overrides)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_is_not_extended_by_a_sweep() -> None:
    with pytest.raises(UserError, match="extend= adds parts to one run and is no part of a sweep"):
        check_sweep(["extend=RUN", "parts.a=classification", "seed=0,1"])
