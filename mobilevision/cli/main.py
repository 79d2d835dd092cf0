"""The main command: ``python train.py`` and ``mobilevision train``."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Literal

from mobilevision.errors import UserError
from mobilevision.io.error_lines import errors_as_lines
from mobilevision.tracking.run_folder import is_cross_validation
from mobilevision.version import __version__

if TYPE_CHECKING:
    from omegaconf import DictConfig

_VALUED = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_VALUED |= {"--experimental-rerun"}
_SWEEP = {"--multirun", "-m"}
_FLAGS = _VALUED | _SWEEP | {"--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--info", "-i"}
_FLAGS |= {"--shell-completion", "-sc"}
_FOLDER = ("--config-dir", "-cd")
_OTHER_CONFIG = {"--config-path", "-cp", "--config-name", "-cn"}


def main(arguments: list[str] | None = None) -> None:
    """Run a command line (that of the process); leaves with exit code 1 and one line on any error."""
    given = list(sys.argv[1:]) if arguments is None else arguments
    with errors_as_lines(given):
        run(given)


def run(arguments: list[str]) -> None:
    """Train as these arguments say; or show help or the configuration, or sweep, where a flag asks for it."""
    began = time.perf_counter()
    flags, overrides = split(arguments)
    if unknown := [name for name in flags if name not in _FLAGS]:
        raise UserError(_without_dashes(unknown[0], flags[unknown[0]], overrides))
    if wrong := _OTHER_CONFIG & flags.keys():
        raise UserError(f"{wrong.pop()}: the main configuration is fixed; --config-dir FOLDER adds options of your own")
    if flags.keys() & {"--help", "-h"}:
        from mobilevision.cli.show import print_help

        print_help(overrides, _given(flags, *_FOLDER))
    elif _given(flags, "--cfg", "-c") == "job":
        from mobilevision.cli.show import print_config

        cfg = composed(flags, overrides, complete=False)
        print_config(cfg, package=_given(flags, "--package", "-p"), resolve="--resolve" in flags)
    elif flags.keys() - set(_FOLDER):
        hydra_main(flags, overrides)
    else:
        from mobilevision.config.check import check_roots

        cfg = composed(flags, overrides)
        check_roots(cfg)
        print(f"mobilevision {__version__}: {cfg.task.name}; loading PyTorch and reading the data", flush=True)
        from mobilevision.training.train import start  # imports torch: after the checks, which take no time

        start(cfg, began=began)


def composed(flags: dict[str, str | None], overrides: list[str], *, complete: bool = True) -> DictConfig:
    """The configuration of these overrides; with ``resume=`` or ``extend=``, on that of a run."""
    run_folder, extended = folder_after("resume", overrides), folder_after("extend", overrides)
    if run_folder is not None and extended is not None:
        raise UserError("resume= goes on with a run, extend= adds parts to one and is a new run: give one of them")
    if run_folder is not None and is_cross_validation(run_folder):
        from mobilevision.training.cross_validation import resume_folds

        return resume_folds(run_folder, overrides)
    if run_folder is not None:
        from mobilevision.training.resuming import compose_resume

        return compose_resume(run_folder, overrides, config_dir=_given(flags, *_FOLDER))
    if extended is not None:
        from mobilevision.training.extending import compose_extended

        return compose_extended(extended, overrides, config_dir=_given(flags, *_FOLDER))
    from mobilevision.config.compose import compose

    return compose(overrides, config_dir=_given(flags, *_FOLDER), complete=complete)


def split(arguments: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """Hydra's flags, each with its value if it takes one, and overrides: Hydra wants the flags in front."""
    flags: dict[str, str | None] = {}
    overrides: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            overrides.append(argument)
        elif equals:
            flags[name] = value
        else:
            flags[name] = next(waiting, None) if name in _VALUED else None
    return flags, overrides


def _without_dashes(flag: str, value: str | None, overrides: list[str]) -> str:
    """What to type in place of a flag that is none."""
    from mobilevision.config.names import OTHER_TOOLS

    word = flag.lstrip("-").replace("-", "_")
    ours = OTHER_TOOLS.get(word, word if "." in word else None)
    if ours is None:  # no key of ours has this name
        return f"{flag}: there is no such option; keys have no dashes: data.batch_size=16 (--help shows what there is)"
    given = value or next((each for each in overrides if "=" not in each), "VALUE")
    instead = ours if "=" in ours or " " in ours else f"{ours}={given}"
    return f"{flag}: what to change is written without dashes, as key=value: {instead} (--help shows what there is)"


def folder_after(wanted: Literal["resume", "extend"], overrides: list[str]) -> str | None:
    """The run folder after ``resume=`` or ``extend=``, if it is given; quotes around it are Hydra's."""
    given = [value for key, _, value in (each.partition("=") for each in overrides) if key.lstrip("+") == wanted]
    value = given[-1].strip() if given else ""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return None if value in {"", "null"} else value


def hydra_main(flags: dict[str, str | None], overrides: list[str]) -> None:
    """Hand over to Hydra: sweeps and shell completion are its own."""
    import hydra

    from mobilevision.config.search_path import searching, sources

    config_dir = _given(flags, *_FOLDER)
    plan = None
    if _SWEEP & flags.keys():
        from mobilevision.training.sweep import check_sweep

        plan, overrides = check_sweep(overrides, config_dir)
        plan.write()
        overrides = [*overrides, "hydra.sweep.dir='{}'".format(plan.folder.replace("'", "\\'"))]
    found = sources(config_dir)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to our own one line
    given = [word for name, value in flags.items() if name not in _FOLDER for word in (name, value) if word is not None]
    program, sys.argv = sys.argv, [sys.argv[0], *given, *overrides]
    try:
        with searching(found):
            decorate = hydra.main(config_path=str(found[0].path), config_name="config", version_base="1.3")
            decorate(job)()
    finally:
        sys.argv = program
    if plan is not None:
        from mobilevision.training.sweep import sum_up

        sum_up(plan)


def job(cfg: DictConfig) -> dict[str, float] | None:
    """One run of a sweep."""
    from mobilevision.training.sweep import run_job
    from mobilevision.training.train import start

    return run_job(cfg, start)


def _given(flags: dict[str, str | None], *names: str) -> str | None:
    return next((flags[name] for name in names if flags.get(name)), None)
