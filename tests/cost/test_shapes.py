"""Outputs that are worked out here are those that torch works out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.cost.trace import Unfilled, known

ATEN = torch.ops.aten
A = torch.linspace(0, 1, 120).reshape(2, 3, 4, 5)
WIDE, ROW, GATE = A.contiguous(memory_format=torch.channels_last), torch.rand(5), torch.rand(2, 3, 1, 1)
NORM = (torch.rand(3), torch.rand(3), torch.rand(3), torch.rand(3))


def to_meta(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.to("meta") if isinstance(each, Tensor) else each for each in values)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (ATEN.relu.default, (A,)),
        (ATEN.hardtanh_.default, (WIDE, 0.0, 6.0)),
        (ATEN.hardswish.default, (WIDE,)),
        (ATEN.add.Tensor, (A, A)),
        (ATEN.mul.Tensor, (A, GATE)),
        (ATEN.div.Tensor, (A, ROW)),
        (ATEN.mul.Scalar, (A, 2.0)),
        (ATEN.native_batch_norm.default, (WIDE, *NORM, False, 0.1, 1e-5)),
        (ATEN._native_batch_norm_legit_no_training.default, (A, *NORM, 0.1, 1e-5)),
    ],
    ids=lambda value: str(value) if isinstance(value, torch._ops.OpOverload) else "",
)
def test_as_torch_says(func: Any, args: tuple[Any, ...]) -> None:
    ours, theirs = known(func, to_meta(args), {}), func(*args)
    pairs = [(ours, theirs)] if isinstance(theirs, Tensor) else list(zip(ours, theirs, strict=True))
    for mine, real in pairs:
        assert (mine.shape, mine.dtype, mine.is_meta) == (real.shape, real.dtype, True)
        assert mine.stride() == real.stride()


def test_an_operation_in_place_gives_what_it_took() -> None:
    image = A.to("meta")
    assert known(ATEN.relu_.default, (image,), {}) is image


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (ATEN.relu.default, (A,)),  # a real one is computed
        (ATEN.add.Tensor, (GATE.to("meta"), A.to("meta"))),  # the other one is larger
        (ATEN.mul.Tensor, (A.to("meta"), A.double().to("meta"))),
        (ATEN.sum.default, (A.to("meta"),)),
        (ATEN.sigmoid.default, (A.long().to("meta"),)),
        (ATEN.native_batch_norm.default, (*to_meta((A, *NORM)), True, 0.1, 1e-5)),
    ],
    ids=lambda value: str(value) if isinstance(value, torch._ops.OpOverload) else "",
)
def test_torch_is_asked_otherwise(func: Any, args: tuple[Any, ...]) -> None:
    assert known(func, args, {}) is None


def test_layers_are_built_without_values() -> None:
    with torch.device("meta"), Unfilled():
        layer = torch.nn.Linear(3, 4)
        torch.nn.init.trunc_normal_(layer.weight)
    assert layer.weight.shape == (4, 3)
    assert layer.weight.is_meta
    with Unfilled():  # real ones get theirs
        assert torch.nn.Linear(3, 4).weight.std() > 0


def test_batch_norm_at_inference_comes_down_to_one_operation() -> None:
    from mobilevision.cost.trace import Trace

    tensors = to_meta((A, *NORM))
    with Trace([tensors[0]]) as trace:
        functional.batch_norm(tensors[0], tensors[3], tensors[4], tensors[1], tensors[2])
    assert [each.in_place for each in trace.operations if each.reads] == [True]
