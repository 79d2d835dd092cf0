"""Export without decoding: what stays to be done, and the file that does it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.manifest import Manifest
    from mobilevision.tasks.base import Task


class Left(NamedTuple):
    """What a graph leaves to whoever runs it: the name of the answer, and its facts."""

    answer: str
    facts: dict[str, Any]


def decoding_left(task: Task) -> Left:
    """What ``--raw`` takes out of a task's graph.

    Raises:
        UserError: nothing, or nothing that can be taken out.
    """
    import torch

    if task.raw_answers is None:
        raise UserError(
            f"--raw: {type(task).__name__} has no non-maximum suppression, so its graph runs anywhere as it is;"
            " leave --raw out"
        )
    spec = task.data_spec
    with torch.inference_mode():
        outputs = task(torch.zeros(1, spec.channels, *spec.resolution, dtype=torch.uint8))
        facts = task.raw_facts(outputs)
    if facts is None:
        raise UserError(
            f"--raw: {type(task.head).__name__} suppresses boxes between its two stages; only one-stage heads (ssd,"
            " ssdlite) can leave decoding outside"
        )
    return Left(task.raw_answers, {**task.facts(), **facts})


def write_beside(manifest: Manifest, folder: Path) -> list[str]:
    """Copy the files that running the graph without mobilevision takes; gives their names."""
    from mobilevision.deploy.answers import ANSWERS

    beside = ANSWERS[manifest.answer].beside
    for name, module in beside.items():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        shutil.copyfile(spec.origin, folder / name)
    return list(beside)
