"""What operations give on the meta device, where the answer is the shape of what they take.

torch works the shapes of batch norm and of element-wise operations out in Python, with all of their rules: two thirds
of the time of a count. In a forward pass at inference they follow from the first input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SAME = {"relu", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "leaky_relu", "elu", "mish", "tanh"}
_BINARY = {"add", "mul", "sub", "div"}
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
    if name == "native_batch_norm":
        return None if args[_TRAINING] else (torch.empty_like(first), first.new_empty(0), first.new_empty(0))
    in_place, name = name.endswith("_"), name.removesuffix("_")
    if name in _SAME or (name in _BINARY and _fits(first, args[1])):
        return first if in_place else torch.empty_like(first)
    return None


def _fits(first: Tensor, other: Any) -> bool:
    """Whether an element-wise operation of both is of the shape and type of the first."""
    if not isinstance(other, Tensor):
        return isinstance(other, int | float)
    if other.dtype != first.dtype or not other.is_meta or other.dim() > first.dim() or not other.dim():
        return False
    pairs = zip(reversed(first.shape), reversed(other.shape), strict=False)
    return all(theirs in (1, ours) for ours, theirs in pairs)
