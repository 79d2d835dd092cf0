"""Composing: every option of every group composes, and what comes out is closed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import hydra.utils
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from mobilevision.config.check import examine
from mobilevision.config.compose import compose, opened
from mobilevision.config.grammar import quoted
from mobilevision.config.groups import groups, options
from mobilevision.config.keys import signature
from mobilevision.config.kinds import kinds_of
from mobilevision.config.layout import Layout, option_layout
from mobilevision.config.parts import split
from mobilevision.config.settings import Freeze, Probe, Settings, Tune
from mobilevision.errors import UserError
from mobilevision.training.resuming import compose_resume

Write = Callable[[Path, dict[str, str]], Path]

GROUPS = {
    "task",
    "data",
    "backbone",
    "head",
    "loss",
    "augment",
    "optimizer",
    "scheduler",
    "trainer",
    "callbacks",
    "logger",
}


def every_option() -> list[str]:
    with opened() as found:
        return [f"{group}={option}" for group in groups(found) for option in options(group, found)]


def companions(option: str) -> list[list[str]]:
    """What an option may be tried beside, what it is for first: every task; of a loss, detectors' heads, too."""
    group, _, name = option.partition("=")
    with opened() as found:
        kinds = kinds_of(group, name, found)
        fits = {task: kinds is None or kind_of(task) in kinds for task in options("task", found)}
        beside = [[f"task={task}"] for task in sorted(fits, key=fits.__getitem__, reverse=True)]
        if group == "loss":
            beside += [["task=detection", f"head={head}"] for head in options("head", found)]
        if group == "parts":
            beside.insert(0, ["task=multitask", "parts.one=classification"])
    return beside


@cache
def kind_of(task: str) -> str:
    with opened() as found:
        return str(option_layout("task", task, found).values["task"]["kind"])


@pytest.mark.parametrize("option", every_option())
def test_every_option_composes_under_some_task(option: str) -> None:
    beside = companions(option)
    if option.startswith(("task=", "experiment=")):
        beside = [[]]
    problems = []
    for chosen in beside:
        try:
            cfg = compose([*chosen, option], complete=False)
        except UserError as error:
            problems.append(str(error))
        else:
            assert "hydra" not in cfg
            return
    pytest.fail("\n".join(problems))


def test_the_default_has_all_groups_and_is_closed() -> None:
    cfg = compose()
    assert set(cfg) >= GROUPS
    assert cfg.task.name == "classification"
    assert cfg.trainer.use_distributed_sampler is False
    with pytest.raises(ConfigAttributeError):
        cfg.trainer.max_epoch = 3


def test_settings_are_the_keys_at_the_top_of_the_config() -> None:
    cfg = compose()
    above = {key for key in cfg if not isinstance(cfg[key], type(cfg)) and key not in GROUPS}
    assert above == set(Settings.__annotations__)
    for key, settings in (("freeze", Freeze), ("probe", Probe), ("tune", Tune)):
        assert set(cfg[key]) == set(settings.__annotations__)


def test_overrides_in_any_order_and_with_needless_plus() -> None:
    first = compose(["trainer.max_epochs=3", "trainer=cpu", "backbone.width=0.5"])
    second = compose(["++backbone.width=0.5", "+trainer.max_epochs=3", "trainer=cpu"])
    assert first == second
    assert (first.trainer.max_epochs, first.trainer.accelerator) == (3, "cpu")


def test_free_arguments_need_no_plus() -> None:
    assert compose(["trainer.kwargs.min_epochs=2"]).trainer.kwargs == {"min_epochs": 2}


@pytest.mark.parametrize("path", ["/a,b", "/a[1]", "/a=b", "/a (1)/größe", "/it's", '/it\'s "it"', "c:\\d\\", "~/x"])
def test_quoted_paths_arrive_as_they_are(path: str) -> None:
    override = f"data.root={path}"
    (shell,) = shlex.split(quoted(override))
    assert compose([shell]).data.root == path


RUN = ["trainer=cpu", "logger=none", "trainer.max_epochs=2"]


@pytest.fixture
def run_folder(tmp_path: Path, write: Write) -> Path:
    """A folder that holds a run's config and, as far as its name goes, a checkpoint."""
    config = OmegaConf.to_yaml(compose(RUN), resolve=True)
    return write(tmp_path / "run", {"config.yaml": config, "checkpoints/last.ckpt": ""})


def test_a_run_goes_on_with_its_own_config(run_folder: Path) -> None:
    cfg = compose_resume(run_folder, ["resume=x", "trainer.max_epochs=5", "data.workers=0", "logger=csv"])
    assert (cfg.trainer.max_epochs, cfg.trainer.accelerator, cfg.data.workers) == (5, "cpu", 0)
    assert cfg.logger["_target_"].endswith("csv_logger")
    assert cfg.resume == str(run_folder)


def test_a_run_that_goes_on_keeps_what_it_learns(run_folder: Path) -> None:
    with pytest.raises(UserError) as failure:
        compose_resume(
            run_folder, ["backbone.width=0.5", "head=linear", "trainer.max_epochs=x", "logger=cvs", "seed=1"]
        )
    said = str(failure.value)
    assert said.startswith("5 errors")
    for part in ("backbone.width=0.5: cannot change", "head=linear: cannot change", "did you mean csv", "whole number"):
        assert part in said


@pytest.mark.parametrize("text", ["", "a: [", "a: 1"])
def test_what_is_no_run_is_refused(tmp_path: Path, write: Write, text: str) -> None:
    with pytest.raises(UserError, match=r"config\.yaml"):
        compose_resume(tmp_path)
    write(tmp_path, {"config.yaml": text})
    with pytest.raises(UserError, match=r"config\.yaml"):
        compose_resume(tmp_path)


GIVEN = {"backbone", "data", "head", "loss", "optimizer", "scheduler", "mix", "augment", "channels", "channels_last"}
GIVEN |= {
    "parts",
    "folder",
    "monitor",
    "mode",
    "run_dir",
    "config",
    "seed",
    "pretrained",
    "output_kind",
}  # given by code


def fitting(option: str) -> Layout:
    """The keys of an option together with the first task, or head of a detector, that it goes with."""
    refused, together = [], companions(option)
    with opened() as found:
        for beside in together:
            try:
                return examine(split([*beside, option])[0], found, complete=False)[1]
            except UserError as error:
                refused.append(str(error))
    raise AssertionError("\n".join(refused))


@pytest.mark.parametrize("option", [each for each in every_option() if not each.startswith(("experiment=", "task="))])
def test_every_argument_stands_in_its_yaml(option: str) -> None:
    layout = fitting(option)
    for key, node in layout.nodes():
        target = str(node.get("_target_", ""))
        if target.startswith("mobilevision.") and not target.startswith("mobilevision.tasks."):
            known = signature(target)
            assert known is not None, f"{key}: {target} does not exist"
            assert set(known.arguments) - GIVEN <= set(node), key
            assert not known.more, f"{target} takes anything, so its keys cannot be checked"
            assert load(target) is not None


def load(target: str) -> object:
    return hydra.utils.get_object(target)
