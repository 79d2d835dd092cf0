"""Two models on the same pictures: what each said, what each is worth, and whether the difference is chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.metrics import TaskMetric

_RESAMPLES = 200
_AGREEMENT_RESAMPLES = 1000  # of sums alone, which cost nothing
_SURE = 0.05


@final
class Paired:
    """Predictions of two models for the same samples, and their targets.

    Args:
        metric: makes a fresh metric.
        repeats: whether a sample may be measured twice at once; pairs of pictures compare each with each, and a
            picture with itself would be a pair too many.
    """

    def __init__(self, metric: Callable[[], TaskMetric], *, repeats: bool = True) -> None:
        self.metric, self.repeats = metric, repeats
        self.batches: list[tuple[dict[str, Tensor], dict[str, Tensor], Any]] = []
        self.starts = [0]

    def add(self, first: dict[str, Tensor], second: dict[str, Tensor], target: Any) -> None:
        """A batch of both models' predictions."""
        self.batches.append((first, second, target))
        self.starts.append(self.starts[-1] + len(next(iter(first.values()))))

    def measured(self, *, first_only: bool = False) -> list[TaskMetric]:
        """The metric of each model over all samples; or of the first alone, where the second's outputs hold NaN."""
        return self._measure(np.arange(self.starts[-1]), 1 if first_only else 2)

    def chance(self, difference: Callable[[TaskMetric, TaskMetric], float], *, seed: int = 0) -> float:
        """How often resampled pictures show no positive difference: a one-sided paired bootstrap.

        Where samples must not repeat, random halves are taken instead, whose spread is that of the whole.

        Args:
            difference: of two metrics.
            seed: of the resampling.

        Returns:
            A share from 0 to 1; below ``_SURE`` it is hardly chance.
        """
        rng, count = np.random.default_rng(seed), self.starts[-1]
        none = 0
        for _ in range(_RESAMPLES):
            drawn = rng.integers(0, count, count) if self.repeats else rng.permutation(count)[: max(2, count // 2)]
            none += not difference(*self._measure(drawn)) > 0
        return none / _RESAMPLES

    def _measure(self, places: NDArray[np.int64], models: int = 2) -> list[TaskMetric]:
        metrics, ordered = [self.metric() for _ in range(models)], np.sort(places)
        bounds = np.searchsorted(ordered, self.starts)
        for number, batch in enumerate(self.batches):
            low, high = bounds[number : number + 2]
            if low == high:
                continue
            rows = torch.from_numpy(ordered[low:high] - self.starts[number])
            first, second, target = (_rows(each, rows) for each in batch)
            if isinstance(target, dict) and "image" in target:  # one picture drawn twice is two pictures
                target = {**target, "image": torch.arange(low, high)}
            for metric, prediction in zip(metrics, (first, second)[:models], strict=True):
                metric.update(prediction, target)
        return metrics


def agreement_chance(same: NDArray[np.float64], of: NDArray[np.float64], least: float, *, seed: int = 0) -> float:
    """How probable it is to see so little agreement of two models that agree on ``least`` of all there is.

    Where every image gives one yes or no, this is the exact one-sided binomial test. Where an image gives several,
    which are not independent of each other, or a cosine, it is a bootstrap over images.

    Args:
        same: [N], how much of an image's ``of`` both models say alike.
        of: [N], how much there is.
        least: the share to compare with, 0 to 1.
        seed: of the resampling.

    Returns:
        A share from 0 to 1; see :func:`is_chance`.
    """
    if (of == 1).all() and np.isin(same, (0, 1)).all():
        from scipy.stats import binom

        return float(binom.cdf(same.sum(), len(same), least))
    rng, enough = np.random.default_rng(seed), 0
    for _ in range(_AGREEMENT_RESAMPLES):
        drawn = rng.integers(0, len(same), len(same))
        enough += bool(same[drawn].sum() >= least * of[drawn].sum())
    return enough / _AGREEMENT_RESAMPLES


def is_chance(share: float) -> bool:
    """Whether what is seen may be chance, where it is as probable as this."""
    return share >= _SURE


def _rows(values: Any, rows: Tensor) -> Any:
    return {name: value[rows] for name, value in values.items()} if isinstance(values, dict) else values[rows]
