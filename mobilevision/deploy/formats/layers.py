"""The layers of a task that ``keep_float`` names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def of_layers(task: nn.Module, keep: Sequence[str]) -> tuple[str, ...]:
    """Names of the modules without children that are one of the named layers or in one.

    Args:
        task: the exported task.
        keep: such as ``head.classifiers.0``, or ``head`` for all of it.

    Raises:
        UserError: there is no such layer.
    """
    names = [name for name, _ in task.named_modules() if name]
    for wanted in keep:
        if wanted not in names:
            near = get_close_matches(wanted, names, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]}?" if near else f"; the outermost are {', '.join(_children(task))}"
            raise UserError(f"--keep-float {wanted}: the model has no such layer{hint}")
    leaves = [name for name, module in task.named_modules() if not list(module.children())]
    return tuple(leaf for leaf in leaves if any(f"{leaf}.".startswith(f"{wanted}.") for wanted in keep))


def _children(task: nn.Module) -> list[str]:
    return [name for name, _ in task.named_children()]
