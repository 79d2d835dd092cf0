"""Exact average precision, area under the ROC curve and best thresholds of many attributes at once.

Everything comes from one sort a column. Samples with equal scores are one step, whatever their order, so that a
constant answer scores its base rate and no more.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ranking(NamedTuple):
    """Samples by falling score, column by column; all tensors have shape [n, A].

    Attributes:
        scores: the scores, float; samples that are not known come last, as -inf.
        positive: whether the sample has the attribute.
        known: whether that is known.
        hits: positives among this sample, those before it and its equals, float64.
        seen: known samples likewise, float64.
    """

    scores: Tensor
    positive: Tensor
    known: Tensor
    hits: Tensor
    seen: Tensor

    @property
    def positives(self) -> Tensor:
        """Positives of each attribute, float64 [A]."""
        return self.positive.sum(dim=0).double()

    @property
    def negatives(self) -> Tensor:
        """Known negatives of each attribute, float64 [A]."""
        return (self.known & ~self.positive).sum(dim=0).double()


def rank(scores: Tensor, truth: Tensor) -> Ranking:
    """Sort the samples of each attribute.

    Args:
        scores: float [n, A]; NaN counts as lowest.
        truth: float [n, A]; from 0.5 up the sample has the attribute, NaN is unknown.
    """
    known = truth.isfinite()
    low = torch.where(known & ~scores.isnan(), scores, -torch.inf)
    ranked, order = low.sort(dim=0, descending=True, stable=True)
    known, positive = known.gather(0, order), (truth >= 0.5).gather(0, order)
    end = _last_equal(ranked)
    return Ranking(
        ranked,
        positive,
        known,
        positive.double().cumsum(dim=0).gather(0, end),
        known.double().cumsum(dim=0).gather(0, end),
    )


def average_precision(ranking: Ranking) -> Tensor:
    """Sum over thresholds of (recall gained) * precision, float64 [A]; NaN where no sample has the attribute.

    As scikit-learn and torchmetrics define it, without interpolation.
    """
    precision = ranking.hits / ranking.seen.clamp(min=1)
    return (precision * ranking.positive).sum(dim=0) / ranking.positives


def area_under_roc(ranking: Ranking) -> Tensor:
    """Share of pairs of a positive and a negative in the right order, ties half, float64 [A]; NaN without pairs."""
    if not len(ranking.scores):
        return ranking.positives / 0
    # For each negative the positives above it, and half of its equals.
    before = _before(ranking)
    above = (before + ranking.hits) / 2
    negative = ranking.known & ~ranking.positive
    return (above * negative).sum(dim=0) / (ranking.positives * ranking.negatives)


def best_thresholds(ranking: Ranking, *, by: str, fewest: int = 1) -> Tensor:
    """The score from which each attribute is best called there, float64 [A]; NaN where there are too few to say.

    It lies midway between the last sample that is called so and the next; at infinity where accuracy is best served by
    calling none.

    Args:
        ranking: of :func:`rank`.
        by: ``f1`` or ``accuracy``; of equal ones, the highest threshold.
        fewest: samples of either value that it takes.
    """
    hits, seen = ranking.hits, ranking.seen
    positives, negatives = ranking.positives, ranking.negatives
    if not len(ranking.scores):
        return positives / 0
    quality = 2 * hits / (positives + seen).clamp(min=1) if by == "f1" else hits - (seen - hits)
    quality = quality.masked_fill(~ranking.known, -torch.inf)
    place = quality.argmax(dim=0, keepdim=True)
    scores = ranking.scores.double()
    last = scores.gather(0, place)
    below = torch.where(ranking.known & (scores < last), scores, -torch.inf).amax(dim=0, keepdim=True)
    between = torch.where(below.isfinite(), (last + below) / 2, last)[0]
    if by == "accuracy":
        between = torch.where(quality.amax(dim=0) < 0, torch.inf, between)
    return torch.where((positives >= fewest) & (negatives >= fewest), between, torch.nan)


def _last_equal(ranked: Tensor) -> Tensor:
    """For each sample of sorted columns the place of the last one that is equal to it, int64 [n, A]."""
    number = len(ranked)
    places = torch.arange(number, device=ranked.device)[:, None].expand(ranked.shape)
    if number == 0:
        return places
    ends = torch.ones_like(ranked, dtype=torch.bool)
    ends[:-1] = ranked[:-1] != ranked[1:]
    return torch.where(ends, places, number).flip(0).cummin(dim=0).values.flip(0)


def _before(ranking: Ranking) -> Tensor:
    """Positives before this sample and its equals, float64 [n, A]."""
    first = torch.ones_like(ranking.positive)
    first[1:] = ranking.scores[1:] != ranking.scores[:-1]
    earlier = torch.zeros_like(ranking.hits)
    earlier[1:] = ranking.hits[:-1]
    places = torch.arange(len(first), device=first.device)[:, None].expand(first.shape)
    start = torch.where(first, places, 0).cummax(dim=0).values
    return earlier.gather(0, start)
