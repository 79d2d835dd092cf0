"""Losses for labels of which some are wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.losses import Bootstrap, CrossEntropy, SmallLoss
from mobilevision.losses.noisy_labels import Progress
from mobilevision.spec import DataSpec

DATA = DataSpec(kind="class", classes=("a", "b", "c"), channels=3, resolution=(32, 32), counts=(4, 3, 3))


@pytest.fixture
def batch() -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(10, 3, generator=generator) * 2, {"target": torch.randint(3, (10,), generator=generator)}


@pytest.mark.parametrize("loss", [Bootstrap(data=DATA), Bootstrap(data=DATA, mode="soft"), SmallLoss(data=DATA)])
def test_an_evaluation_measures_plain_cross_entropy(
    loss: Bootstrap | SmallLoss, batch: tuple[Tensor, dict[str, Tensor]]
) -> None:
    value = loss.eval()(*batch)["class"]
    assert float(value) == pytest.approx(float(functional.cross_entropy(batch[0], batch[1]["target"])))
    assert int(loss.progress.seen) == 0, "only training counts"


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_bootstrapped_targets_are_label_and_model_mixed(mode: str, batch: tuple[Tensor, dict[str, Tensor]]) -> None:
    logits, labels = batch[0], functional.one_hot(batch[1]["target"], 3).float()
    own = logits.softmax(1) if mode == "soft" else functional.one_hot(logits.argmax(1), 3).float()
    expected = -((0.7 * labels + 0.3 * own) * logits.log_softmax(1)).sum(1).mean()  # the paper's equations 6 and 7
    loss = Bootstrap(data=DATA, mode=mode, trust=0.7)  # type: ignore[arg-type]
    assert float(loss(*batch)["class"]) == pytest.approx(float(expected), rel=1e-6)
    mixed = Bootstrap(data=DATA, mode=mode, trust=0.7)(logits, {"target": labels})["class"]  # type: ignore[arg-type]
    assert float(mixed) == pytest.approx(float(expected), rel=1e-6)


def test_full_trust_and_nothing_dropped_are_cross_entropy(batch: tuple[Tensor, dict[str, Tensor]]) -> None:
    plain = float(CrossEntropy(data=DATA, label_smoothing=0.1)(*batch)["class"])
    for loss in (
        Bootstrap(data=DATA, trust=1.0, label_smoothing=0.1),
        SmallLoss(data=DATA, drop=0, label_smoothing=0.1),
    ):
        assert float(loss(*batch)["class"]) == pytest.approx(plain, rel=1e-6)


def test_the_largest_losses_are_dropped_and_get_no_gradient(batch: tuple[Tensor, dict[str, Tensor]]) -> None:
    logits = batch[0].clone().requires_grad_()
    each = functional.cross_entropy(batch[0], batch[1]["target"], reduction="none").sort().values
    value = SmallLoss(data=DATA, drop=0.4, ramp=0)(logits, batch[1])["class"]
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == pytest.approx(float(each[:6].mean()), rel=1e-6)
    assert logits.grad is not None
    assert int((logits.grad.abs().sum(1) > 0).sum()) == 6


def test_the_share_rises_over_epochs_and_goes_on_after_a_resume(batch: tuple[Tensor, dict[str, Tensor]]) -> None:
    loss = SmallLoss(data=DATA, drop=0.5, ramp=2)  # ten samples are an epoch
    each = functional.cross_entropy(batch[0], batch[1]["target"], reduction="none").sort().values
    kept = []
    for _ in range(4):
        value = float(loss(*batch)["class"])
        kept += [k for k in range(1, 11) if abs(float(each[:k].mean()) - value) < 1e-6]
        resumed = SmallLoss(data=DATA, drop=0.5, ramp=2)
        resumed.load_state_dict(loss.state_dict())
        loss = resumed
    assert kept == [10, 8, 5, 5]


def test_a_ramp_of_no_epochs_is_full_from_the_start() -> None:
    assert Progress(DATA).ramp(0) == 1.0
    assert Progress(DATA).ramp(1) == 0.0


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Bootstrap(data=DATA, trust=1.2), "loss.trust=1.2"),
        (lambda: Bootstrap(data=DATA, mode="medium"), "loss.mode=medium"),  # type: ignore[arg-type]
        (lambda: SmallLoss(data=DATA, drop=1.0), "loss.drop=1.0"),
    ],
)
def test_values_out_of_range_are_named(make: object, key: str) -> None:
    with pytest.raises(UserError, match=key):
        make()  # type: ignore[operator]
