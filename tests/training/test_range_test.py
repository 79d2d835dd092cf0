"""The learning-rate range test: what it suggests, and that it leaves the task as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.training.tuning import RangeTest, range_test

RATES = np.geomspace(1e-6, 1.0, 61).tolist()


def test_it_suggests_a_tenth_of_the_best_rate() -> None:
    losses = [2.0 + (np.log10(rate) + 2) ** 2 / 10 for rate in RATES]  # lowest at 0.01
    assert RangeTest(RATES, losses).suggestion() == pytest.approx(1e-3)


def test_a_loss_that_only_rises_suggests_nothing(tmp_path: Path) -> None:
    test = RangeTest(RATES, [2.3 + rate for rate in RATES])
    assert test.suggestion() is None
    test.draw(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_the_task_is_left_as_it_was() -> None:
    small = ["backbone.width=0.25", "data.resolution=32", "data.format.train=64", "data.batch_size=8", "data.workers=0"]
    built = build(compose(small))
    before = {name: value.clone() for name, value in built.task.state_dict().items()}
    found = range_test(built.task, built.data, torch.device("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in built.task.state_dict().items())
    assert found.rates == sorted(found.rates)
    assert len(found.rates) == len(found.losses) > 8  # more than one epoch of eight batches
