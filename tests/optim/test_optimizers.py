"""Parameter groups and schedules."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from mobilevision.backbones import mobilenet_v1
from mobilevision.errors import UserError
from mobilevision.optim import Constant, Cosine, OptimizerFactory, Schedule, Step, optimizer_steps


def groups_of(factory: OptimizerFactory) -> tuple[nn.Module, nn.Module, dict[int, tuple[float, float]]]:
    backbone, head = mobilenet_v1(width=0.25).model, nn.Linear(256, 3)
    optimizer = factory(backbone=backbone, head=head)
    return backbone, head, {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_every_weight_is_in_one_group_and_vectors_do_not_decay() -> None:
    backbone, head, groups = groups_of(OptimizerFactory(name="adamw", lr=1e-3, weight_decay=0.1))
    weights = [*backbone.parameters(), *head.parameters()]
    assert len(groups) == len(weights)
    for weight in weights:
        assert groups[id(weight)] == (1e-3, 0.1 if weight.ndim > 1 else 0.0)


def test_depthwise_filters_can_go_without_decay() -> None:
    factory = OptimizerFactory(name="rmsproptf", lr=1e-3, weight_decay=0.1, decay_depthwise=False)
    backbone, _, groups = groups_of(factory)
    kinds = {True: set(), False: set()}  # type: dict[bool, set[float]]
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            kinds[module.groups > 1].add(groups[id(module.weight)][1])
    assert kinds == {True: {0.0}, False: {0.1}}


def test_layer_decay_falls_towards_the_input() -> None:
    backbone, head, groups = groups_of(OptimizerFactory(name="sgd", lr=1.0, layer_decay=0.5))
    stem, last = backbone.conv_stem.weight, [p for n, p in backbone.named_parameters() if n.startswith("blocks.4")][-1]
    assert groups[id(head.weight)][0] == 1.0
    assert groups[id(stem)][0] < groups[id(last)][0] <= 1.0
    rates = sorted({rate for rate, _ in groups.values()}, reverse=True)
    assert all(a / b == pytest.approx(2.0) for a, b in itertools.pairwise(rates))


def test_the_backbone_can_learn_more_slowly() -> None:
    backbone, head, groups = groups_of(OptimizerFactory(name="sgd", lr=1.0, backbone_lr_scale=0.1))
    assert groups[id(head.weight)][0] == 1.0
    assert {groups[id(p)][0] for p in backbone.parameters()} == {0.1}


@pytest.mark.parametrize(("lr", "pretrained", "expected"), [(None, False, 0.1), (None, True, 0.01), (0.5, True, 0.5)])
def test_the_rate_suits_the_weights(lr: float | None, pretrained: bool, expected: float) -> None:
    factory = OptimizerFactory(name="sgd", lr=lr, scratch_lr=0.1, pretrained_lr=0.01, pretrained=pretrained)
    assert factory(backbone=nn.Linear(2, 2), head=nn.Linear(2, 2)).param_groups[0]["lr"] == expected


def test_an_unknown_optimiser_is_named() -> None:
    with pytest.raises(UserError, match=r"optimizer\.name=adamv"):
        OptimizerFactory(name="adamv", lr=1e-3)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1.0, 1.0, 1.0, 1.0]),
        (Cosine(), [1.0, 0.75, 0.25, 0.0]),
        (Cosine(floor=0.1), [1.0, 0.775, 0.325, 0.1]),
        (Step(milestones=(0.5, 0.9), gamma=0.1), [1.0, 1.0, 0.1, 0.01]),
    ],
)
def test_schedules(schedule: Schedule, expected: list[float]) -> None:
    factors = [schedule.factor(progress) for progress in (0, 1 / 3, 2 / 3, 1)]
    assert factors == pytest.approx(expected)


def test_warm_up_then_the_schedule() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = Cosine(warmup=4)(optimizer, total_steps=10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.2


@pytest.mark.parametrize(
    ("limit", "accumulate", "epochs", "most", "expected"),
    [
        (1.0, 1, 3, -1, 30),
        (None, 4, 3, -1, 9),  # the last step of an epoch takes what is left
        (4, 1, 3, -1, 12),
        (0.5, 1, 3, -1, 15),
        (1.0, 1, 3, 7, 7),
        (1.0, 1, -1, 7, 7),
        (0.01, 1, 1, -1, 1),
    ],
)
def test_steps_of_a_training(limit: float | None, accumulate: int, epochs: int, most: int, expected: int) -> None:
    assert optimizer_steps(batches=10, limit=limit, accumulate=accumulate, epochs=epochs, most=most) == expected
