"""Hold the backbone still at first, and let it learn from some epoch on."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mobilevision.runs.features import split_features


@final
class Freeze(Callback):
    """Freezes the backbone before ``epochs``; its features can then be computed once and reused.

    Cached features are those of the unaugmented pictures. A resumed run computes them again.

    Args:
        epochs: epochs to hold it; the run's length or more makes it a probe.
        cache: compute the features once, without augmentation, instead of at every epoch.
    """

    def __init__(self, *, epochs: int, cache: bool = True) -> None:
        self.epochs = epochs
        self.cache = cache

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Fill the cache, where it will be read."""
        if self.cache and trainer.current_epoch < self.epochs:
            data = trainer.datamodule  # type: ignore[attr-defined]
            features = {split: split_features(pl_module, data, split).features for split in ("train", "val")}
            data.cache_features(features, until_epoch=self.epochs)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Freeze, or thaw."""
        pl_module.freeze_backbone(trainer.current_epoch < self.epochs)
