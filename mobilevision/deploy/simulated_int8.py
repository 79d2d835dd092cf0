"""Training that feels int8: weights and inputs of layers are rounded as they will be, gradients pass as if not.

Quantisation-aware training (Jacob et al. 2018, arXiv 1712.05877, section 3), with batch norm left unfolded: where each
channel that goes out has a step of its own, rounding before and after folding is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_LARGEST = 127
_SLOWNESS = 0.99  # of a range's moving average


@final
class _Weights(nn.Module):
    """A weight [O, ...] on the grid of its rows, whose largest value is 127 steps."""

    def forward(self, weight: Tensor) -> Tensor:
        step = (weight.detach().flatten(1).abs().amax(dim=1) / _LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        zeros = torch.zeros_like(step, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, step, zeros, 0, -_LARGEST, _LARGEST)


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


@contextmanager
def simulated_int8(task: nn.Module, keep: Sequence[str] = ()) -> Iterator[None]:
    """Let the convolutions and matrix products of a task feel int8 while this lasts; then its weights stay rounded.

    Args:
        task: any module.
        keep: names of layers, or of modules around them, that will stay in float32.
    """
    chosen = [
        module
        for name, module in task.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not any(f"{name}.".startswith(f"{each}.") for each in keep)
    ]
    hooks = [module.register_forward_pre_hook(_Inputs()) for module in chosen]
    for module in chosen:
        parametrize.register_parametrization(module, "weight", _Weights())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in chosen:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
