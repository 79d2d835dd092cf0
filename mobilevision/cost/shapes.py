"""What operations give on the meta device, where the answer is the shape of what they take.

torch works the shapes of batch norm, of element-wise operations and of random numbers out in Python, with all of their
rules: most of the time of a count. At inference they follow from the first input.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_SAME = {"relu", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "leaky_relu", "elu", "mish", "tanh"}
_BINARY = {"add", "mul", "sub", "div"}
_FILLS = {"normal_", "uniform_", "fill_", "zero_", "erfinv_", "clamp_"}  # how layers are given their first values
_TRAINING = 5  # place of the argument of native_batch_norm


def known(func: Any, args: Any, given: Any) -> Any:
    """The outputs of an operation, or None where torch itself has to say.

    Args:
        func: an overload of an operation.
        args: its arguments.
        given: its arguments by keyword.
    """
    first = args[0] if args else None
    if not isinstance(first, Tensor) or not first.is_meta or not first.is_floating_point() or "out" in given:
        return None
    name = func._overloadpacket.__name__
    if name == "_native_batch_norm_legit_no_training" or (name == "native_batch_norm" and not args[_TRAINING]):
        return torch.empty_like(first), first.new_empty(0), first.new_empty(0)
    if name in _FILLS:
        return first
    in_place, name = name.endswith("_"), name.removesuffix("_")
    if name in _SAME or (name in _BINARY and _fits(first, args[1])):
        return first if in_place else torch.empty_like(first)
    return None


@final
class Unfilled(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, layers on the meta device are built without working out how values fill them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What is :func:`known`, else what torch says."""
        del types
        given: dict[str, Any] = kwargs or {}
        out = known(func, args, given)
        return func(*args, **given) if out is None else out


def _fits(first: Tensor, other: Any) -> bool:
    """Whether an element-wise operation of both is of the shape and type of the first."""
    if not isinstance(other, Tensor):
        return isinstance(other, int | float)
    if other.dtype != first.dtype or not other.is_meta or other.dim() > first.dim() or not other.dim():
        return False
    pairs = zip(reversed(first.shape), reversed(other.shape), strict=False)
    return all(theirs in (1, ours) for ours, theirs in pairs)
