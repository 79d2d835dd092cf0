"""Every run of a sweep composed and checked before the first one starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import final

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.compose import opened
from mobilevision.runs.config.between import RELATED
from mobilevision.runs.config.check import check_values, claim_of, examine, is_choice, refuse
from mobilevision.runs.config.grammar import unreadable
from mobilevision.runs.config.groups import groups
from mobilevision.runs.config.layout import Layout
from mobilevision.runs.search_path import Source
from mobilevision.runs.sweep.plan import Plan, digest

_LAUNCHERS = {"parallel": "hydra-joblib-launcher", "cluster": "hydra-submitit-launcher"}
COMPOSED = 20  # runs of a sweep that are composed beforehand; of the others, every value is checked all the same


def check_sweep(overrides: Sequence[str], config_dir: str | None = None) -> tuple[Plan, list[str]]:
    """Check every run of a sweep.

    Args:
        overrides: of the command line; what an experiment sweeps over (``hydra.sweeper.params``) joins them.
        config_dir: one more folder of configs.

    Returns:
        What is going to be done, and the overrides as Hydra takes them.

    Raises:
        UserError: one text with every error of every run, or if a run needs several processes.
    """
    for line in overrides:
        refuse_missing(line)
    with opened(config_dir) as found:
        given = [*_of_experiment(overrides), *overrides]
        parsed = _parsed(given)
        if any(each.key_or_group == "resume" for each in parsed):
            raise UserError("resume= goes on with one run; the same -m command goes on with a sweep")
        folder = _folder(parsed)
        given = [line for line, each in zip(given, parsed, strict=True) if each.key_or_group != "run_dir"]
        parsed = [each for each in parsed if each.key_or_group != "run_dir"]
        jobs = _jobs(parsed)
        errors: list[str] = []
        added: set[str] = set()
        task = "sweep"
        rest = _Values(found)
        for number, job in enumerate(_covering([*jobs, *_ends(parsed)])):
            try:
                if number >= COMPOSED and rest.knows(job):
                    rest.check(job)
                    continue
                clean, layout, _ = examine(job, found, complete=True)
                rest.remember(job, layout)
                cfg = hydra_compose("config", clean)
                task = str(cfg.task.name)
                refuse_processes(cfg)
                if (cfg.data.get("folds") or 0) > 1:
                    raise UserError("data.folds is no part of a sweep: its folds are runs of their own")
                added |= {line.partition("=")[0] for line in clean if line.startswith("++")}
            except UserError as error:
                errors += [line.strip() for line in str(error).splitlines() if not line.endswith("configuration:")]
        if not errors:
            errors += rest.combined(jobs)
        refuse(list(dict.fromkeys(errors)))
    keys = tuple(str(each.key_or_group) for each in parsed if each.is_sweep_override())
    open_ended = any(each.is_sweep_override() and not each.is_discrete_sweep() for each in parsed)
    named = folder or f"outputs/sweeps/{task}_{digest(sorted(given))}"
    return Plan(named, keys, 0 if open_ended else len(jobs)), [_with_plus(override, added) for override in given]


@final
class _Values:
    """Checks the values of runs whose options were looked at before: quick, so that thousands can be checked."""

    def __init__(self, found: Sequence[Source]) -> None:
        self._known = set(groups(found))
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._parsed: dict[str, Override] = {}

    def remember(self, job: Sequence[str], layout: Layout) -> None:
        """The keys that there are under a run's options."""
        self._layouts.setdefault(self._split(job)[0], layout)

    def knows(self, job: Sequence[str]) -> bool:
        """Whether a run with the same options was looked at before."""
        return self._split(job)[0] in self._layouts

    def check(self, job: Sequence[str]) -> None:
        """Check a run.

        Raises:
            UserError: one text with every error.
        """
        options, values = self._split(job)
        refuse(check_values([*self._layouts[options].claims, *map(claim_of, values)], self._layouts[options]))

    def combined(self, jobs: Sequence[list[str]]) -> Iterator[str]:
        """A line for every run whose values do not go together, each said once."""
        seen: set[str] = set()
        for job in jobs:
            related = " ".join(
                line
                for line in job
                if line.partition("=")[0] in self._known or line.lstrip("+").partition("=")[0] in RELATED
            )
            if related not in seen and self.knows(job):
                try:
                    self.check(job)
                except UserError as error:
                    yield str(error)
            seen.add(related)

    def _split(self, job: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        for line in job:
            if line not in self._parsed:
                self._parsed[line] = OverridesParser.create().parse_override(line)
        parsed = [self._parsed[line] for line in job]
        options = tuple(str(each.input_line) for each in parsed if is_choice(each, self._known))
        plain = (each for each in parsed if not each.is_delete() and not each.is_hydra_override())
        return options, [each for each in plain if not is_choice(each, self._known)]


def _ends(parsed: Sequence[Override]) -> Iterator[list[str]]:
    """Runs at both ends of every axis without steps (``interval(0,1)``), which needs a sweeper of its own."""
    fixed = [str(each.input_line) for each in parsed if not each.is_sweep_override()]
    for each in parsed:
        if isinstance(value := each.value(), IntervalSweep):
            for end in (value.start, value.end):
                yield [*fixed, f"{each.get_key_element()}={end:g}"]


def _of_experiment(overrides: Sequence[str]) -> list[str]:
    """What an experiment sweeps over by itself, as overrides, but for keys that the command line gives."""
    chosen = [line for line in overrides if line.startswith(("experiment=", "task="))]
    cfg = hydra_compose("config", [line for line in chosen if "," not in line], return_hydra_config=True)
    params = OmegaConf.to_container(cfg.hydra.sweeper.params) if cfg.hydra.sweeper.get("params") else {}
    assert isinstance(params, dict)
    given = {line.lstrip("+").partition("=")[0] for line in overrides}
    return [f"{key!s}={values}" for key, values in params.items() if key not in given]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed: list[Override] = []
    errors = []
    for line in overrides:
        try:
            parsed += parser.parse_overrides([line])
        except HydraException as error:
            errors.append(unreadable(line, error))
    refuse(errors)
    return parsed


def _folder(parsed: Sequence[Override]) -> str | None:
    """What ``run_dir=`` names: the folder of the sweep."""
    named = [each for each in parsed if each.key_or_group == "run_dir"]
    if any(each.is_sweep_override() for each in named):
        raise UserError("run_dir: names one folder for the whole sweep, in which each run has its own")
    value = named[-1].value() if named else None
    return None if value is None else str(value)


def _jobs(parsed: Sequence[Override]) -> list[list[str]]:
    """The overrides of each run; a sweep over a range without steps is left to its sweeper."""
    discrete = [each for each in parsed if not each.is_sweep_override() or each.is_discrete_sweep()]
    jobs: list[list[str]] = BasicSweeper.split_arguments(discrete, max_batch_size=None)[0]
    return jobs


def _covering(jobs: Sequence[list[str]]) -> list[list[str]]:
    """As many runs as it takes to see every value, and every choice of options together (``backbone=a loss=b``)."""
    seen: set[str] = set()
    kept = []
    for job in jobs:
        options = " ".join(line for line in job if "." not in line.partition("=")[0])
        new = {options, *job} - seen
        if new:
            kept.append(job)
            seen |= new
    return kept


def _with_plus(override: str, added: set[str]) -> str:
    key = f"++{override.partition('=')[0].lstrip('+')}"
    return f"++{override.lstrip('+')}" if key in added else override if "hydra" in key else override.lstrip("+")


def refuse_missing(override: str) -> None:
    """A launcher of ours is an extra.

    Raises:
        UserError: if this override chooses one that is not installed, with the command that installs it.
    """
    group, _, option = override.partition("=")
    package = _LAUNCHERS.get(option) if group == "hydra/launcher" else None
    if package is not None and find_spec(f"hydra_plugins.{package.replace('-', '_')}") is None:
        raise UserError(f"{override}: needs {package}: pip install 'mobilevision[{option}]'")


def refuse_processes(cfg: DictConfig, what: str = "-m") -> None:
    """A run of several that are done one after the other has one process: others would repeat them all.

    Args:
        cfg: of the run.
        what: asks for several runs.

    Raises:
        UserError: if the trainer would start several.
    """
    strategy, devices = str(cfg.trainer.strategy), cfg.trainer.devices
    several = str(devices) not in {"1", "auto"} if isinstance(devices, int | str) else len(devices) > 1
    if several or any(name in strategy for name in ("ddp", "fsdp", "deepspeed")):
        raise UserError(
            f"{what} runs one process and trainer.strategy={strategy} trainer.devices={devices} needs several: "
            "take one device a run, or start each run by itself"
        )
