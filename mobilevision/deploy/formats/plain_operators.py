"""A graph of one image in operations that every runtime has: ours and torchvision's taken apart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
import torchvision.ops  # noqa: F401 - registers roi_align
from torch import Tensor, nn

from mobilevision.deploy.graph import Graph
from mobilevision.ops import suppression  # noqa: F401 - registers the operator
from mobilevision.ops.roi_align import roi_align_by_matrices
from mobilevision.ops.suppression import suppress_in_steps


def plain(*, loops: bool = True) -> dict[Callable[..., Any], Callable[..., Any]]:
    """As ``ExportedProgram.run_decompositions`` takes them; ``loops`` says whether the runtime has any."""
    return {
        torch.ops.mobilevision.suppress.default: partial(suppress_in_steps, loop=loops),
        torch.ops.torchvision.roi_align.default: roi_align_by_matrices,
        torch.ops.aten.linalg_vector_norm.default: _norm,
    }


def _norm(x: Tensor, order: float = 2, dim: list[int] | None = None, keepdim: bool = False, **_: Any) -> Tensor:
    """The root of the sum of squares, without a power."""
    assert order == 2
    return (x * x).sum(dim, keepdim=keepdim).sqrt()


def laid_out(graph: Graph) -> nn.Module:
    """A copy with its weights in the usual layout: exporters trip over ``channels_last``, and over a loss's tables."""
    model = copy.deepcopy(graph).to(memory_format=torch.contiguous_format)
    if isinstance(getattr(model.task, "loss", None), nn.Module):
        model.task.loss = nn.Identity()
    return model


@final
class ChannelsLast(nn.Module):
    """A graph whose input lies [B, H, W, C], as boards have images."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.inner = graph  # not "graph": exported programs have that name themselves

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs."""
        outputs: tuple[Tensor, ...] = self.inner(images.permute(0, 3, 1, 2))
        return outputs
