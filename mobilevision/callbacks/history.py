"""metrics.csv: a row an epoch."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from mobilevision.io.atomic_files import write_csv
from mobilevision.tracking.run_folder import RunFolder


class MeasuredStart(ABC):
    """A callback that takes note of what the model reaches before its first step, such as a probe's head."""

    @abstractmethod
    def measured_start(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """Called before ``trainer.fit``, in every process.

        Args:
            trainer: about to fit.
            values: ``val/<metric>`` -> value; or, without a val, ``probe/<metric>`` by cross-validation within train.
        """


@final
class History(Checkpoint, MeasuredStart):
    """Writes each epoch's metrics, whatever the logger; epochs count from 1, and 0 is the model before training.

    It counts as a checkpoint for Lightning, so that it runs after the task has logged its epoch. It stands before
    :class:`LastCheckpoint` among the callbacks: an epoch that has a checkpoint has its row.

    Args:
        folder: the run's.
    """

    def __init__(self, *, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.metrics_csv
        self._epoch = -1
        self._validated: dict[str, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what the epoch's last validation measured; Lightning would show it in later epochs without one, too."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._epoch = trainer.current_epoch
            self._validated = {name: value for name, value in _measured(trainer).items() if name.startswith("val/")}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row; rows of epochs that are being repeated after a kill give way."""
        validated = self._validated if self._epoch == trainer.current_epoch else {}
        trained = {name: value for name, value in _measured(trainer).items() if not name.startswith("val/")}
        self._add(trainer, trainer.current_epoch + 1, dict(sorted((trained | validated).items())))

    def measured_start(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """Add the row of epoch 0."""
        self._add(trainer, 0, values)

    def _add(self, trainer: pl.Trainer, epoch: int, values: Mapping[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        rows = [row for row in read_history(self.path) if int(row["epoch"]) < epoch]
        rows.append({"epoch": epoch, "step": trainer.global_step, **values})
        self.folder.require()
        write_csv(self.path, rows, escape=False)

    def state_dict(self) -> dict[str, Any]:
        """What the last validation of the epoch measured."""
        return {"epoch": self._epoch, "validated": self._validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self._epoch, self._validated = state_dict["epoch"], state_dict["validated"]


def _measured(trainer: pl.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if not name.endswith("_step")}


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.csv, values as text; none where there is no file yet.

    Runs of versions that counted epochs from 0 are given as those of today: there, epoch 0 has a training loss.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    if rows and rows[0].get("epoch") == "0" and rows[0].get("train/loss"):
        rows = [{**row, "epoch": str(int(row["epoch"]) + 1)} for row in rows]
    return rows
