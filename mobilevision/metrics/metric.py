"""The interface of a task's metric, and what one stage measures with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric


class TaskMetric(Metric, ABC):
    """All that one stage measures, in one pass.

    States are sums, so that two processes give exactly what one gives. Metrics are fractions from 0 to 1.
    """

    full_state_update = False

    # Names of the values of which less is better.
    errors: frozenset[str] = frozenset()

    @abstractmethod
    def update(self, prediction: Mapping[str, Tensor], target: Any) -> None:
        """Add a batch: decoded predictions and the batch's targets."""

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, without the stage: ``{"top1": ..., "top5": ...}``."""

    def gathered(self) -> AbstractContextManager[None]:
        """While this lasts, the states are those of all processes."""
        synced: AbstractContextManager[None] = self.sync_context()
        return synced

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tables of the report: name -> rows of plain values, such as one row a class."""
        return {}


class GatheredMetric(TaskMetric, ABC):
    """A metric that keeps rows of all samples and computes from all of them at once.

    Args:
        states: name of a state -> the shape and dtype of its rows.
    """

    def __init__(self, states: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
        super().__init__()
        self._states = dict(states)
        for name in states:
            self.add_state(name, [], dist_reduce_fx="cat")

    def append(self, name: str, rows: Tensor) -> None:
        """Add the rows of a batch to a state."""
        getattr(self, name).append(rows.detach().to(self._states[name][1]))

    def joined(self, name: str) -> Tensor:
        """All rows of a state, on the CPU: not every accelerator has float64. None of them where there was no batch."""
        parts = getattr(self, name)
        parts = [parts] if isinstance(parts, Tensor) else parts  # a tensor is what torchmetrics leaves after gathering
        shape, dtype = self._states[name]
        return torch.cat([torch.zeros(0, *shape, dtype=dtype), *(part.cpu() for part in parts)])

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states; torchmetrics alone would give a process without a batch one of another shape and type."""
        for name in self._states:
            setattr(self, name, [self.joined(name).to(self.device)])
        super()._sync_dist(*args, **kwargs)


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
        with self.metric.gathered():
            self.tables = self.metric.tables()

    def compute(self) -> dict[str, float]:
        """``loss``, where there is one, and every number of the metric, added up over all processes."""
        loss = {"loss": float(self.loss.compute())} if self.has_loss else {}
        return {**loss, **{name: float(value) for name, value in self.metric.compute().items()}}
