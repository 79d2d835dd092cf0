"""The ReLU6 that trains in place: torch's values and gradients, one tensor less, and nothing lost when exported."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mobilevision.backbones import mobilenet_v1
from mobilevision.backbones.activations import LAYERS, ReLU6, activation_layer, activation_name
from mobilevision.spec import Needs


def trained(activation: nn.Module, layout: torch.memory_format) -> tuple[Tensor, ...]:
    """Output, and gradients of input and of the norm's weight, of a norm and an activation while training."""
    torch.manual_seed(0)
    x = (4 * torch.randn(2, 8, 5, 5)).to(memory_format=layout).requires_grad_()
    norm = nn.BatchNorm2d(8)
    nn.init.uniform_(norm.weight, 2, 6)
    y = activation.train()(norm(x))
    (y * torch.randn(2, 8, 5, 5)).sum().backward()
    assert x.grad is not None
    assert norm.weight.grad is not None
    return y.detach(), x.grad, norm.weight.grad


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("inplace", [True, False])
def test_values_and_gradients_are_torchs(layout: torch.memory_format, inplace: bool) -> None:
    ours, theirs = trained(ReLU6(inplace), layout), trained(nn.ReLU6(), layout)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_it_overwrites_only_what_it_may() -> None:
    x = torch.randn(8, requires_grad=True)
    assert ReLU6(inplace=True)(x).data_ptr() != x.data_ptr()  # a leaf
    y = x * 2
    assert ReLU6(inplace=True)(y).data_ptr() == y.data_ptr()
    z = x * 2
    assert ReLU6()(z).data_ptr() != z.data_ptr()


def test_a_backward_that_needs_the_lost_input_is_refused() -> None:
    x = torch.randn(8, requires_grad=True)
    y = x * 2
    z = y * y  # keeps y for its gradient
    ReLU6(inplace=True)(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_the_same_step_as_torchs(images: Tensor) -> None:
    bodies = []
    for layer in (ReLU6, nn.ReLU6):
        torch.manual_seed(0)
        body = mobilenet_v1(width=0.25, activation="relu6").train()
        for module in body.model.modules():
            if isinstance(getattr(module, "act", None), ReLU6):
                module.act = layer(inplace=True)
        body(images, Needs((16,), pooled=True)).pooled.square().sum().backward()
        bodies.append(body)
    for (name, one), other in zip(bodies[0].named_parameters(), bodies[1].parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_it_scripts_and_exports() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), ReLU6(inplace=True))
    x = 9 * torch.randn(2, 3, 4, 4)
    expected = module.eval()(x)
    torch.testing.assert_close(torch.jit.script(module)(x), expected)
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), expected)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_names_go_both_ways(name: str) -> None:
    assert activation_name(activation_layer(name)()) == name


def test_torchs_relu6_has_the_same_name() -> None:
    assert activation_name(nn.ReLU6()) == "relu6"
