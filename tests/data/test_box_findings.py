"""What a look through data with boxes counts, finds and draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.data.boxes import Boxes, BoxTargets, boxes_of
from mobilevision.data.files import FileRecords
from mobilevision.data.inspect import differ, inspect
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.data.sheet import problem_sheet, worst

from .conftest import Save, photo

RED = np.array([255, 79, 94])


def filed(save: Save, images: dict[str, Boxes], **options: object) -> Records:
    paths = [bytes(save(name, seed=number, **options)) for number, name in enumerate(images)]
    targets = BoxTargets.of(list(images.values()))
    return FileRecords(paths=paths, targets=targets, channels=3)


@pytest.fixture
def splits(save: Save) -> Splits:
    train = filed(
        save,
        {
            "1.png": boxes_of([[0, 0, 32, 24], [1, 1, 4, 4]], [0, 1], difficult=[False, True]),
            "2.png": boxes_of([], []),
            "3.png": boxes_of([[0, 0, 64, 48]] * 3, [1, 1, 0], crowd=[True, False, False]),
        },
    )
    image = photo(2)  # as 3.png, but larger and with other boxes
    path = save("near.png", image=image.resize((128, 96)))
    test = FileRecords(paths=[bytes(path)], targets=BoxTargets.of([boxes_of([[0, 0, 9, 9]], [0])]), channels=3)
    return Splits(train=train, test=test, classes=("cat", "dog"))


def test_boxes_are_counted_by_class_and_size(splits: Splits) -> None:
    findings = inspect(splits, resolution=(48, 64))
    boxes = findings.boxes
    assert boxes is not None
    assert not findings.counts
    assert boxes.counts == {"train": (2, 2), "test": (1, 0)}
    assert boxes.empty == {"train": 1, "test": 0}
    assert (boxes.boxes, boxes.crowd, boxes.difficult) == (6, 1, 1)
    assert boxes.small == 2
    assert boxes.tiny == 2
    assert boxes.shares is not None
    assert boxes.shares[1] == pytest.approx((0.25 + 1) / 2)
    assert boxes.most[0] == 3
    assert boxes.most[1].endswith("3.png")
    assert inspect(splits).boxes.tiny is None  # type: ignore[union-attr]


def test_duplicates_with_other_boxes_are_found_and_drawn(splits: Splits) -> None:
    findings = inspect(splits)
    (pair,) = findings.duplicates
    assert pair.across
    assert pair.labels
    assert worst(splits, findings) is not None


def test_boxes_of_a_resized_copy_are_the_same() -> None:
    first = boxes_of([[0, 0, 10, 10], [20, 20, 40, 30]], [0, 1])
    second = boxes_of([[40, 41, 80, 61], [0, 1, 20, 21]], [1, 0])
    shapes = np.array([[50, 50], [100, 100]])
    assert not differ(first, second, shapes)
    assert differ(first, second, np.array([[50, 50], [50, 50]]))
    assert differ(first, first[:1], shapes)
    assert differ(first[:1], boxes_of([[0, 0, 20, 20]], [1]), shapes)
    assert not differ(first[:0], second[:0], shapes)


def test_classes_have_no_box_findings(save: Save) -> None:
    records = FileRecords(paths=[bytes(save("1.png"))], targets=np.zeros(1, np.int64), channels=3)
    assert inspect(Splits(train=records, classes=("a",))).boxes is None


@pytest.mark.parametrize(
    "box",
    [
        (10.0, 10.0, 10.0, 40.0),
        (5.0, 5.0, 5.0, 5.0),
        (40.0, 30.0, 10.0, 5.0),
        (-60.0, -40.0, -20.0, -10.0),
        (50.0, 40.0, 90.0, 70.0),
        (1e9, 0.0, 2e9, 10.0),
        (-1e300, -1e300, 1e300, 1e300),
    ],
)
def test_every_bad_box_can_be_seen(save: Save, box: tuple[float, float, float, float]) -> None:
    path = save("grey.png", image=Image.new("RGB", (64, 48), (90, 120, 90)))
    sheet = problem_sheet([Problem("labels.csv:2", "is bad", "mend it", str(path), box)])
    assert sheet is not None
    assert (np.abs(np.asarray(sheet).astype(int) - RED).sum(-1) < 60).sum() > 10


def test_kinds_of_problems_take_turns_and_images_are_drawn_once(save: Save, tmp_path: Path) -> None:
    one, two = str(save("1.png")), str(save("2.png", seed=1))
    many = [Problem(f"a.csv:{i}", f"box ({i}, 1) has no area", "mend", one, (1, 1, 1, 9)) for i in range(9)]
    other = Problem("a.csv:99", "box (nan, 1) is not finite", "mend", two, (float("nan"), 1, 2, 3))
    gone = Problem("a.csv:3", "lies outside", "mend", str(tmp_path / "gone.png"), (1, 1, 2, 2))
    textual = Problem("a.csv:4", "no such class", "mend")
    sheet = problem_sheet([*many, other, gone, textual])
    assert sheet is not None
    assert sheet.width == 2 * (340 + 8) + 8, "one image a kind, the unreadable one left out"
    assert problem_sheet([gone, textual]) is None
    assert problem_sheet([]) is None
