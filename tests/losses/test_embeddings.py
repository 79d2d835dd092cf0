"""Losses of embeddings: what they pull and push, without triplets, at the poles, and on people never learnt."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.losses.embeddings import ArcFace, CosFace, MarginLoss, Triplet
from mobilevision.losses.loss import Loss
from mobilevision.spec import DataSpec

SPEC = DataSpec("identity", ("a", "b", "c", "unseen"), 3, (16, 16), (4, 4, 4, 0))
LOSSES = [(Triplet, {"mining": mining}) for mining in ("batch_hard", "semi_hard", "all")] + [
    (ArcFace, {}),
    (CosFace, {}),
]


def made(kind: type[Loss], **options: object) -> Loss:
    torch.manual_seed(0)
    loss = kind(data=SPEC, **options)  # type: ignore[arg-type]
    loss.take_width(8)
    return loss


def target(*identities: int) -> dict[str, Tensor]:
    return {"target": torch.stack([torch.tensor(identities), torch.arange(len(identities))], dim=1)}


def value(loss: Loss, vectors: Tensor, *identities: int) -> Tensor:
    return torch.stack(list(loss(torch.nn.functional.normalize(vectors, dim=1), target(*identities)).values())).sum()


@pytest.mark.parametrize(("kind", "options"), LOSSES)
def test_every_loss_brings_people_apart(kind: type[Loss], options: dict[str, object]) -> None:
    loss = made(kind, **options)
    vectors = torch.randn(12, 8, requires_grad=True)
    optimizer = torch.optim.Adam([vectors, *loss.parameters()], lr=0.05)
    who = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    for _ in range(150):
        optimizer.zero_grad()
        value(loss, vectors, *who).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(vectors.detach(), dim=1)
    same = torch.tensor(who)[:, None] == torch.tensor(who)
    assert float((unit @ unit.T)[same].mean()) > float((unit @ unit.T)[~same].max())


@pytest.mark.parametrize(("kind", "options"), LOSSES)
@pytest.mark.parametrize("who", [(0, 0, 0, 0), (0, 1, 2, 1), (0, 1, 2)])
def test_a_batch_of_any_make_up_has_a_finite_gradient(
    kind: type[Loss], options: dict[str, object], who: tuple[int, ...]
) -> None:
    loss, vectors = made(kind, **options), torch.randn(len(who), 8, requires_grad=True)
    value(loss, vectors, *who).backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("kind", [ArcFace, CosFace])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_image_at_the_pole_of_its_identity_has_a_finite_gradient(kind: type[Loss], sign: float) -> None:
    loss = made(kind, warmup=0)
    assert isinstance(loss, MarginLoss)
    vectors = (sign * loss.loss.W.detach().T[:3].clone()).requires_grad_()
    value(loss, vectors, 0, 1, 2).backward()
    assert torch.isfinite(loss.loss.W.grad).all()
    assert torch.isfinite(vectors.grad).all()  # type: ignore[arg-type]


def test_arcface_is_the_papers() -> None:
    loss = made(ArcFace, margin=0.4, scale=10.0, warmup=0)
    assert isinstance(loss, MarginLoss)
    vectors, who = torch.nn.functional.normalize(torch.randn(5, 8), dim=1), torch.tensor([0, 1, 2, 1, 0])
    cosine = vectors @ torch.nn.functional.normalize(loss.loss.W.detach(), dim=0)
    place = torch.arange(5)
    angle = torch.acos(cosine[place, who])
    assert (angle < math.pi - 0.4).all()
    logits = cosine.clone()
    logits[place, who] = torch.cos(angle + 0.4)
    expected = torch.nn.functional.cross_entropy(10 * logits, who)
    torch.testing.assert_close(value(loss, vectors, *who.tolist()), expected, rtol=1e-5, atol=1e-5)


def test_weights_are_for_those_whom_train_shows() -> None:
    loss = made(ArcFace)
    assert {tuple(weight.shape) for weight in loss.parameters()} == {(8, 3)}


def test_the_margin_grows_and_goes_on_where_it_was() -> None:
    loss, vectors = made(CosFace, margin=0.4, warmup=4), torch.randn(3, 8)
    values = [float(value(loss, vectors, 0, 1, 2).detach()) for _ in range(6)]
    assert values[:5] == sorted(set(values[:5]))
    assert values[4] == values[5]
    other = made(CosFace, margin=0.4, warmup=4)
    other.load_state_dict(loss.state_dict())
    assert float(value(other, vectors, 0, 1, 2).detach()) == values[5]


@pytest.mark.parametrize(("kind", "options"), LOSSES)
def test_people_never_learnt_are_compared_with_each_other(kind: type[Loss], options: dict[str, object]) -> None:
    loss = made(kind, **options).eval()
    apart = torch.eye(8)[[0, 0, 1, 1]]
    assert loss(apart, target(3, 3, 7, 7)) == {"verification": pytest.approx(0.0)}
    assert float(loss(apart, target(3, 7, 3, 7))["verification"]) == pytest.approx(1 + 0.5)
    assert float(loss(apart[:1], target(3))["verification"]) == 0.0
    assert float(loss(apart, target(-1, -1, -1, -1))["verification"]) == 0.0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match=r"loss\.mining=easy"):
        Triplet(data=SPEC, mining="easy")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="head=embedding"):
        ArcFace(data=SPEC)(torch.eye(8)[:2], target(0, 1))
