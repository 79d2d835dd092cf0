"""A run's randomness is a function of its seed and its place, so that nothing random needs saving."""

from __future__ import annotations

import hashlib
import random
from typing import Any, final

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


@final
class Randomness(Callback):
    """Seeds every generator anew before each training batch.

    Dropout, stochastic depth and mixing at batch b of epoch e then depend on the seed, e, b and the process only:
    a resumed run draws what the uninterrupted one drew.

    Args:
        seed: the run's seed.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch, NumPy and Python."""
        place = f"{self.seed} {trainer.current_epoch} {batch_idx} {trainer.global_rank}"
        value = int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest(), "little")
        torch.manual_seed(value)
        np.random.seed(value % 2**32)
        random.seed(value)
