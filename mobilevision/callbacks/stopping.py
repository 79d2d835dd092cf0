"""Stop: when val no longer improves, when the loss is not a number, or when a signal asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Literal, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import EarlyStopping as _EarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from mobilevision.errors import DivergedError
from mobilevision.ranges import NonNegativeFloat, PositiveInt, check_ranges

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@final
class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; raised by training at a place only from which it can go on exactly."""


def between_steps(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether no gradients wait for the next batch after this one."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch


def ends_here(trainer: pl.Trainer) -> bool:
    """Whether training ends with this step, before its epoch may be over: no run could go on from here."""
    return trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step


@final
class StopSignals:
    """SIGINT and SIGTERM of this process: they stop at once, or, while training, at the next safe place.

    Attributes:
        asked: whether one came.
        wait: whether training looks at ``asked`` by itself; a second Ctrl-C then stops at once.
    """

    def __init__(self) -> None:
        self.asked = False
        self.wait = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Listen as long as this lasts."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals, from Lightning too, whose own handler talks to other processes in mid-step."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again and number == signal.SIGTERM:
            return
        if again or not self.wait:
            raise Stopped if not self.wait else KeyboardInterrupt
        with suppress(RuntimeError):  # the signal came while something else was being printed
            print("stopping at the next safe place; Ctrl-C again stops at once", flush=True)


@final
class SafeStop(Callback):
    """Takes up a stop signal where the state saved then is one to go on from exactly.

    Such places are between two steps, at an epoch's start, between two batches of a validation (which is then made
    up by the run that goes on), and the end of training. Several processes stop at the same place.

    Args:
        signals: those of this process.
    """

    def __init__(self, signals: StopSignals) -> None:
        self.signals = signals
        self._between_steps = True
        self._batches_of_all = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on wait for a safe place."""
        self.signals.listen()
        self.signals.wait = True

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        self.signals.listen()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch before is complete."""
        self._stop_if_asked(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The step before is complete, its validation too."""
        if self._between_steps:
            self._stop_if_asked(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note whether gradients wait for more batches."""
        self._between_steps = between_steps(trainer, batch_idx)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Agree how many batches every process has."""
        self.signals.listen()
        if trainer.world_size > 1 and trainer.state.fn == "fit":
            own = torch.tensor(sum(trainer.num_val_batches), device=pl_module.device)
            self._batches_of_all = int(trainer.strategy.reduce(own, reduce_op="min"))

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Training is complete up to here; whoever goes on makes this validation up."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._between_steps or ends_here(trainer):
            return
        if trainer.world_size == 1 or batch_idx < self._batches_of_all:
            self._stop_if_asked(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        self.signals.listen()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All is trained; from now on stop at once."""
        self._stop_if_asked(trainer)
        self.signals.wait = False

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        asked = self.signals.asked
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            raise Stopped


@final
class Divergence(Callback):
    """Ends a training whose loss is not a number, before its weights are saved over better ones.

    On an accelerator it looks only when metrics are logged and at the epoch's end: looking waits for the device.
    """

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the loss.

        Raises:
            DivergedError: if it is infinite or not a number.
        """
        loss = outputs["loss"]
        logged = trainer.global_step % max(getattr(trainer, "log_every_n_steps", 1), 1) == 0
        if not (loss.is_cpu or logged or trainer.is_last_batch) or torch.isfinite(loss):
            return
        raise _diverged(f"the loss became {float(loss)}", trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look at val's loss: an epoch's last step may have ruined the weights after a loss that was a number.

        Raises:
            DivergedError: if it is not a number.
        """
        loss = trainer.callback_metrics.get("val/loss")
        if trainer.state.fn == "fit" and loss is not None and torch.isnan(loss):
            raise _diverged("the loss on val became nan", trainer, pl_module)


def _diverged(what: str, trainer: pl.Trainer, pl_module: Any) -> DivergedError:
    fix = f"lower optimizer.lr (now {pl_module.lr:g}) or set trainer.gradient_clip_val=1"
    return DivergedError(f"{what} at step {trainer.global_step}: {fix}")


@final
class EarlyStopping(_EarlyStopping):
    """Ends the training after ``patience`` validations without progress.

    Args:
        monitor: metric, such as ``val/top1``.
        mode: whether more or less of it is better.
        patience: validations to wait.
        min_delta: progress smaller than this does not count.
    """

    @check_ranges("callbacks.early_stopping")
    def __init__(
        self,
        *,
        monitor: str,
        mode: Literal["max", "min"],
        patience: PositiveInt = 10,
        min_delta: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, patience=patience, min_delta=min_delta, check_finite=True)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that was stopped after its early end has nothing left to train."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True
