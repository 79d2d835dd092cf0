"""A graph of one image in operations that every runtime has: ours and torchvision's taken apart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchvision.ops  # noqa: F401 - registers roi_align
from torch import nn

from mobilevision.deploy.graph import Graph
from mobilevision.ops import suppression  # noqa: F401 - registers the operator
from mobilevision.ops.roi_align import roi_align_by_matrices
from mobilevision.ops.suppression import suppress_in_steps


def plain(*, loops: bool = True) -> dict[Callable[..., Any], Callable[..., Any]]:
    """As ``ExportedProgram.run_decompositions`` takes them; ``loops`` says whether the runtime has any."""
    return {
        torch.ops.mobilevision.suppress.default: partial(suppress_in_steps, loop=loops),
        torch.ops.torchvision.roi_align.default: roi_align_by_matrices,
    }


def laid_out(graph: Graph) -> nn.Module:
    """A copy with its weights in the usual layout: exporters trip over ``channels_last``, and over a loss's tables."""
    model = copy.deepcopy(graph).to(memory_format=torch.contiguous_format)
    if isinstance(getattr(model.task, "loss", None), nn.Module):
        model.task.loss = nn.Identity()
    return model
