"""best.ckpt and last.ckpt, never half-written.

Lightning's own callback leaves last.ckpt stale when it also watches a metric, overwrites best.ckpt when a run is
interrupted, and remembers absolute paths, so that a moved run folder forgets its best score. These two do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from mobilevision.callbacks.history import MeasuredStart
from mobilevision.callbacks.stopping import Stopped, between_steps, ends_here
from mobilevision.errors import DivergedError, UserError
from mobilevision.ranges import NonNegativeInt, check_ranges
from mobilevision.tracking.run_folder import RunFolder

# Where a training stands, in Lightning's own words, so that it goes on from there with what really comes next.

Next = Literal["batch", "validation", "epoch"]
"""What comes next: the next batch of this epoch; a validation, and then the rest of the epoch; the next epoch."""

_STAGES = ("ready", "started", "processed", "completed")


def say_next(fit_loop: dict[str, Any], comes_next: Next, *, by_steps: bool = False) -> None:
    """Write the state of Lightning's fit loop such that ``comes_next`` is what it does when it goes on.

    Args:
        fit_loop: its state, changed in place; all completed batches are done, and no gradients wait.
        comes_next: what comes next.
        by_steps: whether ``trainer.max_steps`` is set: Lightning then takes every checkpoint for one within an epoch.
    """
    batches = fit_loop["epoch_loop.batch_progress"]
    done = batches["current"]["completed"]
    epoch_loop = fit_loop["epoch_loop.state_dict"]
    if comes_next == "epoch":
        _set_all_stages(fit_loop["epoch_loop.val_loop.batch_progress"])
        if by_steps:
            _set_all_stages(fit_loop["epoch_progress"], "processed")
            batches["current"] = dict.fromkeys(_STAGES, 0)
            batches["is_last_batch"] = False
        return
    _set_all_stages(batches)
    for loader in fit_loop["state_dict"].get("combined_loader", []):
        loader["batches"] = done  # a batch that was handed out and not learnt from comes again
    if comes_next == "batch":
        # As saved at the end of the last batch: Lightning counts its completion, and its step for loggers, itself.
        for numbers in (batches["current"], batches["total"]):
            numbers["completed"] -= 1
        batches["is_last_batch"] = False
        epoch_loop["_batches_that_stepped"] -= 1
        _set_all_stages(fit_loop["epoch_loop.val_loop.batch_progress"])
    else:
        # As broken off in the validation's first batch; Lightning then begins it anew.
        begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        fit_loop["epoch_loop.val_loop.batch_progress"] |= {"current": dict(begun), "total": dict(begun)}


def _set_all_stages(progress: dict[str, Any], by: str = "completed") -> None:
    """Nothing is under way: set every stage of a progress to the count of stage ``by``."""
    for numbers in (progress["current"], progress["total"]):
        numbers.update(dict.fromkeys(_STAGES, numbers[by]))


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
        self.folder = folder
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
            self._save(trainer)

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
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save every epoch where nothing says which is best."""
        # What Lightning has counted so far says nothing in a process that has not validated yet.
        if trainer.datamodule.splits.val is None or not trainer.limit_val_batches:  # type: ignore[attr-defined]
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, without any path."""
        return {"score": self.score, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.score, self.epoch = state_dict["score"], state_dict["epoch"]

    def _save(self, trainer: pl.Trainer) -> None:
        self.folder.require()
        trainer.save_checkpoint(self.path)


@final
class LastCheckpoint(Checkpoint):
    """Keeps where the training is in ``last.ckpt``: every epoch, every n steps, and when it is stopped.

    It saves where an uninterrupted run comes by with this very state, and says in the checkpoint what comes next: the
    next batch, a validation that is still to be made, or the next epoch (see :func:`say_next`).

    Args:
        folder: the run's.
        every_n_steps: optimiser steps between two saves inside an epoch; 0 saves at epochs' ends only.
    """

    @check_ranges("callbacks.last")
    def __init__(self, *, folder: RunFolder, every_n_steps: NonNegativeInt = 0) -> None:
        self.folder = folder
        self.path = folder.last
        self.every_n_steps = every_n_steps
        self._saved_step = -1
        self._next: Next | None = None  # what would come next if it were saved now; None: nothing to go on from
        self._after_validation: Next | None = None
        self._stepped = False  # no gradients wait
        self._saving: Next | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save the steps before, every n; their validation, where one was due, is done by now."""
        step = trainer.global_step
        if self._next == "batch" and self.every_n_steps and step % self.every_n_steps == 0:
            self._save(trainer, "batch")
        self._next = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note whether the next batch is all that is to come in this epoch, as far as is known."""
        self._stepped = between_steps(trainer, batch_idx)
        last = trainer.is_last_batch or ends_here(trainer)
        self._next = "batch" if self._stepped and not last else None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on the validation is what comes next."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._after_validation = self._next
            self._next = "validation" if self._stepped and not ends_here(trainer) else None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Callbacks take in what was measured: a state between two."""
        self._next = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All callbacks have taken in what was measured."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._next = None if ends_here(trainer) else self._after_validation

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch."""
        self._save(trainer, "epoch")
        self._next = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save where it was stopped; bad data is met between two steps, too."""
        together = isinstance(exception, Stopped)  # else one of several processes would wait for the others
        clean = isinstance(exception, UserError) and trainer.world_size == 1
        if trainer.state.fn != "fit" or self._next is None or not (together or clean):
            return
        if not isinstance(exception, DivergedError):
            self._save(trainer, self._next)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say in last.ckpt what comes next."""
        if self._saving is not None:
            say_next(checkpoint["loops"]["fit_loop"], self._saving, by_steps=trainer.max_steps != -1)

    def _save(self, trainer: pl.Trainer, comes_next: Next) -> None:
        if trainer.global_step == self._saved_step:
            return
        self.folder.require()
        self._saving = comes_next
        try:
            trainer.save_checkpoint(self.path)
        finally:
            self._saving = None
        self._saved_step = trainer.global_step
