"""The configuration of a run folder; torch is not imported for it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from mobilevision.config.loaded import known_targets, read_config
from mobilevision.config.search_path import sources
from mobilevision.config.used_plugins import require
from mobilevision.engine.info import read_info
from mobilevision.tracking.run_folder import RunFolder


def read_run_config(path: str | Path, *, config_dir: str | None = None) -> tuple[RunFolder, DictConfig]:
    """A run's folder and its configuration.

    Args:
        path: the run folder.
        config_dir: one more folder of configs, whose groups say what the run may build, too.

    Raises:
        UserError: there is no run, its config wants to build what it must not, or a plugin of it is missing.
    """
    folder = RunFolder.existing(path)
    require(read_info(folder).get("plugins"), folder.path)
    return folder, read_config(folder.config, known_targets(sources(config_dir)) if config_dir else None)
