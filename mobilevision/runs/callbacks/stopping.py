"""Stop: when val no longer improves, when the loss is not a number, or when somebody types Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Literal, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import EarlyStopping as _EarlyStopping

from mobilevision.errors import DivergedError
from mobilevision.ranges import NonNegativeFloat, PositiveInt, check_ranges


@final
class Stopped(KeyboardInterrupt):
    """Ctrl-C, taken up between two training steps."""


def between_steps(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether no gradients wait for the next batch after this one."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch


@final
class CtrlC(Callback):
    """Takes up Ctrl-C at the end of the training step, so that the state saved then is one to go on from exactly.

    A second Ctrl-C stops at once; the training then goes on from the last checkpoint before.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if that was asked for; several processes stop at the same step."""
        asked = self._asked and between_steps(trainer, batch_idx)
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            raise Stopped

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen no more."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print("stopping after this step; Ctrl-C again stops at once", flush=True)


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
        raise DivergedError(
            f"the loss became {float(loss)} at step {trainer.global_step}: lower optimizer.lr (now {pl_module.lr:g}) "
            "or set trainer.gradient_clip_val=1"
        )


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
