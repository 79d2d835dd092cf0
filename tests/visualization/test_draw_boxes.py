"""Boxes on images: where they lie, what colour they have, and that nothing leaves the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mobilevision.visualization import draw_boxes as module
from mobilevision.visualization.draw_boxes import Shown, compared, draw_boxes, judge


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def has(image: Image.Image, mark: str, column: slice = slice(None)) -> bool:
    frame = module._COLOURS[mark][0]
    rgb = tuple(int(frame[index : index + 2], 16) for index in (1, 3, 5))
    return bool((np.asarray(image)[:, column] == rgb).all(axis=2).any())


def test_marks() -> None:
    truth = [
        Shown((0, 0, 100, 100), "cat"),
        Shown((200, 0, 300, 100), "cat"),
        Shown((0, 200, 400, 400), "cat", crowd=True),
        Shown((500, 0, 600, 100), "cat", difficult=True),
    ]
    found = [
        Shown((1, 0, 101, 100), "cat", 0.4),
        Shown((2, 0, 100, 100), "cat", 0.9),
        Shown((200, 0, 300, 100), "dog", 0.9),
        Shown((10, 210, 60, 260), "cat", 0.9),
        Shown((500, 0, 600, 100), "cat", 0.9),
        Shown((700, 0, 720, 20), "cat", 0.9),
    ]
    judged, known = judge(found, truth)
    assert [box.mark for box in judged] == ["wrong", "correct", "wrong", "ignored", "ignored", "wrong"]
    assert [box.mark for box in known] == ["correct", "missed", "ignored", "ignored"]
    assert judge([], []) == ([], [])
    assert [box.mark for box in judge(found, [])[0]] == ["wrong"] * 6


def test_a_detection_takes_the_box_that_it_overlaps_most() -> None:
    truth = [Shown((0, 0, 100, 100), "cat"), Shown((0, 0, 90, 100), "cat")]
    assert [box.mark for box in judge([Shown((0, 0, 91, 100), "cat", 0.5)], truth)[1]] == ["missed", "correct"]


@pytest.mark.parametrize(("height", "width"), [(240, 320), (60, 80), (1000, 2000), (2, 3), (33, 400)])
def test_boxes_scale_with_the_image(height: int, width: int) -> None:
    left, right = Shown((0, 0, width * 0.5, height), "a", 0.5, mark="correct"), slice(None)
    image = draw_boxes(grey(height, width), [left])
    assert 320 <= max(image.size) <= max(640, 2 * 320)
    assert has(image, "correct", right)
    assert not has(image, "correct", slice(image.width * 3 // 4, None))


def test_the_pixels_under_a_box_are_where_it_says() -> None:
    image = np.asarray(draw_boxes(grey(400, 400), [Shown((100, 200, 300, 350), "", mark="correct")]))
    changed = np.argwhere((image != 128).any(axis=2))
    top, left = changed[changed[:, 1] < 250].min(axis=0)
    assert (left, changed[:, 1].max()) == (99, 301)
    assert changed[:, 0].max() == 351
    assert 199 - 20 <= top <= 199


@pytest.mark.parametrize(
    "box", [(-500, -500, 5000, 5000), (900, 900, 950, 950), (50, 50, 50, 50), (60, 60, 40, 40), (0, 0, np.nan, np.inf)]
)
def test_boxes_that_lie_outside_or_are_broken_are_drawn_all_the_same(box: tuple[float, ...]) -> None:
    for mark in ("correct", "missed"):
        image = draw_boxes(grey(300, 300), [Shown(box, "a very long name " * 9, 0.5, mark=mark)])
        assert has(image, mark)


def test_captions_do_not_cover_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    spots = []
    meets = module._Spot.meets
    monkeypatch.setattr(module._Spot, "meets", lambda self, other: spots.append(self) or meets(self, other))
    random = np.random.default_rng(0)
    corners = random.uniform(-20, 280, (100, 2))
    shown = [Shown((x, y, x + 60, y + 60), "person", s) for (x, y), s in zip(corners, random.random(100), strict=True)]
    assert draw_boxes(grey(320, 320), shown).size == (320, 320)
    for spot in spots:
        assert 0 <= spot.left < spot.right <= 320
        assert 0 <= spot.top < spot.bottom <= 320


def test_truth_is_left_and_the_prediction_right() -> None:
    truth = [
        Shown((10, 10, 100, 100), "cat"),
        Shown((150, 10, 250, 100), "dog"),
        Shown((0, 150, 300, 290), "x", None, True),
    ]
    found = [Shown((10, 10, 100, 100), "cat", 0.9), Shown((200, 200, 240, 240), "dog", 0.8)]
    image = compared(grey(300, 400), prediction=found, truth=truth)
    half = image.width // 2
    left, right = slice(0, half), slice(half, None)
    assert {mark: (has(image, mark, left), has(image, mark, right)) for mark in module._COLOURS} == {
        "correct": (True, True),
        "wrong": (False, True),
        "missed": (True, False),
        "ignored": (True, False),
    }
    assert image.width == 2 * 400 + 6
    assert image.height == 300 + 22


def test_without_truth_the_prediction_stands_alone_in_the_colour_of_its_class() -> None:
    cat, other = (compared(grey(64, 64), prediction=[Shown((5, 5, 50, 50), name, 0.9)]) for name in ("cat", "cat"))
    assert cat.size == (320, 320)
    assert cat.tobytes() == other.tobytes()
    assert not has(cat, "correct")


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (64, 64, 4)])
def test_any_channels(shape: tuple[int, ...]) -> None:
    pixels = np.zeros(shape, dtype=np.uint8)
    assert compared(pixels, prediction=[], truth=[]).mode == "RGB"
