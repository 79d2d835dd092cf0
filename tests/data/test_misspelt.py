"""A class that is most likely another one, written with a slip of the pen."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mobilevision.config.compose import compose
from mobilevision.data.checks import likely_misspelt
from mobilevision.engine.build import build_data


@pytest.mark.parametrize(
    ("rare", "frequent", "told"),
    [
        ("ht", "hat", True),
        ("hatt", "hat", True),
        ("racoon", "raccoon", True),
        ("Raccoom", "raccoon", True),
        ("dog", "cat", False),
        ("cat", "cats and dogs", False),
        ("model_1", "model_2", False),
        ("class1", "class", False),
        ("a", "b", False),
    ],
)
def test_one_letter_from_a_frequent_class(rare: str, frequent: str, told: bool) -> None:
    notes = likely_misspelt(("other", rare, frequent), (20, 1, 14))
    assert [note.startswith(f"class {rare!r} (1 in train) is one letter from {frequent!r} (14)") for note in notes] == (
        [True] if told else []
    )
    assert likely_misspelt((rare, frequent), (3, 14)) == likely_misspelt((rare, frequent), (1, 9)) == []


def test_it_is_said_before_training(tmp_path: Path) -> None:
    labels = ["red"] * 12 + ["ret"] + ["blue"] * 12
    for number in range(len(labels)):
        Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = [f"{number}.png,{label}" for number, label in enumerate(labels)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    root = f"data.root={tmp_path / 'labels.csv'}"
    data = build_data(compose(["data=csv", root, "data.val_fraction=0", "data.test_fraction=0"]))
    data.setup_data(default_resolution=(32, 32), crop=1.0)
    told = [note for note in data.splits.notes if "one letter from" in note]
    assert told == likely_misspelt(("ret", "red"), (1, 12))
    assert len(told) == 1


def test_data_that_is_a_test_alone_has_nothing_to_be_said(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (64, 48), (10 * number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = ["filename,class,xmin,ymin,xmax,ymax", *(f"{number}.png,cat,1,2,11,22" for number in range(3))]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    data = build_data(compose(["task=detection", "data=auto", f"data.root={tmp_path}"]))
    data.setup_data(default_resolution=(32, 32), crop=1.0)
    assert data.splits.train is None
    assert data.splits.test is not None
