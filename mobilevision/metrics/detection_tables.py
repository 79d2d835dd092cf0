"""Tables of a detector's report: each class at an overlap of one half, and why detections are wrong.

The latter is a breakdown after TIDE (Bolya et al. 2020, arXiv 2008.08115, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.metrics.scenes import Detected, Scenes, match, pairs, pairs_of
from mobilevision.ops.boxes import iou

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
        precision: of those; None where it is not defined.
        recall: likewise.
        f1: likewise.
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None


def curves(scenes: Scenes) -> list[Curve]:
    """The curve of each class, by COCO's matching at an overlap of one half."""
    found, truth = scenes.detected, scenes.truth
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


def operating_point(curve: Curve) -> Point:
    """Where a class's F1 is best; see :meth:`DetectionMetrics.thresholds`."""
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


KINDS = ("correct", "other_class", "location", "duplicate", "background", "missed")
_RIGHT, _NEAR = 0.5, 0.1  # overlaps that make a detection right, and one that was at least meant for a box


def error_tables(
    scenes: Scenes, thresholds: Sequence[float], classes: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the detections from each class's threshold on are, and which boxes they miss.

    - ``correct``: matches a true box of its class with an overlap of at least one half;
    - ``duplicate``: would, but a surer detection has it already;
    - ``other_class``: overlaps a true box of another class by at least one half;
    - ``location``: overlaps one of its class by a tenth to a half;
    - ``background``: everything else that is wrong;
    - ``missed``: a true box that is not found, and that no ``other_class`` or ``location`` mistake was meant for.

    What lies on crowd regions and difficult boxes is left out.

    Returns:
        A row a kind (kind, count, share of all rows), and a row a class that occurs (class, then its counts by kind).
    """
    counts = error_counts(scenes, thresholds)
    total = counts.sum(axis=0)
    overall = [
        {"kind": kind, "count": int(count), "share": float(count / max(total.sum(), 1))}
        for kind, count in zip(KINDS, total, strict=True)
    ]
    by_class = [
        {"class": name, **dict(zip(KINDS, row.tolist(), strict=True))}
        for name, row in zip(classes, counts, strict=True)
        if row.any()
    ]
    return overall, by_class


def error_counts(scenes: Scenes, thresholds: Sequence[float]) -> NDArray[np.int64]:
    """How many of each kind, int64 [K, 6], columns as ``KINDS``; ``missed`` by the class of the true box."""
    shown = scenes.detected.scores >= np.asarray(thresholds, dtype=np.float64)[scenes.label(scenes.detected.group)]
    found = Detected(scenes.detected.group[shown], scenes.detected.boxes[shown], scenes.detected.scores[shown])
    scenes = scenes._replace(detected=found)
    kind, missed = _kinds(scenes)
    label = scenes.label(found.group)[kind >= 0]
    counts = np.bincount(label * len(KINDS) + kind[kind >= 0], minlength=scenes.classes * len(KINDS))
    table: NDArray[np.int64] = counts.reshape(scenes.classes, len(KINDS))
    table[:, KINDS.index("missed")] = np.bincount(scenes.label(scenes.truth.group[missed]), minlength=scenes.classes)
    return table


def _kinds(scenes: Scenes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The kind of each detection, -1 for those on ignored boxes, and which true boxes are missed."""
    found, truth = scenes.detected, scenes.truth
    matched = match(found, truth, pairs(found, truth), overlap=_RIGHT)
    kind = np.full(len(matched), KINDS.index("background"))
    hit = np.flatnonzero(matched >= 0)
    kind[hit] = np.where(truth.ignored[matched[hit]], -1, KINDS.index("correct"))
    wrong = np.flatnonzero(matched < 0)
    missed = ~truth.ignored
    missed[matched[hit]] = False
    own, own_box, other, other_box = _nearest(scenes, wrong)
    duplicate, confused, near = own >= _RIGHT, other >= _RIGHT, own >= _NEAR
    names = np.array([KINDS.index(name) for name in ("duplicate", "other_class", "location", "background")])
    choice = np.select([duplicate, confused, near], [0, 1, 2], default=3)
    kind[wrong] = names[choice]
    missed[other_box[choice == 1]] = False
    missed[own_box[choice == 2]] = False
    return kind, missed


def _nearest(scenes: Scenes, rows: NDArray[np.int64]) -> tuple[Any, Any, Any, Any]:
    """For some detections: the largest overlap with a true box of their class, that box, and both of other classes."""
    found, truth = scenes.detected, scenes.truth
    counted = np.flatnonzero(~truth.ignored)
    by_image = counted[np.argsort(scenes.image(truth.group[counted]), kind="stable")]
    first, second = pairs_of(scenes.image(found.group[rows]), scenes.image(truth.group[by_image]))
    box = by_image[second]
    amount = iou(found.boxes[rows[first]], truth.boxes[box])
    same = found.group[rows[first]] == truth.group[box]
    return (
        *_largest(first[same], amount[same], box[same], len(rows)),
        *_largest(first[~same], amount[~same], box[~same], len(rows)),
    )


def _largest(
    place: NDArray[np.int64], amount: NDArray[np.float64], box: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The largest amount at each place, float64 [count], 0 where there is none, and its box, int64."""
    order = np.lexsort((amount, place))
    best, whose = np.zeros(count), np.zeros(count, dtype=np.int64)
    best[place[order]], whose[place[order]] = amount[order], box[order]  # of repeated places the last one stays
    return best, whose
