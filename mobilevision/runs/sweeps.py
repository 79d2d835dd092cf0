"""Sweeps (``-m``): checked as a whole before the first run starts, then one run after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.compose import opened
from mobilevision.runs.config.check import check, refuse
from mobilevision.runs.config.grammar import unreadable

CHECKED = 100  # runs of a sweep that are composed beforehand


def check_sweep(overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """Check every run of a sweep.

    Returns:
        The overrides as Hydra takes them.

    Raises:
        UserError: one text with every error of every run, or if a run needs several processes.
    """
    with opened(config_dir) as found:
        errors: list[str] = []
        added: set[str] = set()
        for job in _jobs(overrides)[:CHECKED]:
            try:
                clean = check(job, found)
                refuse_processes(hydra_compose("config", clean))
                added |= {line.partition("=")[0] for line in clean if line.startswith("++")}
            except UserError as error:
                errors += [line.strip() for line in str(error).splitlines() if not line.endswith("configuration:")]
        refuse(errors)
    return [_with_plus(override, added) for override in overrides]


def _jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run; a sweep over a range without steps is left to its sweeper."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed, errors = [], []
    for line in overrides:
        try:
            parsed += parser.parse_overrides([line])
        except HydraException as error:
            errors.append(unreadable(line, error))
    refuse(errors)
    discrete = [each for each in parsed if not each.is_sweep_override() or each.is_discrete_sweep()]
    jobs: list[list[str]] = BasicSweeper.split_arguments(discrete, max_batch_size=None)[0]
    return jobs


def _with_plus(override: str, added: set[str]) -> str:
    key = f"++{override.partition('=')[0].lstrip('+')}"
    return f"++{override.lstrip('+')}" if key in added else override if "hydra" in key else override.lstrip("+")


def refuse_processes(cfg: DictConfig) -> None:
    """A run of a sweep has one process: others would repeat the whole sweep.

    Raises:
        UserError: if the trainer would start several.
    """
    strategy, devices = str(cfg.trainer.strategy), cfg.trainer.devices
    several = str(devices) not in {"1", "auto"} if isinstance(devices, int | str) else len(devices) > 1
    if several or any(name in strategy for name in ("ddp", "fsdp", "deepspeed")):
        raise UserError(
            f"-m runs one process and trainer.strategy={strategy} trainer.devices={devices} needs several: "
            "sweep with one device a run, or start each run by itself"
        )


def prepare_job(cfg: DictConfig) -> None:
    """Say which run of the sweep begins, and give it a run folder of its own."""
    hydra: Any = HydraConfig.get()
    number = OmegaConf.select(hydra, "job.num") or 0
    print(f"run {number} of the sweep: {' '.join(hydra.overrides.task)}", flush=True)
    if cfg.resume is not None:
        raise UserError("resume= goes on with one run, -m starts several: leave one of them out")
    if cfg.run_dir is not None:
        cfg.run_dir = f"{cfg.run_dir}/{number}"
