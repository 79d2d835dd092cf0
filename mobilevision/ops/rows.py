"""Rows of batches: some of them of nested tensors, the same as NumPy arrays, and means over the known ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


def take(value: Any, rows: Tensor | int | slice) -> Any:
    """The samples ``rows`` of tensors with the batch first, in dicts, lists, tuples and named tuples.

    Args:
        value: anything; what holds no tensor comes back as it is.
        rows: int64 [n] or bool [B]; a slice; or one place, which takes the batch dimension away.
    """
    return tree_map_only(Tensor, lambda each: each[rows.to(each.device) if isinstance(rows, Tensor) else rows], value)


def arrays(value: Any) -> Any:
    """The same with NumPy arrays on the CPU for tensors, in dicts too; bfloat16, which NumPy lacks, becomes float32."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return {key: arrays(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def attribute_mean(loss: Tensor, known: Tensor) -> Tensor:
    """Mean over attributes of the means over the samples that know them; 0 where nobody knows anything.

    Args:
        loss: float [B, A], finite.
        known: bool [B, A].
    """
    number = known.sum(dim=0)
    each = (loss * known).sum(dim=0) / number.clamp(min=1)
    return each.sum() / (number > 0).sum().clamp(min=1)
