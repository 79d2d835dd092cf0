"""Matching against pycocotools' own, curves, best thresholds, and what each mistake is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision.metrics import DetectionMetrics
from mobilevision.metrics.coco import accumulate
from mobilevision.metrics.detection_tables import curves
from mobilevision.metrics.scenes import match, pairs

sys.path.insert(0, str(Path(__file__).parent))
from detections import Image, batches, by_hand, drawn, tinycoco

from mobilevision.ops.boxes import iou


def measured(images: list[Image], classes: int = 5) -> DetectionMetrics:
    metric = DetectionMetrics(classes=tuple("abcdefghij"[:classes]))
    for prediction, target in batches(images):
        metric.update(prediction, target)
    return metric


def image(truth: list[Any], found: list[Any], **flags: list[bool]) -> Image:
    """Rows of (box, class) and of (box, class, score)."""
    boxes = np.array([row[0] for row in truth], dtype=np.float64).reshape(-1, 4)
    none = np.zeros(len(truth), dtype=bool)
    crowd, difficult = (np.array(flags.get(name, none), dtype=bool) for name in ("crowd", "difficult"))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    said = np.array([row[0] for row in found], dtype=np.float64).reshape(-1, 4)
    labels, scores = [row[1] for row in found], [row[2] for row in found]
    return Image(boxes, [row[1] for row in truth], crowd, difficult, area, said, labels, scores)


def box(left: float, width: float = 40) -> list[float]:
    return [left, 10, left + width, 50]


@pytest.mark.parametrize(
    ("options", "overlap"),
    [
        ({"seed": 0}, 0.5),
        ({"seed": 1, "crowd": 0.3, "found": 60}, 0.5),
        ({"seed": 2, "crowd": 0.2, "found": 60, "ties": True, "classes": 2}, 0.75),
        ({"seed": 3, "classes": 1, "found": 140, "boxes": 30, "images": 5}, 0.6),
    ],
)
def test_matches_as_pycocotools(options: dict[str, Any], overlap: float) -> None:
    drawing, classes = drawn(**options), options.get("classes", 5)
    reference = by_hand(drawing, classes)
    at = int(np.flatnonzero(np.isclose(reference.params.iouThrs, overlap))[0])
    metric = measured(drawing, classes)
    everything = metric._scenes()
    candidates = pairs(everything.detected, everything.truth)
    matched = match(everything.detected, everything.truth, candidates, overlap=overlap)
    # Number true boxes as the annotations were: by image.
    place = np.lexsort((np.arange(len(matched)), everything.detected.group))
    assert (place == np.arange(len(matched))).all(), "sorted by group"
    truth_group, seen = everything.truth.group, 0
    for each in reference.evalImgs:
        if each is None or each["aRng"] != [0, 1e10]:
            continue
        group = (each["category_id"] - 1) * len(drawing) + each["image_id"]
        ours = matched[everything.detected.group == group]
        first = np.searchsorted(truth_group, group)
        annotations = reference._gts[each["image_id"], each["category_id"]]
        theirs = [int(number) for number in each["dtMatches"][at]]
        assert [annotations[m - first]["id"] if m >= 0 else 0 for m in ours] == theirs
        seen += len(ours)
    assert seen == len(matched) > 0


def test_matches_as_pycocotools_on_real_truth(shared_data: Path) -> None:
    drawing, content = tinycoco(shared_data)
    metric = DetectionMetrics(classes=tuple(str(number) for number in range(80)))
    for prediction, target in batches(drawing):
        metric.update(prediction, target)
    found = curves(metric._scenes())
    reference = by_hand(drawing, 80, content)
    whole = [each for each in reference.evalImgs if each is not None and each["aRng"] == [0, 1e10]]
    for place, number in enumerate(reference.params.catIds):
        own = [each for each in whole if each["category_id"] == number]
        right = sum(int(((e["dtMatches"][0] > 0) & ~e["dtIgnore"][0]).sum()) for e in own)
        assert right == (found[place].hits[-1] if len(found[place].hits) else 0)
        assert found[place].boxes == sum(int((e["gtIgnore"] == 0).sum()) for e in own)


def test_overlaps() -> None:
    first = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 5, 5]])
    second = np.array([[5.0, 0, 15, 10], [0, 0, 100, 100], [10, 0, 20, 10], [5, 5, 5, 5]])
    np.testing.assert_allclose(iou(first, second), [1 / 3, 0.01, 0, 0])
    np.testing.assert_allclose(iou(first, second, crowd=np.ones(4, bool)), [0.5, 1, 0, 0])


@pytest.mark.parametrize("seed", range(3))
def test_the_curves_enclose_cocos_ap(seed: int) -> None:
    metric = measured(drawn(seed, crowd=0.1, difficult=0.1))
    tables = metric.tables()
    for row in tables["per_class"]:
        points = [each["precision"] for each in tables["pr_curves"] if each["class"] == row["class"]]
        assert len(points) <= 101
        assert sum(points) / 101 == pytest.approx(row["ap_50"], abs=1e-8)


@pytest.mark.parametrize("ties", [False, True])
def test_no_threshold_has_a_better_f1(ties: bool) -> None:
    metric = measured(drawn(4, ties=ties, found=40))
    rows = metric.tables()["per_class"]
    assert metric.thresholds() == [row["threshold"] for row in rows]
    for row, curve in zip(rows, curves(metric._scenes()), strict=True):
        flags = np.diff(curve.hits, prepend=0)
        f1 = {}
        for threshold in [*np.unique(curve.scores), row["threshold"]]:
            shown = curve.scores >= threshold
            f1[threshold] = 2 * flags[shown].sum() / (shown.sum() + curve.boxes)
        assert f1[row["threshold"]] == pytest.approx(max(f1.values())) == pytest.approx(row["f1"])
        shown = curve.scores >= row["threshold"]
        assert row["precision"] == pytest.approx(flags[shown].mean())
        assert row["recall"] == pytest.approx(flags[shown].sum() / curve.boxes)


def test_the_threshold_lies_between_the_last_good_and_the_first_bad() -> None:
    scene = image([(box(0), 0), (box(100), 0)], [(box(0), 0, 0.75), (box(100), 0, 0.5), (box(200), 0, 0.25)])
    assert measured([scene], 1).thresholds() == [0.375]


def test_a_class_of_which_nothing_is_known_gets_a_half() -> None:
    scene = image([(box(0), 0), (box(100), 1)], [(box(200), 1, 0.9), (box(200), 2, 0.9)])
    metric = measured([scene], 3)
    assert metric.thresholds() == [0.5, 0.5, 0.5]
    unfound, wrong, absent = metric.tables()["per_class"]
    assert (unfound["precision"], unfound["recall"], unfound["ap"]) == (None, 0.0, 0.0)
    assert (wrong["precision"], wrong["recall"], wrong["f1"]) == (0.0, 0.0, 0.0)
    assert (absent["boxes"], absent["ap"], absent["precision"], absent["recall"]) == (0, None, None, None)


def kinds(scene: Image, classes: int = 2) -> dict[str, int]:
    rows = measured([scene], classes).tables()["errors"]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    return {row["kind"]: row["count"] for row in rows if row["count"]}


SURE = [(box(0), 0), (box(0), 0, 0.9)]  # one box that is found, so that the threshold is known


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([], [], {"correct": 1}),
        ([(box(100), 0)], [], {"correct": 1, "missed": 1}),
        ([(box(100), 0)], [(box(102), 0, 0.95)], {"correct": 2}),
        ([(box(200), 0)], [(box(2), 0, 0.85), (box(200), 0, 0.8)], {"correct": 2, "duplicate": 1}),
        ([], [(box(200), 0, 0.95)], {"correct": 1, "background": 1}),
        ([(box(100), 1)], [(box(100), 0, 0.95)], {"correct": 1, "other_class": 1}),
        ([(box(100), 0)], [(box(125), 0, 0.95)], {"correct": 1, "location": 1}),
        ([(box(100), 0)], [(box(139), 0, 0.95)], {"correct": 1, "background": 1, "missed": 1}),
        ([(box(100), 1)], [(box(125), 0, 0.95)], {"correct": 1, "background": 1, "missed": 1}),
        ([(box(100), 0), (box(105), 1)], [(box(125), 0, 0.95)], {"correct": 1, "location": 1, "missed": 1}),
    ],
)
def test_what_a_mistake_is_called(truth: list[Any], found: list[Any], expected: dict[str, int]) -> None:
    assert kinds(image([SURE[0], *truth], [SURE[1], *found])) == expected


def test_what_lies_on_crowds_and_difficult_boxes_is_neither_right_nor_wrong() -> None:
    truth = [SURE[0], (box(100, 200), 0), (box(60), 0)]
    found = [SURE[1], (box(110), 0, 0.95), (box(150), 0, 0.95), (box(61), 0, 0.95), (box(62), 0, 0.95)]
    flags = {"crowd": [False, True, False], "difficult": [False, False, True]}
    assert kinds(image(truth, found, **flags)) == {"correct": 1}


def test_the_kinds_of_the_classes_add_up() -> None:
    tables = measured(drawn(5, crowd=0.1)).tables()
    for row in tables["errors"]:
        assert row["count"] == sum(each[row["kind"]] for each in tables["errors_by_class"])


def test_tables_are_plain_values_of_one_shape() -> None:
    tables = measured(drawn(6)).tables()
    assert json.loads(json.dumps(tables, allow_nan=False)) == tables
    for rows in tables.values():
        assert {tuple(row) for row in rows} == {tuple(rows[0])}


def test_precision_by_class_and_its_curve_are_cocos() -> None:
    everything = measured(drawn(7))._scenes()
    precision = accumulate(everything, engine="pycocotools").precision
    recall = accumulate(everything, engine="pycocotools").recall
    for place, curve in enumerate(curves(everything)):
        assert curve.recall[-1] == pytest.approx(recall[0, place, 0, -1])
        assert curve.precision.max() == pytest.approx(precision[0, :, place, 0, -1].max())
