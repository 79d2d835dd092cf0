"""COCO's twelve numbers: equal to pycocotools run by hand on the same detections, in any order and on any processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask
from pycocotools.cocoeval import COCOeval

from mobilevision.errors import UserError
from mobilevision.metrics import DetectionMetrics
from mobilevision.metrics.coco import accumulate, faster_is_usable

sys.path.insert(0, str(Path(__file__).parent))
from detections import NAMES, Image, batches, by_hand, drawn, tinycoco

FASTER = faster_is_usable()
ENGINES = [
    pytest.param("faster", marks=pytest.mark.skipif(not FASTER, reason="faster-coco-eval is not installed")),
    "pycocotools",
]
CASES: dict[str, Any] = {
    "random": {"seed": 0},
    "other random": {"seed": 1, "classes": 1, "boxes": 20},
    "crowd": {"seed": 2, "crowd": 0.3},
    "only crowd": {"seed": 3, "crowd": 1.0},
    "ties": {"seed": 4, "classes": 3, "found": 60, "ties": True, "crowd": 0.2},
    "more than 100 of a class": {"seed": 5, "classes": 1, "found": 160, "images": 8},
    "no detections": {"seed": 6, "found": 0},
    "images without boxes": {"seed": 7, "boxes": 1, "images": 40},
    "no truth": {"seed": 8, "boxes": 0},
}


def measured(images: list[Image], classes: int, **options: Any) -> DetectionMetrics:
    engine = options.pop("engine", "auto")
    metric = DetectionMetrics(classes=tuple(str(number) for number in range(classes)), engine=engine)
    for prediction, target in batches(images, **options):
        metric.update(prediction, target)
    return metric


def values(metric: DetectionMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def check(ours: dict[str, float], reference: COCOeval) -> None:
    theirs = dict(zip(NAMES, reference.stats, strict=True))
    sizes = {name for name, value in theirs.items() if value == -1 and name.endswith(("small", "medium", "large"))}
    assert ours.keys() == theirs.keys() - sizes, "a size without truth is left out, and nothing else"
    for name, value in ours.items():
        assert value == pytest.approx(max(theirs[name], 0), abs=1e-8), name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_equals_pycocotools_by_hand(case: str, engine: str) -> None:
    options = CASES[case]
    images, classes = drawn(**options), options.get("classes", 5)
    check(values(measured(images, classes, engine=engine)), by_hand(images, classes))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_equals_pycocotools_by_hand_on_real_truth(shared_data: Path, split: str, engine: str) -> None:
    images, content = tinycoco(shared_data, split)
    assert any(image.crowd.any() for image in images) or split == "val2017"
    reference = by_hand(images, 80, content)
    metric = measured(images, 80, engine=engine)
    check(values(metric), reference)
    precision = reference.eval["precision"][..., 0, -1]
    for place, row in enumerate(metric.tables()["per_class"]):
        own = precision[:, :, place]
        assert (row["ap"] is None) == (own == -1).all()
        if row["ap"] is not None:
            assert row["ap"] == pytest.approx(own.mean(), abs=1e-8)
            assert row["ap_50"] == pytest.approx(own[0].mean(), abs=1e-8)


@pytest.mark.skipif(not FASTER, reason="faster-coco-eval is not installed")
@pytest.mark.parametrize("ties", [False, True])
def test_both_engines_are_equal_with_difficult_boxes(ties: bool) -> None:
    metric = measured(drawn(9, crowd=0.2, difficult=0.3, ties=ties, found=60), 5)
    one, other = (accumulate(metric._scenes(), engine=engine) for engine in ("faster", "pycocotools"))
    np.testing.assert_allclose(one.precision, other.precision, rtol=0, atol=1e-8)
    np.testing.assert_allclose(one.recall, other.recall, rtol=0, atol=1e-8)


class WithDifficult(COCOeval):
    """Difficult boxes as crowd regions, which can be found again and again, but with their own overlap."""

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        truth = self._gts[imgId, catId]
        found = sorted(self._dts[imgId, catId], key=lambda each: -each["score"])[:100]
        crowd = [int(each["crowd"]) for each in truth]
        return mask.iou([each["bbox"] for each in found], [each["bbox"] for each in truth], crowd)


@pytest.mark.parametrize("engine", ENGINES)
def test_difficult_boxes_are_neither_missed_nor_wrong(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    images = drawn(10, crowd=0.2, difficult=0.3, found=60)
    plain = values(measured(images, 5, engine=engine))
    import detections

    content = detections.as_json(images, 5)
    flags = np.concatenate([np.stack([p.crowd, p.difficult], axis=1) for p in images])
    for annotation, (crowd, difficult) in zip(content["annotations"], flags.tolist(), strict=True):
        annotation |= {"crowd": int(crowd), "iscrowd": int(crowd or difficult)}
    monkeypatch.setattr(detections, "COCOeval", WithDifficult)
    check(plain, by_hand(images, 5, content))
    for image in images:
        image.difficult[:] = False
    assert values(measured(images, 5, engine=engine)) != plain


def test_a_difficult_box_found_twice_is_no_mistake() -> None:
    box = np.array([[10.0, 10, 50, 50], [100, 100, 200, 200]])
    found = np.array([[10.0, 10, 50, 50], [11, 11, 50, 50], [100, 100, 200, 200]])
    none, labels = np.zeros(2, bool), np.zeros(2, np.int64)
    scores = np.array([0.9, 0.8, 0.7])
    image = Image(box, labels, none, ~none & [True, False], np.array([1600.0, 1e4]), found, np.zeros(3), scores)
    assert values(measured([image], 1))["map"] == 1.0


def test_the_order_and_the_batches_change_nothing() -> None:
    images = drawn(11, ties=True, crowd=0.1)
    metric = DetectionMetrics(classes=tuple("01234"))
    for prediction, target in reversed(list(batches(images, batch=7))):
        metric.update(prediction, target)
    other = measured(images, 5, batch=1)
    assert values(metric) == values(other)
    assert metric.tables() == other.tables()
    assert metric.thresholds() == other.thresholds()


@pytest.mark.parametrize("frame", [(0.5, 2.0, 0.0, 0.0), (0.9375, 0.9375, 0.0, 37.5), (1.5, 1.5, -40.0, -20.0)])
def test_boxes_are_measured_in_the_image_whatever_the_input(frame: tuple[float, ...]) -> None:
    images = drawn(12)
    ours = values(measured(images, 5, frame=frame))
    assert ours == pytest.approx(values(measured(images, 5)), abs=2e-3)  # the model's boxes are float32


def test_detections_are_clipped_to_the_image() -> None:
    image = drawn(0, images=1, boxes=0, found=1)[0]
    image.boxes, image.labels, image.area = np.array([[200.0, 100, 320, 240]]), np.zeros(1), np.array([100.0])
    image.crowd = image.difficult = np.zeros(1, bool)
    image.found, image.found_labels = np.array([[200.0, 100, 900, 900]]), np.zeros(1)
    assert values(measured([image], 1))["map"] == 1.0


def test_what_is_no_detection_is_left_out() -> None:
    images = drawn(13)
    metric = DetectionMetrics(classes=tuple("01234"))
    for prediction, target in batches(images):
        broken = {name: torch.cat([value, value[:, :3]], dim=1) for name, value in prediction.items()}
        broken["labels"][:, -3] = 7  # an output of the head that is no class of the data
        broken["scores"][:, -2] = torch.nan
        broken["boxes"][:, -1, 2] = torch.inf
        metric.update(broken, target)
    assert values(metric) == values(measured(images, 5))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_measured_is_zero_and_not_an_error() -> None:
    metric = DetectionMetrics(classes=("a", "b"))
    assert set(values(metric).values()) == {0.0}
    assert metric.thresholds() == [0.5, 0.5]
    assert metric.tables()["pr_curves"] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, engine: str) -> None:
    metric = measured(drawn(14), 5, engine=engine)
    with caplog.at_level("INFO"):
        metric.compute()
        metric.tables()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_the_names_come_in_the_order_of_interest() -> None:
    names = list(measured(drawn(15, boxes=20), 5).compute())
    assert names[:3] == ["map_50", "map", "map_75"]
    assert sorted(names) == sorted(NAMES)


def test_auto_does_without_a_new_enough_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    images = drawn(16)
    expected = values(measured(images, 5, engine="pycocotools"))
    monkeypatch.setattr("mobilevision.metrics.coco.version", lambda name: "1.6.7")
    assert values(measured(images, 5)) == expected
    with pytest.raises(UserError, match="mobilevision\\[fast\\]"):
        measured(images, 5, engine="faster").compute()


def test_a_reset_or_a_batch_more_is_evaluated_anew() -> None:
    metric = measured(drawn(17), 5)
    metric.compute()
    metric.reset()
    every = list(batches(drawn(18)))
    for place, (prediction, target) in enumerate(every):
        metric.update(prediction, target)
        if place in (2, len(every) - 1):
            metric.compute()
            metric.tables()
    assert values(metric) == values(measured(drawn(18), 5))
    assert metric.tables() == measured(drawn(18), 5).tables()


def test_the_tables_do_not_evaluate_again(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = measured(drawn(19), 5)
    metric.compute()
    expected = measured(drawn(19), 5).tables()
    monkeypatch.setattr("mobilevision.metrics.detection.accumulate", None)
    assert metric.tables() == expected
