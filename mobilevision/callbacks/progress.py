"""What the console shows of a training: a line an epoch; on a terminal a live bar below, with the time left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from mobilevision.callbacks.checkpoints import BestCheckpoint
from mobilevision.callbacks.stopping import ends_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from torch import Tensor

EVALUATION_SHARE = 0.4
"""Time of an evaluation batch over that of a training step, about: forward against forward and backward."""
_TIMED_BATCHES = 3
"""Batches of an epoch after which its own speed is known."""
_REDRAW_SECONDS = 0.1


@final
class Progress(Checkpoint):
    """A line an epoch with training and validation figures, the best so far and the time left.

    On a terminal a bar shows where the epoch is, and disappears with it; pipes and train.log get the lines alone.
    Evaluations get a bar, too. To Lightning it counts as a checkpoint, so that it is called when the task and the
    other callbacks have logged the epoch.

    Attributes:
        at_most: seconds that may be left, where the training ends at a time; None: it does not.
    """

    def __init__(self) -> None:
        self.at_most: Callable[[], float] | None = None
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._drawn = 0.0
        self._began = 0.0
        self._batches, self._evaluated = 0, 0
        self._epoch = -1  # that the bar is of
        self._place = 0  # in the epoch, whose first batches an earlier run may have done
        self._validated = False
        self._batch_seconds: float | None = None  # of a training batch, over the last epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the bar of an epoch."""
        self._validated = False
        self._epoch = trainer.current_epoch
        epoch = f"epoch {_of(trainer.current_epoch + 1, trainer.max_epochs)}"
        validations = _validations_an_epoch(trainer) if _validates(trainer) else 0
        self._start(trainer, epoch, trainer.num_training_batches + int(validations * sum(trainer.num_val_batches)))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin the bar of an epoch that is gone on with, of which Lightning calls no start."""
        if self._epoch != trainer.current_epoch:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar on."""
        self._batches, self._place = self._batches + 1, batch_idx + 1
        # What Lightning hands on is the share of one batch in a step.
        self._show(trainer, loss=outputs["loss"] * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch's line may tell what val says."""
        self._validated = True
        if trainer.state.fn != "fit":
            self._stop()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the bar of an evaluation."""
        if trainer.state.fn != "fit":
            self._start(trainer, "val", sum(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Move the bar on."""
        if not trainer.sanity_checking:
            self._evaluated += 1
            self._show(trainer)

    on_test_batch_end = on_validation_batch_end

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the bar of an evaluation."""
        self._start(trainer, "test", sum(trainer.num_test_batches))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the bar."""
        self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's line in place of its bar."""
        self._stop()
        if self._batches:
            self._batch_seconds = (time.perf_counter() - self._began) / self._work_done
        if trainer.is_global_zero:
            print(self._line(trainer, pl_module), flush=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def _line(self, trainer: pl.Trainer, task: pl.LightningModule) -> str:
        values = trainer.callback_metrics
        parts = [f"epoch {_of(trainer.current_epoch + 1, trainer.max_epochs)}"]
        parts += [f"loss {values['train/loss']:.4f}"] if "train/loss" in values else []
        if self._validated:
            followed = str(getattr(task, "followed", ""))
            parts += [f"val loss {values['val/loss']:.4f}"] if "val/loss" in values else []
            parts += (
                [f"{followed} {values[f'val/{followed}']:.4f}{_best(trainer)}"] if f"val/{followed}" in values else []
            )
        finished = trainer.current_epoch + 1 == trainer.max_epochs or ends_here(trainer)
        left = None if finished else self._seconds_left(trainer, of_this_epoch=0.0)
        parts += [f"{in_words(left)} left"] if left is not None else []
        return "  ".join(parts)

    @property
    def _work_done(self) -> float:
        """What was done of this epoch, in training batches."""
        return self._batches + EVALUATION_SHARE * self._evaluated

    def _seconds_left(self, trainer: pl.Trainer, *, of_this_epoch: float) -> float | None:
        """Seconds to the end of the training, which still has so many batches of this epoch; None: not known."""
        batches = []
        if trainer.max_epochs and trainer.max_epochs > 0:
            batches.append(
                of_this_epoch + (trainer.max_epochs - trainer.current_epoch - 1) * _batches_an_epoch(trainer)
            )
        if trainer.max_steps > 0:
            steps = (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches
            batches.append(steps * _batches_an_epoch(trainer) / max(1, trainer.num_training_batches))
        if self._batch_seconds is None or not batches:
            return None
        seconds = self._batch_seconds * min(batches)
        return seconds if self.at_most is None else min(seconds, max(0.0, self.at_most()))

    def _start(self, trainer: pl.Trainer, what: str, batches: float) -> None:
        self._stop()
        self._batches = self._evaluated = self._place = 0
        self._began, self._drawn = time.perf_counter(), 0.0
        if not (trainer.is_global_zero and sys.stdout.isatty()):
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        known = batches != float("inf")
        columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn()]
        self._bar = Bar(*columns, TextColumn("{task.fields[note]}"), transient=True, auto_refresh=False, expand=True)
        self._task = self._bar.add_task(what, total=int(batches) if known else None, note="")
        self._bar.start()
        self._bar.refresh()

    def _show(self, trainer: pl.Trainer, *, loss: Tensor | None = None) -> None:
        now = time.perf_counter()
        if self._bar is None or self._task is None or now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn, note = now, ""
        if trainer.state.fn == "fit":
            if self._work_done >= _TIMED_BATCHES:
                self._batch_seconds = (now - self._began) / self._work_done
            rest = max(0.0, _batches_an_epoch(trainer) - self._place - EVALUATION_SHARE * self._evaluated)
            left = self._seconds_left(trainer, of_this_epoch=rest)
            now_doing = "validation" if loss is None else f"loss {float(loss):.4f}"
            note = f"{now_doing}  {in_words(left)} left" if left is not None else now_doing
        self._bar.update(self._task, completed=self._place + self._evaluated, note=note, refresh=True)

    def _stop(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, visible=False)  # so that nothing of it stays on the screen
            self._bar.stop()
        self._bar = self._task = None


def _validates(trainer: pl.Trainer) -> bool:
    """Whether this epoch is one that val is measured in."""
    every = trainer.check_val_every_n_epoch or 1
    return (trainer.current_epoch + 1) % every == 0


def _validations_an_epoch(trainer: pl.Trainer) -> float:
    """How often val is measured in an epoch in which it is."""
    every = float(trainer.val_check_batch or 0)
    return max(1.0, trainer.num_training_batches // every) if 0 < every < float("inf") else 1.0


def _batches_an_epoch(trainer: pl.Trainer) -> float:
    """The work of a mean epoch, in training batches."""
    looks = _validations_an_epoch(trainer) / (trainer.check_val_every_n_epoch or 1)
    return trainer.num_training_batches + EVALUATION_SHARE * looks * sum(trainer.num_val_batches)


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _of(number: int, total: int | None) -> str:
    """``3/10``, all of the same width; ``3`` where the length is not known."""
    return f"{number:>{len(str(total))}}/{total}" if total and total > 0 else str(number)


def _best(trainer: pl.Trainer) -> str:
    """Whether this epoch is the best so far, or which value is; epoch 0 is the probe before training."""
    found = next((each for each in trainer.checkpoint_callbacks if isinstance(each, BestCheckpoint)), None)
    if found is None or found.score is None:
        return ""
    if found.epoch == trainer.current_epoch + 1:
        return " (best)"
    return f" (best {found.score:.4f}{', the probe' if found.epoch == 0 else ''})"
