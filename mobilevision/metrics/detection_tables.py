"""Precision, recall and the best threshold of each class, at an overlap of one half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.metrics.box_matching import match, pairs
from mobilevision.metrics.scenes import Scenes

_FALLBACK = 0.5
_RECALLS = np.linspace(0.0, 1.0, 101)


class Curve(NamedTuple):
    """One class's detections from the surest on, without those on ignored boxes.

    Attributes:
        scores: float64 [n], descending.
        hits: int64 [n], how many of the first so many detections are right.
        boxes: true boxes that count.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.int64]
    boxes: int

    @property
    def precision(self) -> NDArray[np.float64]:
        """Right ones among the first so many detections, float64 [n]."""
        return self.hits / np.arange(1, len(self.hits) + 1)

    @property
    def recall(self) -> NDArray[np.float64]:
        """True boxes that are among the first so many detections, float64 [n]."""
        return self.hits / max(self.boxes, 1)


class Point(NamedTuple):
    """A class's best point of its curve.

    Attributes:
        threshold: detections with this score and more are shown.
        precision: of those; None where nothing can be said.
        recall: likewise.
        f1: likewise.
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None


def curves(scenes: Scenes) -> list[Curve]:
    """The curve of each class, by COCO's matching at an overlap of one half."""
    found, truth = scenes.found, scenes.truth
    matched = match(found, truth, pairs(found, truth))
    hit = matched >= 0
    counts = ~hit if not hit.any() else ~(hit & truth.ignored[matched])
    label = scenes.label(found.group)
    bounds = np.searchsorted(label, np.arange(scenes.classes + 1))
    made = []
    for start, end, boxes in zip(bounds[:-1], bounds[1:], scenes.boxes_of_class.tolist(), strict=True):
        own = counts[start:end]
        scores = found.scores[start:end][own]
        order = np.argsort(-scores, kind="stable")
        made.append(Curve(scores[order], np.cumsum(hit[start:end][own][order]), boxes))
    return made


def operating_points(found: Sequence[Curve]) -> list[Point]:
    """Where F1 is best, a class; see :meth:`DetectionMetrics.thresholds`."""
    return [_best(curve) for curve in found]


def _best(curve: Curve) -> Point:
    if not curve.boxes:
        return Point(_FALLBACK, None, None, None)
    scores, hits = curve.scores, curve.hits
    if not hits.size or not hits[-1]:
        return Point(_FALLBACK, None if not (scores >= _FALLBACK).any() else 0.0, 0.0, 0.0)
    ends = np.append(scores[1:] < scores[:-1], True)  # equal scores are shown together or not at all
    f1 = np.where(ends, 2 * hits / (np.arange(1, len(hits) + 1) + curve.boxes), -1)
    best = int(f1.argmax())
    following = scores[best + 1] if best + 1 < len(scores) else scores[best]
    threshold = float(scores[best] + following) / 2
    return Point(threshold, float(curve.precision[best]), float(curve.recall[best]), float(f1[best]))


def per_class_rows(
    found: Sequence[Curve], points: Sequence[Point], precision: NDArray[np.float64], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a class.

    Args:
        found: the curve of each class.
        points: the best point of each.
        precision: float64 [10 overlaps, 101 recalls, K] of COCO's evaluation; -1 where a class has no true box.
        classes: their names.
    """
    rows = []
    for place, (name, curve, point) in enumerate(zip(classes, found, points, strict=True)):
        own = precision[:, :, place]
        known = bool((own > -1).any())
        rows.append(
            {
                "class": name,
                "boxes": curve.boxes,
                "ap": float(own.mean()) if known else None,
                "ap_50": float(own[0].mean()) if known else None,
                "precision": point.precision,
                "recall": point.recall,
                "f1": point.f1,
                "threshold": point.threshold,
            }
        )
    return rows


def pr_rows(found: Sequence[Curve], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision at each hundredth of recall that a class reaches: the best at this recall or more, as COCO's AP takes.

    Classes without a true box have no row; one of which nothing is found has a row at recall 0.
    """
    rows = []
    for name, curve in zip(classes, found, strict=True):
        if not curve.boxes:
            continue
        places = np.searchsorted(curve.recall, _RECALLS)
        reached = places < len(curve.hits)
        best = np.maximum.accumulate(curve.precision[::-1])[::-1]
        points = zip(_RECALLS[reached], best[places[reached]], curve.scores[places[reached]], strict=True)
        rows += [
            {"class": name, "recall": round(float(r), 2), "precision": float(p), "score": float(s)}
            for r, p, s in points
        ] or [{"class": name, "recall": 0.0, "precision": 0.0, "score": None}]
    return rows
