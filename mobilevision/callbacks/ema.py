"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging

from mobilevision.ranges import PositiveInt, ShareBelowOne, check_ranges


@final
class EMA(EMAWeightAveraging):
    """Validates, and saves into checkpoints, a moving average of the weights (Polyak and Juditsky 1992).

    Args:
        decay: share of the old average kept at each step.
        every_n_steps: steps between two updates.
    """

    @check_ranges("callbacks.ema")
    def __init__(self, *, decay: ShareBelowOne = 0.999, every_n_steps: PositiveInt = 1) -> None:
        options: dict[str, Any] = {"decay": decay, "update_every_n_steps": every_n_steps}
        super().__init__(**options)
        self._swapped = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update; what is constant (frozen weights, and what no checkpoint keeps) is not averaged.

        An average of equal numbers is off by its rounding, and a run that goes on would begin without that.
        """
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._average_model is not None
        for name, parameter in pl_module.named_parameters():
            if not parameter.requires_grad:
                self._average_model.module.get_parameter(name).data.copy_(parameter.data)
        kept = pl_module.state_dict(keep_vars=True)
        held = {name for name, module in pl_module.named_modules() if not module.training}
        for name, buffer in pl_module.named_buffers():
            if name not in kept or name.rpartition(".")[0] in held:
                self._average_model.module.get_buffer(name).copy_(buffer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """While fitting, put the average in place of the weights."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)
            self._swapped = True

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if self._swapped:
            super().on_validation_epoch_end(trainer, pl_module)
            self._swapped = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """While fitting, take up both; a test is of the average, which is what is loaded already."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the weights back in mid-validation, before they are saved."""
        self.on_validation_epoch_end(trainer, pl_module)
