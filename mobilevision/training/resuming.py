"""The configuration of a run that goes on: its own, with a few keys that may change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mobilevision.config.check import check_values, refuse
from mobilevision.config.grammar import parse
from mobilevision.config.groups import options
from mobilevision.config.keys import free_node
from mobilevision.config.layout import Claim, Layout, file_of
from mobilevision.config.names import did_you_mean
from mobilevision.config.parts import keys_of_parts, names
from mobilevision.config.search_path import sources
from mobilevision.engine.run_config import read_run_config

TRAINER = ("max_epochs", "max_steps", "max_time", "accelerator", "devices", "num_nodes", "strategy")
PLACES = ("data.root", "data.unlabelled", "data.groups", "data.format.images")
CHANGEABLE = (
    *(f"trainer.{key}" for key in TRAINER),
    *PLACES,
    "data.workers",
    "logger",
    "callbacks.progress",
    "allocator",
)


def compose_resume(
    run_folder: str | Path, overrides: Iterable[str] = (), *, config_dir: str | None = None
) -> DictConfig:
    """A run's own configuration with ``resume`` set.

    Args:
        run_folder: the run to go on with.
        overrides: changes to it; only keys in ``CHANGEABLE`` may change, unless nothing was trained yet.
        config_dir: one more folder of configs, whose groups say what the run may build, too.

    Raises:
        UserError: if there is no run, if its config wants to build what it must not, or with every override that is
            not possible.
    """
    folder, cfg = read_run_config(run_folder, config_dir=config_dir)
    found = sources(config_dir)
    OmegaConf.set_struct(cfg, True)
    errors: list[str] = []
    parsed = parse((each for each in overrides if each.lstrip("+").partition("=")[0] != "resume"), errors)
    anew, changeable = folder.nothing_trained, tuple(f"{key}." for key in keys_of_parts(cfg, CHANGEABLE))
    fixed = [
        each for each in parsed if not (anew or f"{each.key_or_group}.".startswith(changeable)) or each.is_delete()
    ]
    of_parts = [f"parts.NAME.{key}" for key in PLACES] if names(cfg) else []
    can = f"cannot change in a run that goes on; these can: {', '.join([*CHANGEABLE, *of_parts])}"
    errors += (f"{each.input_line}: {can}" for each in fixed)
    changes = [each for each in parsed if each not in fixed]
    for each in [each for each in changes if each.key_or_group == "logger"]:
        option, there = str(each.value()), options("logger", found)
        if option in there and (file := file_of(f"logger/{option}", found)) is not None:
            cfg.logger = file.body
        else:
            errors.append(f"logger={option}: there is no such logger{did_you_mean(option, there)}")
        changes.remove(each)
    _apply(cfg, changes, errors)
    refuse(errors)
    cfg.resume = str(run_folder)
    return cfg


def _apply(cfg: DictConfig, changes: Sequence[Override], errors: list[str]) -> None:
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    layout = Layout(values=values)
    claims = [Claim(each.key_or_group, each.value(), str(each.input_line)) for each in changes]
    problems = check_values(claims, layout)
    errors += problems
    if not problems:
        for each in changes:
            free = bool(free_node(each.key_or_group, layout))
            OmegaConf.update(cfg, each.key_or_group, each.value(), force_add=free)
