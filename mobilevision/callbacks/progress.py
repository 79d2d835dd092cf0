"""The progress bar: live on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import sys
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar


@final
class Bar(RichProgressBar):
    """Lightning's rich bar without the version number of the logger."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


@final
class Lines(Checkpoint):
    """One line an epoch, for logs and pipes.

    It counts as a checkpoint for Lightning, which calls those when the task has logged its epoch.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch."""
        if not trainer.is_global_zero:
            return
        shown = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name in ("train/loss", "val/loss") or name == f"val/{getattr(pl_module, 'followed', '')}"
        }
        text = "  ".join(f"{name} {value:.4f}" for name, value in sorted(shown.items()))
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}", flush=True)


def Progress() -> Bar | Lines:  # noqa: N802 - named as the thing that configs ask for
    """The bar that suits where the output goes."""
    return Bar() if sys.stdout.isatty() else Lines()
