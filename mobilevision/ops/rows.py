"""Batches and samples whose tensors are nested: some of their rows, and the same as NumPy arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def take(value: Any, rows: Tensor | int | slice) -> Any:
    """The samples ``rows`` of tensors with the batch first, in dicts, lists, tuples and named tuples.

    Args:
        value: anything; what holds no tensor comes back as it is.
        rows: int64 [n] or bool [B]; a slice; or one place, which takes the batch dimension away.
    """
    if isinstance(value, Tensor):
        return value[rows.to(value.device) if isinstance(rows, Tensor) else rows]
    if isinstance(value, dict):
        return {key: take(inner, rows) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(take(inner, rows) for inner in value))
    return type(value)(take(inner, rows) for inner in value) if isinstance(value, list | tuple) else value


def arrays(value: Any) -> Any:
    """The same with NumPy arrays on the CPU for tensors, in dicts too; bfloat16, which NumPy lacks, becomes float32."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return {key: arrays(inner) for key, inner in value.items()} if isinstance(value, dict) else value
