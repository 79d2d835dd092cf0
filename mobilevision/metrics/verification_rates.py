"""Rates of a verification from the similarities of pairs: exact, by sorting, with ties taken together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.ops.pairs import FOLDS, Numbers

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
        said = similarity >= values[last[(hits - others).argmax()]]
        accuracies.append(float((said[sorts[2]].mean() + (~said[sorts[3]]).mean()) / 2))
    return (float(np.mean(accuracies)) if accuracies else float("nan")), accuracies
