"""Starting W&B's client, and the id by which a run folder is known there."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from mobilevision.runs.loggers.credential import Mode

STEP = "trainer/global_step"
_SECONDS = 12  # to reach the server; with what the client adds, a run starts within 15


def start(keys: Mapping[str, Any], mode: Mode) -> Any:
    """Start a W&B run with these arguments of ``wandb.init``; its x axis is the training step.

    Raises:
        Exception: whatever the client raises, such as for a server that is not reached in time.
    """
    import wandb

    # Said of pictures that are not all of one size, which nobody can do anything about.
    logging.getLogger().addFilter(_harmless)
    settings = wandb.Settings(console="off", init_timeout=_SECONDS, x_disable_stats=True, quiet=True, silent=True)
    # Only a server knows whether a run is there to be resumed; offline, sync joins what has one id.
    resume: Literal["allow"] | None = "allow" if mode == "online" else None
    run = wandb.init(**keys, mode=mode, resume=resume, settings=settings, reinit="finish_previous")
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    return run


def _harmless(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Images sizes do not match")


def kept_id(folder: Path) -> str:
    """The id that this run folder has, or a new one, kept from now on."""
    file = folder / "id"
    if file.is_file() and (known := file.read_text(encoding="utf-8").strip()):
        return known
    fresh = secrets.token_hex(4)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(fresh + "\n", encoding="utf-8")
    return fresh


def forget_failed_start() -> None:
    """End the client's service: it holds the id of a run that could not start as being in use."""
    with suppress(Exception):
        import wandb

        wandb.teardown()


def first_line(error: Exception) -> str:
    """What a user reads of an error of the client."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
