"""best.ckpt and last.ckpt, never half-written.

Lightning's own callback leaves last.ckpt stale when it also watches a metric, overwrites best.ckpt when a run is
interrupted, and remembers absolute paths, so that a moved run folder forgets its best score. These two do not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mobilevision.errors import DivergedError, UserError
from mobilevision.ranges import NonNegativeInt, check_ranges
from mobilevision.runs.callbacks.start import MeasuredStart
from mobilevision.runs.callbacks.stopping import Stopped, between_steps
from mobilevision.runs.folder import RunFolder

_PART = ".part"


@final
class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it to the disk and renames it: all of it or nothing.

    The last.ckpt before stays as previous.ckpt, for the day when a disk ruins the newer one; at no moment is there
    none of the two.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """As Lightning's, on a local disk."""
        del storage_options
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + _PART)
        with part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        if target.name == "last.ckpt" and target.exists():
            _keep(target)
        os.replace(part, target)


def _keep(path: Path) -> None:
    spare = path.with_name(f"previous.ckpt{_PART}")
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare)
    except OSError:  # a file system without hard links
        os.replace(path, spare)
    os.replace(spare, previous(path))


@final
class BestCheckpoint(Checkpoint, MeasuredStart):
    """Keeps the weights that did best on val in ``best.ckpt``; without a val, the newest.

    Those before training compete, where they were measured: fine-tuning never ends below its probe.

    Args:
        folder: the run's.
        monitor: metric, such as ``val/top1``.
        mode: whether more or less of it is better.
    """

    def __init__(self, *, folder: RunFolder, monitor: str, mode: Literal["max", "min"]) -> None:
        self.path = folder.best
        self.monitor = monitor
        self.mode = mode
        self.score: float | None = None
        self.epoch: int | None = None
        self._save_start = False

    def measured_start(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """Take what the model reaches before training as the score to beat."""
        if self.monitor in values:
            self.score, self.epoch, self._save_start = values[self.monitor], 0, True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights before training, if they were measured."""
        if self._save_start:
            self._save_start = False
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save where the metric improved; every process saw the same metric, so all save or none does."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise UserError(f"best.ckpt follows {self.monitor}, which is not measured; there are: {known}")
        score = float(value)
        if self.score is None or (score > self.score if self.mode == "max" else score < self.score):
            self.score, self.epoch = score, trainer.current_epoch + 1
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save every epoch where nothing says which is best."""
        if not sum(trainer.num_val_batches):
            trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, without any path."""
        return {"score": self.score, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.score, self.epoch = state_dict["score"], state_dict["epoch"]


@final
class LastCheckpoint(Checkpoint):
    """Keeps where the training is in ``last.ckpt``: every epoch, every n steps, and when it is stopped.

    It saves between two steps only: what broke off inside a step has weights that no uninterrupted run ever has.

    Args:
        folder: the run's.
        every_n_steps: optimiser steps between two saves inside an epoch; 0 saves at epochs' ends only.
    """

    @check_ranges("callbacks.last")
    def __init__(self, *, folder: RunFolder, every_n_steps: NonNegativeInt = 0) -> None:
        self.path = folder.last
        self.every_n_steps = every_n_steps
        self._saved_step = -1
        self._between_steps = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save every n optimiser steps."""
        self._between_steps = between_steps(trainer, batch_idx)
        step = trainer.global_step
        if self.every_n_steps and step % self.every_n_steps == 0 and step != self._saved_step:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch."""
        self._save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save where it was stopped; bad data is met between two steps, too."""
        clean = isinstance(exception, (Stopped, SIGTERMException, UserError))
        # Stopped comes at the end of a step, before this callback has heard of it.
        between = self._between_steps or isinstance(exception, Stopped)
        if (
            clean
            and between
            and not isinstance(exception, DivergedError)
            and trainer.state.fn == "fit"
            and trainer.global_step not in (0, self._saved_step)
        ):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_step = trainer.global_step


def previous(path: Path) -> Path:
    """Where the checkpoint before ``last.ckpt`` lies."""
    return path.with_name("previous.ckpt")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint on the CPU, read without running anything in it.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint ({reason[:160]})") from error
    return checkpoint


def newest_readable(folder: RunFolder) -> Path:
    """The checkpoint to resume from: last.ckpt, or the one before where that is missing or ruined.

    Raises:
        UserError: if none can be read.
    """
    for part in folder.checkpoints.glob(f"*{_PART}"):
        part.unlink(missing_ok=True)
    for path in (folder.last, previous(folder.last)):
        if path.is_file():
            try:
                read_checkpoint(path)
            except UserError:
                continue
            return path
    raise UserError(f"{folder.path}: no checkpoint to resume from; start the run anew")
