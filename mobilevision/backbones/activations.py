"""Activations by name, and the ReLU6 that trains in place.

torch's ``ReLU6(inplace=True)`` copies its input whenever gradients are wanted. :class:`ReLU6` keeps only its output,
from which the gradient can be read as well, so one tensor a layer lives instead of two.
(Annotations are not postponed here: TorchScript reads them.)
"""

from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from timm.layers import get_act_layer
from torch import Tensor, nn

from mobilevision.errors import UserError


@final
class _ClampInPlace(torch.autograd.Function):
    """min(max(x, 0), 6) written over x; the gradient passes where the output lies strictly between."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.clamp_(0.0, 6.0)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grads[0], output, 0.0, 6.0)  # type: ignore[no-any-return]


@final
class ReLU6(nn.Module):
    """min(max(x, 0), 6), truly in place while training; elsewhere torch's own, so it exports and scripts as ever.

    Args:
        inplace: may the input be overwritten? timm says so behind every batch norm.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Clamp ``x`` (any float tensor), overwriting it if ``inplace``."""
        if not torch.jit.is_scripting() and self._owns(x):  # type: ignore[attr-defined]
            return self._overwrite(x)
        return F.relu6(x, inplace=self.inplace and not x.requires_grad)

    @torch.jit.unused
    def _owns(self, x: Tensor) -> bool:
        trains = self.training and self.inplace and torch.is_grad_enabled() and x.requires_grad
        return trains and not x.is_leaf and not torch.compiler.is_compiling()

    @torch.jit.unused
    def _overwrite(self, x: Tensor) -> Tensor:
        return _ClampInPlace.apply(x)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """As torch prints its own."""
        return "inplace=True" if self.inplace else ""


LAYERS: dict[str, Any] = {
    "relu": nn.ReLU,
    "relu6": ReLU6,
    "leaky_relu": partial(nn.LeakyReLU, negative_slope=0.1),
    **{name: get_act_layer(name) for name in ("elu", "gelu", "hard_swish", "mish", "prelu", "silu")},
}
"""What ``activation=`` may name. ``leaky_relu`` has slope 0.1, as the published weights that use it."""


def activation_layer(name: str) -> Any:
    """The layer class (or partial of one) behind a name.

    Raises:
        UserError: nobody knows that activation.
    """
    if name not in LAYERS:
        raise UserError(f"backbone.activation={name}: no such activation; there are {', '.join(sorted(LAYERS))}")
    return LAYERS[name]


def activation_name(layer: nn.Module) -> str:
    """The name of a built activation, as ``activation=`` takes it; torch's class name where there is none."""
    for name, made in LAYERS.items():
        if type(layer) is (made.func if isinstance(made, partial) else made):
            return name
    return {"ReLU6": "relu6"}.get(type(layer).__name__, type(layer).__name__.lower())
