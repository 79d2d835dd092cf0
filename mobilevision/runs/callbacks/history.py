"""metrics.csv: a row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from mobilevision.runs.callbacks.start import MeasuredStart
from mobilevision.runs.folder import RunFolder, write_text


@final
class History(Checkpoint, MeasuredStart):
    """Writes each epoch's metrics, whatever the logger; epochs count from 1, and 0 is the model before training.

    It counts as a checkpoint for Lightning, so that it runs after the task has logged its epoch, and before
    last.ckpt is saved: an epoch that has a checkpoint has its row.

    Args:
        folder: the run's.
    """

    def __init__(self, *, folder: RunFolder) -> None:
        self.path = folder.metrics_csv

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row; rows of epochs that are being repeated after a kill give way."""
        measured = {
            name: float(value) for name, value in sorted(trainer.callback_metrics.items()) if not name.endswith("_step")
        }
        self._add(trainer, trainer.current_epoch + 1, measured)

    def measured_start(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """Add the row of epoch 0."""
        self._add(trainer, 0, values)

    def _add(self, trainer: pl.Trainer, epoch: int, values: Mapping[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        rows = [row for row in read_history(self.path) if int(row["epoch"]) < epoch]
        rows.append({"epoch": epoch, "step": trainer.global_step, **values})
        columns = list(dict.fromkeys(column for row in rows for column in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())


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
