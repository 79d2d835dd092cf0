"""Learning-rate schedules over optimiser steps; a longer run recomputes them from its new length."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mobilevision.ranges import Items, NonNegativeFloat, PositiveShare, Share, check_ranges


class Schedule(ABC):
    """A factor on the learning rate at each optimiser step.

    Args:
        warmup: share of all steps (below 1) or a number of steps (from 1 up) over which the rate rises from zero.
    """

    @check_ranges("scheduler")
    def __init__(self, *, warmup: NonNegativeFloat = 0.0) -> None:
        self.warmup = warmup
        self._total_steps = 1

    def __call__(self, optimizer: Optimizer, *, total_steps: int) -> LambdaLR:
        """A scheduler to step after every optimiser step."""
        warmup = round(self.warmup * total_steps) if self.warmup < 1 else int(self.warmup)
        self._total_steps = total_steps
        return LambdaLR(optimizer, lambda step: self._factor(step, warmup, self._total_steps))

    def end_at(self, total_steps: int) -> None:
        """End after so many steps, for a training that has become shorter or longer while it runs."""
        self._total_steps = total_steps

    def _factor(self, step: int, warmup: int, total: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.factor((step - warmup) / max(1, total - warmup))

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Factor at ``progress`` (0 after the warm-up, 1 at the end)."""


@final
class Cosine(Schedule):
    """Half a cosine from 1 down to ``floor`` (Loshchilov and Hutter 2016, arXiv 1608.03983).

    Args:
        warmup: as in :class:`Schedule`.
        floor: factor at the end.
    """

    @check_ranges("scheduler")
    def __init__(self, *, warmup: NonNegativeFloat = 0.0, floor: Share = 0.0) -> None:
        super().__init__(warmup=warmup)
        self.floor = floor

    def factor(self, progress: float) -> float:
        """As in :class:`Schedule`."""
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@final
class Step(Schedule):
    """The rate times ``gamma`` at each milestone.

    Args:
        warmup: as in :class:`Schedule`.
        milestones: shares of the run, such as ``(0.5, 0.75)``.
        gamma: factor at each.
    """

    @check_ranges("scheduler")
    def __init__(
        self,
        *,
        warmup: NonNegativeFloat = 0.0,
        milestones: Annotated[Sequence[Share], Items(ascending=True)] = (0.5, 0.75),
        gamma: PositiveShare = 0.1,
    ) -> None:
        super().__init__(warmup=warmup)
        self.milestones = tuple(milestones)
        self.gamma = gamma

    def factor(self, progress: float) -> float:
        """As in :class:`Schedule`."""
        return float(self.gamma ** sum(progress >= milestone for milestone in self.milestones))


@final
class Constant(Schedule):
    """The same rate throughout, after the warm-up."""

    def factor(self, progress: float) -> float:
        """As in :class:`Schedule`."""
        return 1.0


def optimizer_steps(*, batches: int, limit: int | float | None, accumulate: int, epochs: int | None, most: int) -> int:
    """Optimiser steps of a whole training, at least 1.

    Args:
        batches: batches of an epoch and process.
        limit: the first so many of them, or a share of them; None for all.
        accumulate: batches a step.
        epochs: epochs; None or below 1 for no bound.
        most: bound on the steps; below 1 for none.
    """
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = epochs * -(-batches // accumulate) if epochs is not None and epochs > 0 else most
    return max(1, min(steps, most) if most > 0 else steps)
