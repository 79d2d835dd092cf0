"""What the gate lets pass and what it refuses: by significance, from two images to thousands."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.exporting.card import comparison_sentences as sentences
from mobilevision.exporting.card import refusal
from mobilevision.exporting.gate import Compared, Paired, Verdict, agreement_chance, is_chance, judge
from mobilevision.metrics import ClassificationMetrics

CLASSES = ("a", "b", "c", "d")
TASK = SimpleNamespace(followed="top1", followed_mode="max")


def manifest(answer: str, shapes: dict[str, tuple[int, ...]], classes: tuple[str, ...]) -> Manifest:
    look, image = Preprocessing("crop", 1.0, 3, 8, 8), Port("image", "uint8", (None, 3, 8, 8))
    ports = tuple(Port(name, "float32", (None, *shape)) for name, shape in shapes.items())
    about: Any = {"decision": {"thresholds": [0.5] * len(classes)}, "facts": {}, "about": {"quantised": {}}}
    return Manifest("any", answer, "onnx", "float32", ModelFile("m", 0, ""), classes, image, look, ports, **about)


def compared(answer: str, mine: Any, theirs: Any, classes: tuple[str, ...] = CLASSES) -> Compared:
    shapes = {name: value.shape[1:] for name, value in theirs.items()}
    about = manifest(answer, shapes, classes)
    found = Compared(SimpleNamespace(answer=find_answer(about, "here"), manifest=about, folder=Path("here")))  # type: ignore[arg-type]
    pixels = np.zeros((len(next(iter(theirs.values()))), 3, 8, 8), np.uint8)
    found.add(pixels, pixels, {name: torch.from_numpy(value) for name, value in mine.items()}, theirs)
    return found


def verdict(mine: np.ndarray, theirs: np.ndarray, truth: np.ndarray, task: Any = TASK) -> Verdict:
    """Of a classifier and its file, whose probabilities [N, 4] are given."""
    paired = Paired(lambda: ClassificationMetrics(classes=CLASSES))
    first, second = ({"probabilities": torch.from_numpy(each)} for each in (mine, theirs))
    paired.add(first, second, torch.from_numpy(truth))
    told = compared("classes", {"probabilities": mine}, {"probabilities": theirs})
    return judge(task, paired, told, split="test", of=len(mine), max_drop=0.005)


def sure(labels: np.ndarray, share: float = 0.91) -> np.ndarray:
    """Probabilities [N, 4] of a model that names these classes."""
    rest = np.full((len(labels), 4), (1 - share) / 3, np.float32)
    rest[np.arange(len(labels)), labels] = share
    return rest


@pytest.mark.parametrize(
    ("images", "other", "passes"),
    [
        (1, 0, True),
        (2, 0, True),
        (2, 1, True),  # p = 0.059
        (2, 2, False),
        (10, 1, True),
        (10, 2, False),
        (30, 1, True),
        (30, 4, False),
        (100, 3, True),
        (100, 6, True),
        (100, 7, False),
        (1000, 38, True),  # 0.962
        (1000, 41, False),
        (10_000, 350, False),  # 0.965 of so many is no chance any more
    ],
)
def test_doubtful_images_are_counted_against_chance(images: int, other: int, passes: bool) -> None:
    """Images between two classes, of which file and checkpoint name one each; both are wrong, so the metric stays."""
    truth = np.arange(images) % 4
    mine = sure(truth)
    theirs = mine.copy()
    truth = np.where(np.arange(images) < other, 2, truth)
    mine[:other], theirs[:other] = (0.51, 0.49, 0, 0), (0.49, 0.51, 0, 0)
    found = verdict(mine, theirs, truth)
    assert not found.failures if passes else "is below 0.97 (on" in found.failures[0]
    assert found.facts["passed"] is passes
    assert found.facts["agreement"] == pytest.approx(1 - other / images)
    said = sentences(found.facts)
    assert any("may be chance" in each for each in said) == (passes and other / images > 0.03)


@pytest.mark.parametrize("images", [2, 10, 100])
@pytest.mark.parametrize("kind", ["another class", "one class", "no class", "NaN"])
def test_a_broken_file_is_refused(images: int, kind: str) -> None:
    truth = np.arange(images) % 4
    mine = sure(truth)
    theirs = {
        "another class": np.roll(mine, 1, axis=1),
        "one class": sure(np.zeros(images, int)),  # which is right of one image in two
        "no class": np.full_like(mine, 0.25),
        "NaN": np.full_like(mine, np.nan),
    }[kind]
    found = verdict(mine, theirs, truth)
    assert found.failures
    assert found.compared
    assert any("hold NaN" in failure for failure in found.failures) == (kind == "NaN")


def test_attributes_of_one_image_are_not_as_many_images() -> None:
    """One image of ten that is bad for all its forty attributes is one, not forty of four hundred."""
    of = np.full(10, 40.0)
    one_bad, all_worse = of.copy(), of - 4
    one_bad[0] = 20
    assert one_bad.sum() / of.sum() < 0.97
    assert is_chance(agreement_chance(one_bad, of, 0.97))
    assert not is_chance(agreement_chance(all_worse, of, 0.97))
    assert not is_chance(agreement_chance(np.zeros(2), np.full(2, 3.0), 0.97))


def test_cosines_are_compared_as_numbers() -> None:
    of, rng = np.ones(30), np.random.default_rng(0)
    assert not is_chance(agreement_chance(rng.normal(0.95, 0.005, 30), of, 0.97))
    assert is_chance(agreement_chance(rng.normal(0.969, 0.02, 30), of, 0.97))


def boxes(*rows: tuple[float, float, int]) -> dict[str, np.ndarray]:
    """Three detections of one image from (left, score, label); boxes are 10 pixels wide."""
    filled = [*rows, *[(0.0, 0.0, -1)] * (3 - len(rows))]
    corners = np.array([[left, 0, left + 10, 10] for left, _, _ in filled], np.float32)
    scores, labels = (np.array([row[place] for row in filled]) for place in (1, 2))
    return {"boxes": corners, "scores": scores.astype(np.float32), "labels": labels.astype(np.int64)}


def many(*images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.stack([each[name] for each in images]) for name in images[0]}


def test_images_with_the_same_detections_are_counted() -> None:
    one, two = boxes((0, 0.9, 0), (30, 0.8, 1)), boxes((30, 0.81, 1), (0, 0.88, 0))
    faint = boxes((0, 0.9, 0), (30, 0.45, 1))  # there, but not shown: agreement does not count it
    twice = boxes((0, 0.9, 0), (0.2, 0.8, 0))
    mine = many(one, one, one, twice, boxes())
    told = compared("boxes", mine, many(two, faint, boxes((0, 0.9, 0), (30, 0.8, 0)), boxes((0, 0.9, 0)), boxes()))
    facts = told.facts()
    assert facts["images_with_same_detections"] == 2
    said = sentences({**facts, "pictures": 5, "passed": True})
    assert "2 of 5 images have the same detections at the thresholds, no more and no fewer." in said
    only_faint = compared("boxes", many(one, one), many(one, faint))
    assert (only_faint.agreement, only_faint.facts()["images_with_same_detections"]) == (1.0, 1)


def test_where_nothing_is_detected_nothing_passes() -> None:
    mine = many(boxes(), boxes((0, 0.4, 0)))
    told = compared("boxes", mine, mine)
    paired = Paired(lambda: ClassificationMetrics(classes=CLASSES))
    right = {"probabilities": torch.from_numpy(sure(np.arange(2)))}
    paired.add(right, right, torch.arange(2))
    found = judge(TASK, paired, told, split="test", of=2, max_drop=0.005)
    assert not found.compared
    assert "neither model shows a detection on these 2 images" in found.failures[0]
    line = str(refusal(found, told.artifact.manifest, Path("x.failed")))
    assert "--gate-samples 0" in line
    assert "--keep-float" not in line
    assert "\n" not in line


def test_a_metric_that_is_no_number_does_not_pass() -> None:
    truth = np.arange(10) % 4
    found = verdict(sure(truth), sure(truth), truth, SimpleNamespace(followed="auc", followed_mode="max"))
    assert "the checkpoint's auc is not a number on these 10 images" in found.failures[0]
    assert not found.compared
    assert not found.facts["passed"]
