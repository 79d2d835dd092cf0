"""Charts of a detector: every number of classes and of mistakes has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilevision.visualization import charts_detection
from mobilevision.visualization.charts_detection import errors, pr_curves

KINDS = ("correct", "other_class", "location", "duplicate", "background", "missed")


def tables(count: int, unknown: int = 0) -> tuple[list[Any], list[Any]]:
    classes = [
        {"class": f"class {i}", "boxes": i + 1, "ap_50": i / count, "precision": 0.8, "recall": i / count}
        for i in range(count)
    ]
    points = [
        {"class": row["class"], "recall": step / 100, "precision": 1 - step / 200}
        for row in classes
        for step in range(round(100 * row["ap_50"]) + 1)
    ]
    nothing = {"class": "never", "boxes": 0, "ap_50": None, "precision": None, "recall": None}
    return points, [*classes, *[nothing] * unknown]


@pytest.mark.parametrize(("count", "unknown"), [(0, 0), (0, 3), (1, 0), (5, 1), (10, 0), (11, 2), (80, 0)])
def test_curves(count: int, unknown: int) -> None:
    image = pr_curves(*tables(count, unknown))
    assert image.mode == "RGB"
    assert 400 <= image.width <= 1300
    colours = np.unique(np.asarray(image).reshape(-1, 3), axis=0)
    assert len(colours) > 10


def test_a_class_without_points_is_drawn() -> None:
    points, classes = tables(3)
    assert pr_curves([point for point in points if point["class"] != "class 1"], classes).width > 400


@pytest.mark.parametrize("count", [0, 1, 2, 40])
@pytest.mark.parametrize("times", [0, 7])
def test_errors(count: int, times: int) -> None:
    kinds = [{"kind": kind, "count": times * place, "share": 0.0} for place, kind in enumerate(KINDS)]
    classes = [{"class": f"a long name of a class {i}", **dict.fromkeys(KINDS, times * i)} for i in range(count)]
    image = errors(kinds, classes)
    assert image.height <= 800
    assert (image.height > 350) == (count > 1)
    assert errors(kinds).size == errors(kinds, classes[:1]).size


@pytest.mark.parametrize("count", [2, 12])
def test_the_colours_stand_below_the_numbers_of_the_axis(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(charts_detection, "image", lambda figure: drawn.append(figure))
    kinds = [{"kind": kind, "count": 3} for kind in KINDS]
    errors(kinds, [{"class": f"class {i}", **dict.fromkeys(KINDS, 3)} for i in range(count)])
    figure = drawn[0]
    figure.canvas.draw()
    below = figure.axes[1]
    legend = (below.get_legend() or figure.legends[0]).get_window_extent()
    assert all(legend.y1 <= label.get_window_extent().y0 for label in below.get_xticklabels())
    assert legend.y0 >= 0
