"""The metrics of several tasks, each on the images that its part knows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from mobilevision.metrics.metric import TaskMetric
from mobilevision.ops.parts import of_part, with_parts
from mobilevision.ops.rows import take

MEAN = "mean_of_parts"


@final
class MultitaskMetrics(TaskMetric):
    """Every number of every part, as ``part/name``, and ``mean_of_parts``.

    The latter is the mean of the parts' primary metrics, which are fractions; one of which less is better counts as 1
    less it, and at least 0. A part whose metric is not a number, or of which a split has no sample, is left out.

    Args:
        parts: the metric of each part.
        primary: of each part, the name of its primary metric, and whether more or less of it is better.
    """

    def __init__(
        self, parts: Mapping[str, TaskMetric], *, primary: Mapping[str, tuple[str, Literal["max", "min"]]]
    ) -> None:
        super().__init__()
        self._measured = frozenset(parts)
        self._parts, self.primary = nn.ModuleDict(dict(parts)), dict(primary)
        self.errors = frozenset(f"{name}/{each}" for name, part in parts.items() for each in part.errors)

    @property
    def parts(self) -> dict[str, TaskMetric]:
        """The metric of each part."""
        return {name: part for name, part in self._parts.items() if isinstance(part, TaskMetric)}

    def measure_only(self, parts: Iterable[str]) -> None:
        """Leave out the numbers of all other parts, of which there are no samples."""
        self._measured = frozenset(parts)

    def update(self, prediction: Mapping[str, Tensor], target: Any) -> None:
        """As of :class:`TaskMetric`: ``prediction`` has ``part/name``, ``target`` is that of the joined data."""
        for name, metric in self.parts.items():
            if name not in target or not bool(target[name]["known"].any()):
                continue
            known, own = target[name]["known"], of_part(prediction, name)
            labels = target[name]["target"]
            if not bool(known.all()):
                own, labels = take(own, known), take(labels, known)
            metric.update(own, labels)

    def compute(self) -> dict[str, Tensor]:
        """See the class."""
        values = {name: part.compute() for name, part in self.parts.items() if name in self._measured}
        scores = []
        for name, (primary, mode) in self.primary.items():
            score = float(values.get(name, {}).get(primary, math.nan))
            scores += [] if math.isnan(score) else [score if mode == "max" else max(0.0, 1.0 - score)]
        return {MEAN: torch.tensor(sum(scores) / len(scores) if scores else math.nan), **with_parts(values)}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The parts' tables, as ``part/name``."""
        return with_parts({name: part.tables() for name, part in self.parts.items() if name in self._measured})

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """As of :class:`TaskMetric`, of every part: this object has no states of its own."""
        with ExitStack() as stack:
            for part in self.parts.values():
                stack.enter_context(part.gathered())
            yield

    def reset(self) -> None:
        """Start anew."""
        super().reset()
        for part in self.parts.values():
            part.reset()
