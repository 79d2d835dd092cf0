"""From a graph to a ``.tflite`` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import litert_torch
import torch

from mobilevision.deploy.formats.plain_operators import laid_out, plain
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph


def converted(graph: Graph, path: Path) -> None:
    """Write a graph for one image.

    Raises:
        UserError: the graph holds what LiteRT does not have.
    """
    example = (graph.example(1),)
    ways = plain(loops=False)
    try:
        program = torch.export.export(laid_out(graph), example)
        if any(node.target in ways for node in program.graph.nodes):
            program = program.run_decompositions(ways)
        litert_torch.convert(program.module(check_guards=False), example).export(str(path))
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"--format litert: the model has an operation that LiteRT lacks ({why})") from error
