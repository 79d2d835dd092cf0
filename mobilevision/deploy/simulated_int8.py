"""Training that feels int8: weights and inputs of layers are rounded as they will be, gradients pass as if not.

Quantisation-aware training (Jacob et al. 2018, arXiv 1712.05877, section 3), with batch norm left unfolded: where each
channel that goes out has a step of its own, rounding before and after folding is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mobilevision.deploy.precision import Precision

_SLOWNESS = 0.99  # of a range's moving average


@final
class _Weights(nn.Module):
    """A weight [O, ...] on the grid of its rows, whose largest value is ``most`` steps."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, weight: Tensor) -> Tensor:
        step = (weight.detach().flatten(1).abs().amax(dim=1) / self.most).clamp(min=torch.finfo(torch.float32).tiny)
        zeros = torch.zeros_like(step, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, step, zeros, 0, -self.most, self.most)


@final
class _Inputs:
    """A layer's input on 256 steps between a moving average of its least and its largest values; 0 lies on one."""

    def __init__(self) -> None:
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        values = inputs[0]
        if module.training and values.numel():
            self._see(values.detach())
        if self.low is None or self.high is None:
            return inputs
        step = ((self.high - self.low) / 255).clamp(min=1e-8)
        zero = (-self.low / step).round().to(torch.int32)
        return (torch.fake_quantize_per_tensor_affine(values, step, zero, 0, 255), *inputs[1:])

    def _see(self, values: Tensor) -> None:
        low, high = (end.float() for end in values.aminmax())
        low, high = low.clamp(max=0), high.clamp(min=0)
        if self.low is None or self.high is None:
            self.low, self.high = low, high
        else:
            self.low, self.high = low.lerp(self.low, _SLOWNESS), high.lerp(self.high, _SLOWNESS)


def layer_names(task: nn.Module) -> list[str]:
    """Of the layers that int8 is about, as ``precision.keep`` names them."""
    return [name for name, module in task.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@contextmanager
def simulated_int8(task: nn.Module, precision: Precision, most: int) -> Iterator[None]:
    """Let the convolutions and matrix products of a task feel int8 while this lasts; then its weights stay rounded.

    Args:
        task: any module.
        precision: says which layers will stay in float32.
        most: steps of a channel's largest weight, as the format will have them.
    """
    chosen = [task.get_submodule(name) for name in layer_names(task) if not precision.keeps(name)]
    hooks = [module.register_forward_pre_hook(_Inputs()) for module in chosen]
    for module in chosen:
        parametrize.register_parametrization(module, "weight", _Weights(most))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in chosen:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
