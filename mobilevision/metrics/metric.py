"""The face that every task's metric shows: one object a stage, many named numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torchmetrics import Metric


class TaskMetric(Metric, ABC):
    """All that one stage measures, in one pass.

    States are sums, so that two processes give exactly what one gives. Metrics are fractions from 0 to 1.
    """

    full_state_update = False

    # Names of those of its numbers of which less is better.
    errors: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def update(self, prediction: Mapping[str, Tensor], target: Any) -> None:
        """Add a batch: decoded predictions and the batch's targets."""

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, without the stage: ``{"top1": ..., "top5": ...}``."""

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tables of the report: name -> rows of plain values, such as one row a class."""
        return {}
