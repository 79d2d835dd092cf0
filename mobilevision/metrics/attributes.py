"""Average precision, AUC, accuracy, F1 and calibration of many attributes, each by itself and on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from mobilevision.metrics.metric import GatheredMetric
from mobilevision.ops.rows import attribute_mean

FEWEST = 5  # samples of either value from which on a threshold and a temperature are more than luck
COLDEST, HOTTEST = 0.2, 10.0
_STEPS = 40

# Ranking measures of many attributes at once, from one sort a column. Samples with equal scores are one step, whatever
# their order, so that a constant output scores its base rate and no more.


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


# Calibration: one temperature an attribute, and how far probabilities are off.


class Bins(NamedTuple):
    """Predictions of all attributes in bins of equal width, float64 [bins] each: how many, and the sums over them.

    Attributes:
        number: predictions in the bin.
        probability: sum of their probabilities.
        true: sum of their targets.
    """

    number: Tensor
    probability: Tensor
    true: Tensor

    @property
    def error(self) -> Tensor:
        """Expected calibration error: mean distance of probabilities from the truth (Guo et al. 2017, equation 3)."""
        return (self.probability - self.true).abs().sum() / self.number.sum().clamp(min=1)


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
    predicted, true = probabilities[known].double(), truth[known].double()
    index = (predicted * bins).long().clamp(max=bins - 1)
    empty = torch.zeros(bins, dtype=torch.float64, device=predicted.device)
    return Bins(
        empty.scatter_add(0, index, torch.ones_like(predicted)),
        empty.scatter_add(0, index, predicted),
        empty.scatter_add(0, index, true),
    )


class PerAttribute(NamedTuple):
    """Metrics of each attribute, float64 [A]; ``both`` is bool: whether both of its values occur."""

    known: Tensor
    positives: Tensor
    both: Tensor
    ap: Tensor
    auc: Tensor
    accuracy: Tensor
    f1: Tensor


@final
class AttributeMetrics(GatheredMetric):
    """Metrics of attributes.

    ``mean_ap``: mean over attributes of the exact average precision (the paper's measure); ``mean_auc``: of the area
    under the ROC curve; ``mean_accuracy`` and ``mean_f1``: of accuracy and F1 at the thresholds that the predictions
    were made with. Attributes of which the truth has a single value are left out of all four, and named in the table.
    ``cross_entropy``: of the probabilities against the truth, averaged over attributes, which also tells how well a
    teacher's probabilities are met; ``ece``: expected calibration error over all answers.

    Truth from 0.5 up counts as having the attribute; NaN is unknown and left out.

    Args:
        classes: the attributes in the order of the outputs.
        bins: bins of probability.
    """

    errors: frozenset[str] = frozenset({"cross_entropy", "ece"})

    def __init__(self, *, classes: tuple[str, ...], bins: int = 15) -> None:
        row = (len(classes),)
        kinds = {"logits": torch.float32, "probabilities": torch.float32, "present": torch.bool, "truth": torch.float32}
        super().__init__({name: (row, kind) for name, kind in kinds.items()})
        self.classes, self.bins = classes, bins

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: ``logits`` and ``probabilities``, float [B, A], and ``present``, bool [B, A]: whether the
                attribute is predicted present.
            target: float [B, A], 0 to 1, NaN where unknown.
        """
        for name in ("logits", "probabilities", "present"):
            self.append(name, prediction[name])
        self.append("truth", target)

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, float64; the means are 0 where no attribute has both values."""
        each = self._per_attribute()
        means = {name: getattr(each, name)[each.both] for name in ("ap", "auc", "accuracy", "f1")}
        return {
            **{f"mean_{name}": values.sum() / max(len(values), 1) for name, values in means.items()},
            "cross_entropy": self._cross_entropy(),
            "ece": binned(self.joined("probabilities"), self.joined("truth"), bins=self.bins).error,
        }

    def thresholds(self, temperatures: Tensor, *, by: str) -> list[float]:
        """The calibrated probability from which each attribute is best predicted present; 0.5 where there are too few.

        Args:
            temperatures: float64 [A].
            by: ``f1`` or ``accuracy``.
        """
        best = best_thresholds(rank(self.joined("logits"), self.joined("truth")), by=by, fewest=FEWEST)
        return torch.where(best.isnan(), 0.5, (best / temperatures.cpu()).sigmoid()).tolist()

    def temperatures(self) -> Tensor:
        """What the logits are best divided by, float64 [A]; 1 where there are too few."""
        return fit_temperatures(self.joined("logits"), self.joined("truth"), fewest=FEWEST)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_attribute`` and ``calibration``.

        Returns:
            ``per_attribute``: attribute, samples (of which it is known), positives, ap, auc, accuracy, f1, note (why it
            is left out of the means); what is not defined is None. ``calibration``: a row a bin of probability, of all
            attributes together: from, then samples, their mean probability and the share that was so, before
            calibration (``raw_...``) and after.
        """
        each = self._per_attribute()
        rows = []
        for index, name in enumerate(self.classes):
            counts = {"samples": int(each.known[index]), "positives": int(each.positives[index])}
            both = bool(each.both[index])
            numbers = {key: float(getattr(each, key)[index]) for key in ("ap", "auc", "accuracy", "f1")}
            if not both:
                numbers = dict.fromkeys(numbers)  # type: ignore[assignment]  # None: not defined
            rows.append({"attribute": name, **counts, **numbers, "note": "" if both else _why(*counts.values())})
        return {"per_attribute": rows, "calibration": self._calibration()}

    def _calibration(self) -> list[dict[str, Any]]:
        truth = self.joined("truth")
        raw = binned(self.joined("logits").sigmoid(), truth, bins=self.bins)
        fitted = binned(self.joined("probabilities"), truth, bins=self.bins)
        columns: dict[str, Sequence[float]] = {"from": [bin_ / self.bins for bin_ in range(self.bins)]}
        for prefix, bins in (("raw_", raw), ("", fitted)):
            count = bins.number.clamp(min=1)
            columns[f"{prefix}samples"] = bins.number.long().tolist()
            columns[f"{prefix}probability"] = (bins.probability / count).tolist()
            columns[f"{prefix}share"] = (bins.true / count).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _per_attribute(self) -> PerAttribute:
        truth, present = self.joined("truth"), self.joined("present")
        ranking = rank(self.joined("logits"), truth)
        known, positive = truth.isfinite(), truth >= 0.5
        right = ((present == positive) & known).sum(dim=0).double()
        hits = (present & positive).sum(dim=0).double()
        predicted, total = (present & known).sum(dim=0).double(), known.sum(dim=0).double()
        return PerAttribute(
            known=total,
            positives=ranking.positives,
            both=(ranking.positives > 0) & (ranking.negatives > 0),
            ap=average_precision(ranking),
            auc=area_under_roc(ranking),
            accuracy=right / total.clamp(min=1),
            f1=2 * hits / (ranking.positives + predicted).clamp(min=1),
        )

    def _cross_entropy(self) -> Tensor:
        """Mean over attributes of the means over the samples that know them, float64."""
        truth = self.joined("truth")
        known = truth.isfinite()
        predicted = self.joined("probabilities").double().nan_to_num(0.5).clamp(1e-7, 1 - 1e-7)
        true = torch.where(known, truth, 0.0).double()
        return attribute_mean(-(true * predicted.log() + (1 - true) * (1 - predicted).log()), known)


def _why(samples: int, positives: int) -> str:
    """Why an attribute is left out of the means."""
    if not samples:
        return "unknown for all samples"
    return "all samples have it" if positives else "no sample has it"
