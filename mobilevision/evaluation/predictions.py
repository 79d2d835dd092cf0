"""What the model said of every sample of an evaluation, a row each: ``mobilevision evaluate --scores``."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor, distributed

from mobilevision.data.loader import BatchSource
from mobilevision.ops.rows import arrays, take
from mobilevision.tasks.base import Task


@final
class CollectPredictions(Callback):
    """Keeps a row a sample while a trainer tests.

    Args:
        source: what the samples are read by: their names, and how their images lie in the model's input.
        all_scores: whether rows have every detection, or the probability of every class.
    """

    def __init__(self, source: BatchSource, *, all_scores: bool) -> None:
        self.source, self.all_scores = source, all_scores
        self._rows: dict[int, dict[str, Any]] = {}

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Note the predictions of a batch."""
        for place, index in enumerate(batch["index"].tolist()):
            self._rows[index] = self._row(pl_module, index, take(outputs, place), take(batch["target"], place))

    def rows(self) -> list[dict[str, Any]]:
        """All rows, of all processes, in the order of the data: ``file``, ``truth``, then the task's own values."""
        parts: list[Any] = [self._rows]
        if distributed.is_available() and distributed.is_initialized():
            parts = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, self._rows)
        every = {index: row for part in parts for index, row in part.items()}
        return [every[index] for index in sorted(every)]

    def _row(self, task: Task, index: int, prediction: dict[str, Tensor], target: Any) -> dict[str, Any]:
        placed = task.locate(prediction, self.source.view.frame(index).to_input.inverse)
        row = {"file": self.source.records.name(index), "truth": task.truth(target), **task.describe(placed)}
        if self.all_scores:
            row |= task.current_answer.scores(arrays(placed))
        return row
