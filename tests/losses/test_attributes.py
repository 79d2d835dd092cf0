"""The loss of attributes: by hand, with gaps, with soft targets, and its two switches."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from mobilevision.losses import AttributeCrossEntropy
from mobilevision.spec import DataSpec

LOGITS = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, -2.0]])
TRUTH = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def spec(counts: tuple[int, ...] = (), known: tuple[int, ...] = ()) -> DataSpec:
    return DataSpec("attributes", ("a", "b", "c"), 3, (8, 8), counts, known=known)


def loss(logits: torch.Tensor, target: torch.Tensor, **options: object) -> torch.Tensor:
    made = AttributeCrossEntropy(data=options.pop("data", spec()), **options)  # type: ignore[arg-type]
    return made(logits, {"target": target})["attributes"]


def test_without_gaps_it_is_the_mean_cross_entropy_soft_or_not() -> None:
    for target in (TRUTH, TRUTH * 0.6 + 0.2):
        assert torch.isclose(loss(LOGITS, target), functional.binary_cross_entropy_with_logits(LOGITS, target))


def test_an_attribute_weighs_the_same_however_many_know_it() -> None:
    target = TRUTH.clone()
    target[1, 0] = math.nan
    each = functional.binary_cross_entropy_with_logits(LOGITS, TRUTH, reduction="none")
    expected = (each[0, 0] + each[:, 1].mean() + each[:, 2].mean()) / 3
    assert torch.isclose(loss(LOGITS, target), expected)


def test_what_is_unknown_gets_no_gradient_and_nothing_known_gives_zero() -> None:
    logits = LOGITS.clone().requires_grad_()
    target = TRUTH.clone()
    target[0, 1] = math.nan
    loss(logits, target).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0
    assert (logits.grad != 0).sum() == 5
    nothing = loss(logits, torch.full_like(TRUTH, math.nan))
    nothing.backward()
    assert nothing.item() == 0.0


def test_balanced_weights_make_both_values_count_the_same() -> None:
    data = spec((1, 0, 4), (10, 10, 6))
    target = TRUTH[:1]
    weighed = loss(torch.zeros(1, 3), target, data=data, positive_weights="balanced")
    assert float(weighed) == pytest.approx(math.log(2) * (9 + 1 + 0.5) / 3)


def test_the_focal_loss_looks_away_from_what_is_right() -> None:
    plain, focal = (loss(torch.tensor([[4.0]]).expand(1, 3), torch.ones(1, 3), focal=f) for f in (0.0, 2.0))
    missed = 1 / (1 + math.exp(4))
    assert float(focal) == pytest.approx(float(plain) * missed**2, rel=1e-4)
