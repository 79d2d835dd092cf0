"""Metrics of embeddings: same or not, as LFW and FaceNet do it, and whether the nearest is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from mobilevision.metrics.metric import TaskMetric
from mobilevision.ops.pairs import FOLDS, Numbers, Pairs, pairs_of

# Rates of a verification from the similarities of pairs: exact, by sorting, with ties taken together.

Floats = NDArray[np.float64]
FARS = {"1e-3": 1e-3, "1e-4": 1e-4}


class Curve(NamedTuple):
    """At each threshold that tells two pairs apart, the share of pairs at or above it.

    Attributes:
        threshold: float64 [m], descending; the first is infinite, so that nothing is accepted.
        accepted: float64 [m], share of the pairs of the same that are accepted (VAL, true positive rate).
        false: float64 [m], share of the other pairs that are (FAR, false positive rate).
    """

    threshold: Floats
    accepted: Floats
    false: Floats


def curve(similarity: Floats, same: NDArray[np.bool_]) -> Curve:
    """The exact curve; NaN where there are no pairs of a sort.

    Args:
        similarity: float [n].
        same: bool [n].
    """
    order = np.argsort(-similarity, kind="stable")
    values, alike = similarity[order], same[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1) if len(values) else np.zeros(0, np.int64)
    hits, others = np.cumsum(alike)[last], np.cumsum(~alike)[last]
    with np.errstate(invalid="ignore", divide="ignore"):
        accepted = np.concatenate([[0.0], hits]) / max(int(same.sum()), 0)
        false = np.concatenate([[0.0], others]) / max(int((~same).sum()), 0)
    return Curve(np.concatenate([[np.inf], values[last]]), accepted, false)


def area(found: Curve) -> float:
    """Area under the curve: the probability that a pair of the same is more similar than another; ties count half."""
    if np.isnan(found.accepted).any() or np.isnan(found.false).any():
        return float("nan")
    return float(np.trapezoid(found.accepted, found.false))


def val_at_far(found: Curve, rate: float, others: int) -> float:
    """VAL at the threshold with the largest FAR that does not exceed ``rate`` (FaceNet, arXiv 1503.03832, section 4).

    Args:
        found: the curve.
        rate: the false accept rate.
        others: pairs of two identities; fewer than 1 / rate of them cannot show such a rate, and the result is NaN.
    """
    if others * rate < 1 or np.isnan(found.accepted).any():
        return float("nan")
    return float(found.accepted[np.flatnonzero(found.false <= rate)[-1]])


def best_threshold(found: Curve) -> float:
    """The threshold with the largest mean of the shares that are right, same and other; midway to the next below."""
    right = found.accepted + 1 - found.false
    if np.isnan(right).any() or len(right) < 2:
        return float("nan")
    place = max(int(right.argmax()), 1)
    after = found.threshold[min(place + 1, len(right) - 1)]
    return float((found.threshold[place] + after) / 2)


def fold_accuracy(similarity: Floats, same: NDArray[np.bool_], fold: Numbers) -> tuple[float, list[float]]:
    """LFW's accuracy: each fold at the threshold that is best on the others; the mean, and each fold's own.

    The share that is right is taken over pairs of the same and over others apart, and then the mean of the two: on LFW,
    with as many of each, that is the accuracy, and where most pairs are of others it says more.
    """
    order = np.argsort(-similarity, kind="stable")
    values, alike, part = similarity[order], same[order], fold[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1) if len(values) else np.zeros(0, np.int64)
    accuracies = []
    for number in range(FOLDS):
        elsewhere, here = part != number, fold == number
        sorts = [alike & elsewhere, ~alike & elsewhere, same & here, ~same & here]
        if not all(sort.any() for sort in sorts):
            continue
        hits, others = (np.cumsum(sort)[last] / sort.sum() for sort in sorts[:2])
        accepted = similarity >= values[last[(hits - others).argmax()]]
        accuracies.append(float((accepted[sorts[2]].mean() + (~accepted[sorts[3]]).mean()) / 2))
    return (float(np.mean(accuracies)) if accuracies else float("nan")), accuracies


_BLOCK = 1 << 16  # pairs whose similarity is computed at once
_POINTS = 400  # of the curve in the table
_BINS = 40


class _Compared(NamedTuple):
    """The images in the order of their numbers, whatever order they came in, and the pairs among them with cosines.

    Attributes:
        vectors: float32 [n, D], embeddings.
        identities: int64 [n].
        images: int64 [n], their numbers.
        pairs: by index among the images.
        similarity: float64, a cosine a pair.
    """

    vectors: Tensor
    identities: Numbers
    images: Numbers
    pairs: Pairs
    similarity: NDArray[np.float64]


@final
class VerificationMetrics(TaskMetric):
    """``auc``, ``accuracy``, ``val_at_far_1e-3``, ``val_at_far_1e-4`` and ``rank_1``.

    ``auc``: area under the ROC curve of the pairs' cosines. ``accuracy``: LFW's, over ten folds, each at the threshold
    of the other nine; where the two sorts of pairs differ in number, the mean of both sorts' shares. ``val_at_far_*``:
    the share of the same accepted at that false accept rate, as FaceNet defines it (arXiv 1503.03832, section 4).
    ``rank_1``: the share of images, among those with another of their identity, whose nearest image is of it. What
    cannot be measured is NaN: rates that need more pairs than there are, ``rank_1`` where nobody knows the identities.

    The pairs are those of ``pairs``; else all pairs of the images, or ``most`` of them drawn by a fixed seed. What is
    computed does not depend on the order of batches, nor on how many processes saw them.

    Args:
        pairs: the pairs to compare, by image number; those whose images were not measured are left out.
        most: pairs of images, where none are listed.
        queries: images, at most, whose nearest is looked for; at equal distances.
    """

    embeddings: list[Tensor]
    targets: list[Tensor]

    def __init__(self, *, pairs: Pairs | None = None, most: int = 2_000_000, queries: int = 5000) -> None:
        super().__init__()
        self.pairs, self.most, self.queries = pairs, most, queries
        self.add_state("embeddings", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """``prediction["embedding"]``: float [B, D], unit length; ``target``: int64 [B, 2], identity and image."""
        self.embeddings.append(prediction["embedding"].detach().float())
        self.targets.append(target.detach())

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, float64."""
        vectors, identities, _, pairs, similarity = self._compared()
        found = curve(similarity, pairs.same)
        values = {"auc": area(found), "accuracy": fold_accuracy(similarity, pairs.same, pairs.fold)[0]}
        others = int((~pairs.same).sum())
        values |= {f"val_at_far_{name}": val_at_far(found, rate, others) for name, rate in FARS.items()}
        values["rank_1"] = self._rank_1(vectors, identities)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def threshold(self) -> float | None:
        """The cosine from which two images are best taken for the same; None without pairs of both sorts."""
        _, _, _, pairs, similarity = self._compared()
        best = best_threshold(curve(similarity, pairs.same))
        return None if np.isnan(best) else best

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What the report shows.

        Returns:
            ``verification``: what was compared, in words and numbers; ``folds``: accuracy of each fold; ``roc``: false
            accept rate, validation rate and threshold along the curve; ``similarities``: from, and the shares of the
            pairs of the same and of others in each bin of cosine.
        """
        _, identities, _, pairs, similarity = self._compared()
        found = curve(similarity, pairs.same)
        each = fold_accuracy(similarity, pairs.same, pairs.fold)[1]
        return {
            "verification": self._words(pairs, identities),
            "folds": [{"fold": place + 1, "accuracy": value} for place, value in enumerate(each)],
            "roc": _points(found),
            "similarities": _histogram(similarity, pairs.same),
        }

    def hardest(self, count: int) -> list[tuple[int, int, float, bool]]:
        """The most similar pairs of two identities and the least similar of one, ``count`` of each sort.

        Returns:
            Rows of two image numbers, cosine, and whether both show the same; the worst first.
        """
        _, _, images, pairs, similarity = self._compared()
        rows: list[tuple[int, int, float, bool]] = []
        for alike, sign in ((False, -1), (True, 1)):
            chosen = np.flatnonzero(pairs.same == alike)
            for row in chosen[np.argsort(sign * similarity[chosen], kind="stable")[:count]]:
                both = int(images[pairs.first[row]]), int(images[pairs.second[row]])
                rows.append((*both, float(similarity[row]), alike))
        return rows

    def _compared(self) -> _Compared:
        vectors, identities, images = torch.zeros(0, 1), np.zeros(0, np.int64), np.zeros(0, np.int64)
        if len(self.targets):
            vectors, targets = (dim_zero_cat(state).cpu() for state in (self.embeddings, self.targets))
            order = torch.sort(targets[:, 1], stable=True).indices
            identities, images = targets[order].numpy().T
            vectors = vectors[order]
        if self.pairs is not None:
            pairs = self.pairs.among(images)
        else:
            pairs = pairs_of(identities, most=self.most)
            if (identities < 0).any():
                keep = (identities[pairs.first] >= 0) & (identities[pairs.second] >= 0)
                pairs = Pairs(pairs.first[keep], pairs.second[keep], pairs.same[keep], pairs.fold[keep])
        values = [
            (vectors[pairs.first[start : start + _BLOCK]] * vectors[pairs.second[start : start + _BLOCK]]).sum(1)
            for start in range(0, len(pairs), _BLOCK)
        ]
        similarity = torch.cat(values).double().numpy() if values else np.zeros(0)
        return _Compared(vectors, identities, images, pairs, similarity)

    def _rank_1(self, vectors: Tensor, identities: Numbers) -> float:
        known, sizes = np.unique(identities, return_inverse=True)[1], np.unique(identities, return_counts=True)[1]
        able = np.flatnonzero((identities >= 0) & (sizes[known] > 1)) if len(identities) else np.zeros(0, np.int64)
        if len(able) == 0 or len(sizes) < 2:
            return float("nan")
        rows = able[np.linspace(0, len(able) - 1, min(len(able), self.queries)).astype(np.int64)]
        right = 0
        for start in range(0, len(rows), 1024):
            part = rows[start : start + 1024]
            cosine = vectors[part] @ vectors.T
            cosine[torch.arange(len(part)), torch.from_numpy(part)] = -2.0  # an image is not its own neighbour
            right += int((identities[cosine.argmax(dim=1).numpy()] == identities[part]).sum())
        return right / len(rows)

    def _words(self, pairs: Pairs, identities: Numbers) -> list[dict[str, Any]]:
        same, count = int(pairs.same.sum()), len(identities)
        every = len(pairs) == count * (count - 1) // 2
        how = "listed" if self.pairs is not None else "all there are" if every else "drawn, the same each time"
        rows: list[dict[str, Any]] = [
            {"what": "pictures", "value": count},
            {"what": f"pairs of the same ({how})", "value": same},
            {"what": f"other pairs ({how})", "value": len(pairs) - same},
        ]
        for name, rate in FARS.items():
            if (len(pairs) - same) * rate < 1:
                what = f"false accept rate {name} needs {round(1 / rate):,} other pairs: there are too few to say"
                rows.append({"what": what, "value": len(pairs) - same})
        return rows


def _points(found: Curve) -> list[dict[str, Any]]:
    """Rows along the curve, close together where the false accept rate is small."""
    if np.isnan(found.accepted).any() or np.isnan(found.false).any():
        return []
    rates = np.unique(np.concatenate([np.geomspace(1e-5, 1, _POINTS), np.linspace(0, 1, 51)]))
    places = np.unique(np.searchsorted(found.false, rates, side="right") - 1)
    return [
        {
            "far": float(found.false[place]),
            "val": float(found.accepted[place]),
            "threshold": float(min(found.threshold[place], 1.0)),
        }
        for place in places
    ]


def _histogram(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> list[dict[str, Any]]:
    edges = np.linspace(-1, 1, _BINS + 1)
    counts = [np.histogram(similarity[chosen].clip(-1, 1), edges)[0] for chosen in (same, ~same)]
    alike, others = (count / max(int(count.sum()), 1) for count in counts)
    return [{"from": float(edges[i]), "same": float(alike[i]), "other": float(others[i])} for i in range(_BINS)]
