"""Whether the task, its head and its data learn from the same kind of target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mobilevision.runs.config.groups import options
from mobilevision.runs.config.layout import Layout, file_of
from mobilevision.runs.search_path import Source


def check_kinds(layout: Layout, found: Sequence[Source]) -> Iterator[str]:
    """A line for every group whose option does not go with the task."""
    task = layout.values.get("task")
    kind = task.get("kind") if isinstance(task, dict) else None
    if kind is None:
        return
    for group, node in layout.values.items():
        kinds = node.get("kinds") if isinstance(node, dict) else None
        if isinstance(kinds, list) and kind not in kinds:
            fitting = [option for option in options(group, found) if kind in _kinds(f"{group}/{option}", found)]
            fix = f"take {' or '.join(f'{group}={option}' for option in fitting)}" if fitting else "take another task"
            yield (
                f"{group}={layout.choices.get(group)} is for {' or '.join(map(str, kinds))}, "
                f"task={layout.choices.get('task')} learns from {kind}: {fix}"
            )


def _kinds(name: str, found: Sequence[Source]) -> list[Any]:
    """The kinds that an option states, or the option of the same group that it builds on."""
    file = file_of(name, found)
    if file is None:
        return []
    if isinstance(stated := file.body.get("kinds"), list):
        return stated
    group = name.rpartition("/")[0]
    bases = [entry for entry in file.defaults if isinstance(entry, str) and entry != "_self_"]
    return [kind for base in bases for kind in _kinds(f"{group}/{base}", found)]
