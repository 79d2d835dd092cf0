"""Cross-entropy, its weights and its soft targets."""

from __future__ import annotations

import math

import pytest
import torch

from mobilevision.losses import CrossEntropy
from mobilevision.losses.cross_entropy import balanced_weights
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


def test_balanced_weights_make_every_class_count_the_same() -> None:
    weights = balanced_weights(DATA.counts)
    assert weights is not None
    assert (weights * torch.tensor(DATA.counts)).tolist() == pytest.approx([100 / 3] * 3)
    assert balanced_weights((3, 0, 1)).tolist() == pytest.approx([2 / 3, 0.0, 2.0])  # type: ignore[union-attr]
    assert balanced_weights(()) is None
