"""Sweeps (``-m``): checked as a whole before the first run, run one by one, and summed up in a table and figures."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mobilevision.config.auto_settings import AUTO
from mobilevision.config.check import RELATED, check_values, claim_of, examine, is_choice, refuse
from mobilevision.config.compose import compose, opened
from mobilevision.config.grammar import unreadable
from mobilevision.config.groups import groups
from mobilevision.config.keys import PARTS
from mobilevision.config.layout import Layout, leaves
from mobilevision.config.parts import errors_of, split
from mobilevision.config.search_path import Source
from mobilevision.errors import StoppedError, UserError
from mobilevision.io.atomic_files import read_metrics, write_json, write_text
from mobilevision.io.error_lines import VARIABLE, error_line
from mobilevision.io.safe_yaml import read_yaml
from mobilevision.tracking.run_folder import SWEEP, RunFolder
from mobilevision.training.same_data import with_absolute_paths

# What a sweep is going to do, kept in its folder: every run of it, in whatever process, finds its own place.

_LONGEST = 120  # characters of a folder's name


@final
@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        folder: of all its runs, ``run_dir=`` or one that the same command finds again.
        keys: what varies, dotted.
        runs: how many there are; 0 where a sweeper finds out as it goes.
        config_dir: one more folder of configs.
    """

    folder: str
    keys: tuple[str, ...]
    runs: int
    config_dir: str | None = None

    def write(self) -> None:
        """Keep it in its folder."""
        write_json(Path(self.folder) / SWEEP, asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> Plan:
        """Undo :meth:`write`."""
        values = json.loads((Path(folder) / SWEEP).read_text(encoding="utf-8"))
        return cls(values["folder"], tuple(values["keys"]), values["runs"], values.get("config_dir"))

    def place(self, overrides: Sequence[str]) -> Path:
        """The folder of the run with these overrides, named by what varies: ``width-0.25_resolution-128``.

        No ``=`` is in the name: as a value of an override it would have to be quoted.
        """
        chosen = dict(line.lstrip("+").partition("=")[::2] for line in overrides)
        varying = {key: chosen[key] for key in self.keys if key in chosen}
        last = [key.rpartition(".")[2] for key in varying]
        names = [short if last.count(short) == 1 else key for key, short in zip(varying, last, strict=True)]
        parts = [f"{name}-{Path(value).name}" for name, value in zip(names, varying.values(), strict=True)]
        name = re.sub(r"[^\w.+-]+", "-", "_".join(parts)).strip("-.") or "run"
        if len(name) > _LONGEST or any("/" in value for value in varying.values()):
            name = f"{name[:_LONGEST]}_{digest(sorted(varying.items()))}"
        return Path(self.folder) / name


def digest(value: object) -> str:
    """Eight letters that stand for a value."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


# One run of a sweep: begun, gone on with, or there already; what fails is written down and the others go on.

ERROR = "error.txt"  # in the folder of a run that failed: why
_OWN = {"run_dir", "resume", "distill.teacher"}  # decided by the run itself
_OWN |= {"data.folds_final"}  # says whether one more run follows: no run of a fold differs by it

Start = Callable[[DictConfig], dict[str, float]]


def run_job(cfg: DictConfig, start: Start) -> dict[str, float] | None:
    """Do one run of the sweep that Hydra is at.

    Args:
        cfg: of this run.
        start: trains by a config.

    Returns:
        Its final metrics, or None where it failed.

    Raises:
        KeyboardInterrupt: where somebody stopped it, and so the sweep; the same command goes on.
    """
    hydra: Any = HydraConfig.get()
    plan = Plan.read(hydra.sweep.dir)
    if PARTS in cfg:
        cfg = compose(map(from_hydra, hydra.overrides.task), config_dir=plan.config_dir)
    folder = RunFolder(plan.place(hydra.overrides.task))
    number = int(OmegaConf.select(hydra, "job.num") or 0) + 1
    print(f"\nrun {number}{f' of {plan.runs}' if plan.runs else ''}: {folder.path.name}", flush=True)
    cfg.run_dir = str(folder.path)
    error = folder.path / ERROR
    try:
        result = finished(cfg, folder) or start(cfg)
    except StoppedError as stopped:
        print(error_line(stopped), file=sys.stderr, flush=True)
        raise KeyboardInterrupt from stopped  # Hydra would take any other exception for one run's own
    except Exception as failure:
        if os.environ.get(VARIABLE, "0") not in {"", "0"}:
            traceback.print_exc()
        print(error_line(failure), file=sys.stderr, flush=True)
        write_text(error, f"{error_line(failure).removeprefix('error: ')}\n")
        return None
    error.unlink(missing_ok=True)
    return result


def finished(cfg: DictConfig, folder: RunFolder) -> dict[str, float] | None:
    """The metrics of a run that is there already; one that was broken off is set to go on."""
    if not folder.config.exists():
        return None
    if changed := differences(read_yaml(folder.config), with_absolute_paths(cfg)):
        raise UserError(
            f"{folder.path} holds a run of another configuration ({', '.join(changed[:3])}): "
            "name another run_dir, or move it away"
        )
    if folder.metrics_json.exists():
        print(f"done already, in {folder.path}", flush=True)
        return read_metrics(folder.metrics_json)
    if folder.can_go_on:
        cfg.resume = str(folder.path)
    return None


def differences(before: Any, now: DictConfig) -> list[str]:
    """The keys in which two configurations differ."""
    first, second = _values(before), _values(OmegaConf.to_container(now, resolve=True))
    decided = _OWN | {"backbone.weights"} if now.pretrain.root is not None else _OWN
    keys = sorted((first.keys() | second.keys()) - decided, key=lambda key: (key.count("."), key))
    keys = [key for key in keys if second.get(key) != AUTO]  # the run decided it
    return [f"{key}: {first.get(key)}, now {second.get(key)}" for key in keys if first.get(key) != second.get(key)]


def _values(configuration: Any) -> dict[str, Any]:
    """Dotted key -> value, without mappings that hold nothing."""
    found = leaves(configuration) if isinstance(configuration, dict) else ()
    return {key: value for key, value in found if value != {}}


# Every run of a sweep composed and checked before the first one starts.

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
        if any(each.key_or_group == "extend" for each in parsed):
            raise UserError("extend= adds parts to one run and is no part of a sweep: start each run by itself")
        folder = _folder(parsed)
        given = [line for line, each in zip(given, parsed, strict=True) if each.key_or_group != "run_dir"]
        parsed = [each for each in parsed if each.key_or_group != "run_dir"]
        # A range without steps is left to its sweeper.
        discrete = [each for each in parsed if not each.is_sweep_override() or each.is_discrete_sweep()]
        jobs: list[list[str]] = BasicSweeper.split_arguments(discrete, max_batch_size=None)[0]
        errors: list[str] = []
        added: set[str] = set()
        task = "sweep"
        rest = _Values(found)
        of_parts: list[list[str]] = []
        for number, job in enumerate(_covering([*jobs, *_ends(parsed)])):
            try:
                if number >= COMPOSED and rest.knows(job):
                    rest.check(job)
                    continue
                shared, given_parts = split(job)
                clean, layout, _ = examine(shared, found, complete=not given_parts)
                if PARTS in layout.choices or given_parts:
                    of_parts.append(job)
                    continue
                rest.remember(job, layout)
                cfg = hydra_compose("config", clean)
                task = str(cfg.task.name)
                refuse_several(cfg)
                added |= {line.partition("=")[0] for line in clean if line.startswith("++")}
            except UserError as error:
                errors += errors_of(error)
        if not errors:
            errors += rest.combined(jobs)
    for job in of_parts:  # behind Hydra's one configuration: each part has one of its own
        try:
            cfg = compose(job, config_dir=config_dir)
            task = str(cfg.task.name)
            refuse_several(cfg)
        except UserError as error:
            errors += errors_of(error)
    refuse(list(dict.fromkeys(errors)))
    varying = [str(each.input_line) for each in parsed if each.is_sweep_override()]
    keys = tuple(to_hydra(line).lstrip("+").partition("=")[0] for line in varying)
    open_ended = any(each.is_sweep_override() and not each.is_discrete_sweep() for each in parsed)
    named = folder or f"outputs/sweeps/{task}_{digest(sorted(given))}"
    plan = Plan(named, keys, 0 if open_ended else len(jobs), config_dir)
    return plan, [to_hydra(_with_plus(override, added)) for override in given]


# What a command line says of a part is no key of Hydra's configuration (``parts.cars.head=ssd,picodet``). It goes
# through Hydra below one of its own, and is read again by the run.

_GIVEN = "given_parts"


def to_hydra(line: str) -> str:
    """An override of a part as Hydra takes it along: ``++given_parts.cars-head=ssd``; another one as it is."""
    text = line.lstrip("+~")
    key, equals, value = text.partition("=")
    if not key.startswith(f"{PARTS}."):
        return line
    path = key.removeprefix(f"{PARTS}.").replace(".", "-")
    return f"++{_GIVEN}.{path}{equals}{value}" if equals else f"++{_GIVEN}.{path}=null"


def from_hydra(line: str) -> str:
    """Undo :func:`to_hydra`."""
    key, _, value = line.lstrip("+").partition("=")
    if not key.startswith(f"{_GIVEN}."):
        return line
    path = key.removeprefix(f"{_GIVEN}.").replace("-", ".")
    return f"~{PARTS}.{path}" if value == "null" and "." not in path else f"{PARTS}.{path}={value}"


def refuse_several(cfg: DictConfig) -> None:
    """A run of a sweep is one run, of one process.

    Raises:
        UserError: the trainer would start several processes, or a cross-validation several runs.
    """
    refuse_processes(cfg)
    if (cfg.data.get("folds") or 0) > 1:
        raise UserError("data.folds is no part of a sweep: its folds are runs of their own")


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


def sum_up(plan: Plan) -> None:
    """Print the table of a sweep and write its figures into its folder.

    Raises:
        UserError: where runs failed; the others are summed up all the same.
    """
    from mobilevision.reports.compare import collect, print_rows, write

    paths = sorted(Path(plan.folder).iterdir())
    places = [path for path in paths if (path / "config.yaml").exists() or (path / ERROR).exists()]
    failed = [place for place in places if (place / ERROR).exists()]
    finished = [place for place in places if place not in failed and (place / "metrics.json").exists()]
    if finished:
        print(f"\n{len(finished)} runs in {plan.folder}")
        rows = collect(finished)
        print_rows(rows)
        files = write(rows, finished[0].parent)
        print(f"\nwritten     {', '.join(file.name for file in files)}")
    if failed:
        why = "\n".join(f"  {place.name}: {(place / ERROR).read_text(encoding='utf-8').strip()}" for place in failed)
        raise UserError(f"{len(failed)} of {len(places)} runs failed; the same command tries them again:\n{why}")
