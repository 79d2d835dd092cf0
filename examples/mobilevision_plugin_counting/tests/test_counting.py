"""The plugin as its author tests it: it conforms, and it counts."""

# ruff: noqa: D103 - the names of the tests say it
from __future__ import annotations

import numpy as np
import pytest
import torch
from mobilevision_plugin_counting.dots import draw

from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.testing import check

SMALL = ["task=counting", "backbone.width=0.25"]


def test_conforms() -> None:
    check(SMALL)


def test_a_image_is_a_function_of_its_place() -> None:
    one, other = (np.asarray(draw(np.random.default_rng(3), 4, 64)) for _ in range(2))
    assert (one == other).all()


@pytest.mark.parametrize("count", [0, 1, 6])
def test_dots_are_bright_on_dark_ground(count: int) -> None:
    bright = (np.asarray(draw(np.random.default_rng(count), count, 64)).min(axis=2) > 100).mean()
    assert (bright > 0) == (count > 0)
    assert bright < 0.2


def test_thresholds_passed_are_the_count() -> None:
    task = build(compose([*SMALL, "data.workers=0"])).task
    outputs = torch.tensor([[-1.0] * 6, [2.0, 1.0, -1.0, -2.0, -3.0, -4.0], [1.0] * 6])
    assert task.decode(outputs)["count"].tolist() == [0, 2, 6]
    assert task.describe({name: value[1] for name, value in task.decode(outputs).items()})["count"] == "2"


def test_the_error_is_the_distance() -> None:
    metric = build(compose([*SMALL, "data.workers=0"])).task.configure_metrics()
    metric.update({"count": torch.tensor([0, 2, 6])}, torch.tensor([0, 4, 5]))
    assert metric.compute()["mean_error"].item() == pytest.approx(1.0)
    assert metric.compute()["exact"].item() == pytest.approx(1 / 3)
