"""Why detections are wrong: a breakdown after TIDE (Bolya et al. 2020, arXiv 2008.08115, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilevision.metrics.box_matching import match, pairs, pairs_of
from mobilevision.metrics.scenes import Found, Scenes
from mobilevision.ops.boxes import iou

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
    shown = scenes.found.scores >= np.asarray(thresholds, dtype=np.float64)[scenes.label(scenes.found.group)]
    found = Found(scenes.found.group[shown], scenes.found.boxes[shown], scenes.found.scores[shown])
    scenes = replace(scenes, found=found)
    kind, missed = _kinds(scenes)
    label = scenes.label(found.group)[kind >= 0]
    counts = np.bincount(label * len(KINDS) + kind[kind >= 0], minlength=scenes.classes * len(KINDS))
    table: NDArray[np.int64] = counts.reshape(scenes.classes, len(KINDS))
    table[:, KINDS.index("missed")] = np.bincount(scenes.label(scenes.truth.group[missed]), minlength=scenes.classes)
    return table


def _kinds(scenes: Scenes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The kind of each detection, -1 for those on ignored boxes, and which true boxes are missed."""
    found, truth = scenes.found, scenes.truth
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
    found, truth = scenes.found, scenes.truth
    counted = np.flatnonzero(~truth.ignored)
    by_picture = counted[np.argsort(scenes.picture(truth.group[counted]), kind="stable")]
    first, second = pairs_of(scenes.picture(found.group[rows]), scenes.picture(truth.group[by_picture]))
    box = by_picture[second]
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
