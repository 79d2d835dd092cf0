"""What one stage measures: the task's metric and the mean loss, over all batches and processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn
from torchmetrics import MeanMetric

from mobilevision.metrics.metric import TaskMetric


@final
class StageMeter(nn.Module):
    """A stage's metric and mean loss, together.

    Args:
        metric: measures decoded predictions against targets.

    Attributes:
        has_loss: whether batches come with a loss.
    """

    def __init__(self, metric: TaskMetric) -> None:
        super().__init__()
        self.metric = metric
        self.loss = MeanMetric()
        self.has_loss = True  # an exported model gives predictions only
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def reset(self) -> None:
        """Start anew."""
        self.metric.reset()
        self.loss.reset()

    def update(self, loss: Tensor | None, prediction: Mapping[str, Tensor], target: Any, *, samples: int) -> None:
        """Add a batch of so many samples; without a loss where ``has_loss`` is false."""
        if loss is not None:
            self.loss.update(loss, weight=samples)
        self.metric.update(prediction, target)

    def tabulate(self) -> None:
        """Make ``tables`` of what all processes measured; every process has to call it."""
        with self.metric.sync_context():
            self.tables = self.metric.tables()

    def compute(self) -> dict[str, float]:
        """``loss``, where there is one, and every number of the metric, added up over all processes."""
        loss = {"loss": float(self.loss.compute())} if self.has_loss else {}
        return {**loss, **{name: float(value) for name, value in self.metric.compute().items()}}
