"""Calibration of yes-or-no answers: one temperature an attribute, and how far probabilities are off."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

COLDEST, HOTTEST = 0.2, 10.0
_STEPS = 40


class Bins(NamedTuple):
    """Predictions of all attributes in bins of equal width, float64 [bins] each: how many, and the sums over them.

    Attributes:
        number: predictions in the bin.
        said: sum of their probabilities.
        true: sum of what was so.
    """

    number: Tensor
    said: Tensor
    true: Tensor

    @property
    def error(self) -> Tensor:
        """Expected calibration error: mean distance of what is said from what is so (Guo et al. 2017, equation 3)."""
        return (self.said - self.true).abs().sum() / self.number.sum().clamp(min=1)


def fit_temperatures(logits: Tensor, truth: Tensor, *, fewest: int = 1) -> Tensor:
    """Temperatures T that make sigmoid(logits / T) most likely, float64 [A], 0.2 to 10.

    Attributes with too few samples of a value get 1: with none they would be driven to the bound. The likelihood is
    concave in 1 / T, so its slope is bisected (Platt scaling without an offset; Guo et al. 2017, arXiv 1706.04599).

    Args:
        logits: float [n, A].
        truth: float [n, A], 0 to 1, NaN where unknown.
        fewest: samples of either value that it takes.
    """
    known = truth.isfinite() & logits.isfinite()
    z, y = torch.where(known, logits, 0.0).double(), torch.where(known, truth, 0.0).double()
    low = torch.full((logits.shape[1],), 1 / HOTTEST, dtype=torch.float64, device=logits.device)
    high = torch.full_like(low, 1 / COLDEST)
    for _ in range(_STEPS):
        middle = (low * high).sqrt()
        slope = (z * ((z * middle).sigmoid() - y)).sum(dim=0)
        low, high = torch.where(slope < 0, middle, low), torch.where(slope < 0, high, middle)
    positive = (y >= 0.5) & known
    number = positive.sum(dim=0)
    enough = (number >= fewest) & (known.sum(dim=0) - number >= fewest)
    return torch.where(enough, 1 / (low * high).sqrt(), 1.0)


def binned(probabilities: Tensor, truth: Tensor, *, bins: int = 15) -> Bins:
    """Gather predictions in bins; unknown ones are left out.

    Args:
        probabilities: float [n, A].
        truth: float [n, A], 0 to 1, NaN where unknown.
        bins: how many, of equal width.
    """
    known = truth.isfinite() & probabilities.isfinite()
    said, true = probabilities[known].double(), truth[known].double()
    place = (said * bins).long().clamp(max=bins - 1)
    empty = torch.zeros(bins, dtype=torch.float64, device=said.device)
    return Bins(
        empty.scatter_add(0, place, torch.ones_like(said)),
        empty.scatter_add(0, place, said),
        empty.scatter_add(0, place, true),
    )
