"""The most confused classes, an example of each side by side."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

from mobilevision.prediction.samples import Sample, confused_pairs, draw_confused


def samples(*pairs: tuple[str, str]) -> list[Sample]:
    return [Sample(place, float(place), truth, {"label": said}) for place, (truth, said) in enumerate(pairs)]


def test_both_directions_are_one_pair_and_the_more_frequent_is_shown() -> None:
    found = confused_pairs(samples(("a", "b"), ("b", "a"), ("b", "a"), ("a", "c"), ("a", "a"), ("c", "c"), ("b", "b")))
    assert [(pair.truth, pair.label, pair.times, pair.of) for pair in found] == [("b", "a", 2, 3), ("a", "c", 1, 3)]
    assert found[0].mistaken.index == 2, "the mistake with the largest loss"
    assert found[0].example.truth == "a"


def test_a_class_that_never_occurs_has_no_example() -> None:
    assert confused_pairs(samples(("a", "z"), ("a", "a"))) == []
    assert confused_pairs([Sample(0, 1.0, "{}", {"found": "2 boxes"})]) == [], "not a classifier"


def test_images_are_drawn_and_listed_and_old_ones_give_way(tmp_path: Path) -> None:
    def draw(index: int) -> Image.Image:
        return Image.new("RGB", (60 + index, 80))

    (tmp_path / "confused_09.png").touch()
    names = draw_confused(samples(("a", "b"), ("b", "b")), tmp_path, draw, lambda index: f"{index}.jpg")
    assert names == ["confused_01.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names
    with Image.open(tmp_path / names[0]) as image:
        assert image.width > 1.4 * 80
    with (tmp_path / "confused.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["truth"], row["label"], row["times"], row["of"], row["example"]) == ("a", "b", "1", "1", "1.jpg")
    assert draw_confused(samples(("a", "a")), tmp_path, draw, str) == []
    assert not (tmp_path / "confused.csv").exists()
