"""What was measured of a model before its first training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import pytorch_lightning as pl


class MeasuredStart(ABC):
    """A callback that takes note of what the model reaches before its first step, such as a probe's head."""

    @abstractmethod
    def measured_start(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """Called before ``trainer.fit``, in every process.

        Args:
            trainer: about to fit.
            values: ``val/<metric>`` -> value; or, without a val, ``probe/<metric>`` by cross-validation within train.
        """
