"""The main command: ``python train.py`` and ``mobilevision train``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from mobilevision.runs.console import errors_as_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig

VALUE_FLAGS = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
VALUE_FLAGS |= {"--info", "-i", "--experimental-rerun"}


def main() -> None:
    """Run the command line in ``sys.argv``; leaves with exit code 1 and one line on any error."""
    with errors_as_lines(sys.argv):
        run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Train as these arguments say; or show help or the configuration, or sweep, where a flag asks for it."""
    flags, overrides = split(arguments)
    from mobilevision.runs.compose import compose

    if flags:
        hydra_main(flags, overrides)
    else:
        start(compose(overrides))


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags (with their values) and overrides apart; Hydra itself wants the flags in front."""
    flags: list[str] = []
    overrides: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument.startswith("-"):
            flags.append(argument)
            if argument in VALUE_FLAGS:
                flags += [value for value in [next(waiting, None)] if value is not None]
        else:
            overrides.append(argument)
    return flags, overrides


def start(cfg: DictConfig) -> dict[str, float]:
    """Import what trains, and train."""
    from mobilevision.runs.train import train

    return train(cfg)


def hydra_main(flags: list[str], overrides: list[str]) -> None:
    """Hand over to Hydra: help, ``--cfg``, sweeps and shell completion are its own."""
    import hydra

    from mobilevision.runs.search_path import searching, sources

    found = sources()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to our own one line
    program, sys.argv = sys.argv, [sys.argv[0], *flags, *overrides]
    try:
        with searching(found):
            decorate = hydra.main(config_path=str(found[0].path), config_name="config", version_base="1.3")
            decorate(job)()
    finally:
        sys.argv = program


def job(cfg: DictConfig) -> Any:
    """One run of a sweep."""
    return start(cfg)
