"""Hold the backbone still at first, or its batch statistics throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mobilevision.engine.features import cacheable, split_features
from mobilevision.errors import UserError


@final
class Freeze(Callback):
    """Freezes the backbone before ``epochs``; its features can then be computed once and reused.

    Cached features are those of the unaugmented images. A resumed run computes them again. Feature maps, which
    detectors look at, are not cached: there the images go through the frozen backbone, augmented, at every epoch.

    Args:
        epochs: epochs to hold it; the run's length or more makes it a probe.
        cache: compute the features once, without augmentation, instead of at every epoch.
        stages: lowest stages of the backbone (1 is the stem) that never learn.
        statistics: hold the running statistics of batch norm throughout: those of little data are worse than those
            that came with the weights.
        parts: of a task that is made of several, those whose heads never learn.
    """

    def __init__(
        self,
        *,
        epochs: int = 0,
        cache: bool = True,
        stages: int = 0,
        statistics: bool = False,
        parts: Sequence[str] = (),
    ) -> None:
        self.epochs = epochs
        self.stages = stages
        self.cache = cache
        self.statistics = statistics
        self.parts = tuple(parts)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Hold the statistics; fill the cache, where it will be read."""
        pl_module.freeze_stages(self.stages)
        if unknown := set(self.parts) - set(pl_module.parts):
            raise UserError(f"freeze.parts={list(self.parts)}: there is no part {min(unknown)}")
        if self.parts:
            pl_module.freeze_parts(self.parts)
        pl_module.hold_statistics = self.statistics
        pl_module.train(pl_module.training)
        if self.cache and cacheable(pl_module) and trainer.current_epoch < self.epochs:
            data = trainer.datamodule  # type: ignore[attr-defined]
            there = [split for split, _ in data.splits.items() if split != "test"]
            computed = {split: split_features(pl_module, data, split) for split in there}
            data.cache_features(
                {split: part.features for split, part in computed.items()},
                until_epoch=self.epochs,
                index={split: part.places for split, part in computed.items()},
            )

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Freeze, or thaw; at a batch, because a run that resumes inside an epoch does not start that epoch."""
        frozen = trainer.current_epoch < self.epochs
        if pl_module.frozen != frozen:
            pl_module.freeze_backbone(frozen)
