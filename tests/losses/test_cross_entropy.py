"""Cross-entropy, its weights and its soft targets."""

from __future__ import annotations

import math

import pytest
import torch

from mobilevision.losses import CrossEntropy
from mobilevision.spec import DataSpec

DATA = DataSpec(kind="class", classes=("a", "b", "c"), channels=3, resolution=(32, 32), counts=(80, 15, 5))


def test_chance_costs_log_of_the_classes() -> None:
    parts = CrossEntropy(data=DATA)(torch.zeros(4, 3), {"target": torch.tensor([0, 1, 2, 0])})
    assert float(parts["class"]) == pytest.approx(math.log(3))


def test_soft_targets_equal_hard_ones_where_they_are_the_same() -> None:
    logits, target = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    loss = CrossEntropy(data=DATA, label_smoothing=0.1)
    hard = loss(logits, {"target": target})["class"]
    soft = loss(logits, {"target": torch.nn.functional.one_hot(target, 3).float()})["class"]
    assert float(hard) == pytest.approx(float(soft), rel=1e-6)
