"""Trackers of a run, one factory an option of ``conf/logger``.

Each factory takes its option's keys and, from the run, ``run_dir`` (the run's folder) and ``config`` (the composed
configuration as plain mappings), and gives a :class:`Tracker`, which is a Lightning logger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from mobilevision.tracking.plain_loggers import CsvTracker, SilentTracker, TensorBoardTracker
from mobilevision.tracking.tracker import Tracker
from mobilevision.tracking.wandb import WandbTracker, choose_mode

__all__ = ["Tracker", "csv_logger", "no_logger", "tensorboard_logger", "wandb_logger"]

_OF_PEOPLE = ("attributes", "identity")  # kinds of data whose images are faces


def wandb_logger(
    *,
    run_dir: Path | str,
    config: Mapping[str, Any],
    mode: str = "auto",
    project: str = "mobilevision",
    entity: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    pictures: bool | None = None,
    artifacts: bool = True,
) -> Tracker:
    """Weights & Biases.

    Args:
        run_dir: the run's folder.
        config: the composed configuration.
        mode: ``auto`` (online with a credential, else offline), ``online`` or ``offline``.
        project: W&B project.
        entity: W&B user or team; None is the user's default.
        name: the run's name; None takes the run folder's.
        tags: W&B tags.
        pictures: whether sample images are sent; None sends them unless they are of people's faces.
        artifacts: whether the best checkpoint is sent as a model artifact when online.

    Raises:
        UserError: an unknown mode, or online without a credential.
    """
    chosen = choose_mode(mode)
    if not _first_process():
        return SilentTracker()
    return WandbTracker(
        run_dir=Path(run_dir),
        config=config,
        mode=chosen,
        project=project,
        entity=entity,
        name=name,
        tags=tags,
        pictures=_shows_no_people(config) if pictures is None else pictures,
        artifacts=artifacts,
    )


def tensorboard_logger(*, run_dir: Path | str, config: Mapping[str, Any], pictures: bool | None = None) -> Tracker:
    """TensorBoard, in ``<run_dir>/tensorboard``; ``pictures`` as in :func:`wandb_logger`."""
    if not _first_process():
        return SilentTracker()
    kept = _shows_no_people(config) if pictures is None else pictures
    return TensorBoardTracker(run_dir=Path(run_dir), config=config, pictures=kept)


def csv_logger(*, run_dir: Path | str, config: Mapping[str, Any]) -> Tracker:
    """Every logged step as a line of ``<run_dir>/steps.csv``."""
    return CsvTracker(run_dir=Path(run_dir)) if _first_process() else SilentTracker()


def no_logger(*, run_dir: Path | str, config: Mapping[str, Any]) -> Tracker:
    """No tracker; the run folder holds everything all the same."""
    return SilentTracker()


def _first_process() -> bool:
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def _shows_no_people(config: Mapping[str, Any]) -> bool:
    task = config.get("task")
    return not (isinstance(task, Mapping) and task.get("kind") in _OF_PEOPLE)
