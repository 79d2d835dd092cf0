"""Whether the task, its head and its data learn from the same kind of target.

An option states its kinds once: a head or a loss in its YAML (``kinds: [class]``), a data format or an augmentation in
its class (``kinds = ("class",)``), which is read off the source.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from mobilevision.config.groups import options
from mobilevision.config.layout import Layout, file_of, option_layout
from mobilevision.config.search_path import Source
from mobilevision.config.source_code import Definition, find, lookup
from mobilevision.errors import UserError

BUILT_IN_KINDS = ("class", "attributes", "identity", "coordinate", "boxes", "multitask")
"""Kinds of target of our own tasks."""
PLUGIN_KINDS = "other"
"""Stands for every kind of a plugin; the option's class itself refuses what it cannot do."""
_STATED_BY_CLASS = ("data", "augment")


def check_kinds(layout: Layout, found: Sequence[Source]) -> Iterator[str]:
    """A line for every group whose option does not go with the task."""
    task = layout.values.get("task")
    kind = task.get("kind") if isinstance(task, dict) else None
    if kind is None:
        return
    for group, node in layout.values.items():
        kinds = kinds_of_node(group, node) if isinstance(node, dict) else None
        if kinds is not None and kind not in kinds:
            if PLUGIN_KINDS in kinds and kind not in BUILT_IN_KINDS:
                continue
            named = " or ".join(str(each) for each in kinds if each != PLUGIN_KINDS)
            yield (
                f"{group}={layout.choices.get(group)} is for {named}, "
                f"task={layout.choices.get('task')} learns from {kind}: {_fix(group, node, kinds, str(kind), found)}"
            )


def _fix(group: str, node: Any, kinds: Sequence[Any], kind: str, found: Sequence[Source]) -> str:
    """What to take instead: another option of the group, or a task that learns from what this one is for."""
    fitting = [f"{group}={name}" for name in options(group, found) if kind in (kinds_of(group, name, found) or [kind])]
    tasks = [f"task={name}" for name in options("task", found) if _learns_from(name, found) in kinds]
    if fitting or tasks:
        return f"take {' or '.join([*fitting, *tasks])}"
    where = f"{_class_of(node).rpartition('.')[2]}.kinds" if group in _STATED_BY_CLASS else f"{group}.kinds"
    return f"no {group} is for {kind}; one of your own says so in {where}"


def kinds_of(group: str, option: str, found: Sequence[Source]) -> list[Any] | None:
    """The kinds of target that an option is for; None where it does not say, and so is for all."""
    values = option_layout(group, option, found).values.get(group)
    return kinds_of_node(group, values) if isinstance(values, dict) else None


def kinds_of_node(group: str, node: dict[str, Any]) -> list[Any] | None:
    """The same of a group's keys."""
    if isinstance(stated := node.get("kinds"), list):
        return stated
    return _of_class(_class_of(node), "kinds") if group in _STATED_BY_CLASS else None


def losses_of(layout: Layout) -> list[Any]:
    """The losses that the chosen head learns by, as its class states them (``losses``).

    None where it does not say, or where the head itself is for another kind of target than the task's.
    """
    head, task = layout.values.get("head"), layout.values.get("task")
    if not isinstance(head, dict) or not isinstance(task, dict):
        return []
    kinds = kinds_of_node("head", head)
    return _losses(head) if kinds is None or task.get("kind") in kinds else []


def check_loss(layout: Layout, found: Sequence[Source]) -> Iterator[str]:
    """A line for a loss that the head does not learn by."""
    losses, chosen = losses_of(layout), layout.choices.get("loss")
    own = layout.values.get("loss")
    known = isinstance(own, dict) and str(own.get("_target_", "")).startswith("mobilevision.")
    if losses and known and chosen not in losses:  # a loss of somebody's own is his to know
        nodes = {name: option_layout("head", name, found).values.get("head") for name in options("head", found)}
        heads = [name for name, node in nodes.items() if isinstance(node, dict) and chosen in _losses(node)]
        fixes = [*(f"loss={each}" for each in losses), *(f"head={each}" for each in heads)]
        yield f"loss={chosen} does not go with head={layout.choices.get('head')}: take {' or '.join(fixes)}"


def takes_tail(target: str) -> bool:
    """Whether a head takes the backbone's last stage for itself, as its class states it (``needs``)."""
    needs = _stated(target, "needs")
    return isinstance(needs, ast.Call) and any(
        each.arg == "tail" and isinstance(each.value, ast.Constant) and each.value.value is True
        for each in needs.keywords
    )


def _losses(head: dict[str, Any]) -> list[Any]:
    return _of_class(str(head.get("_target_", "")), "losses") or []


def _class_of(node: dict[str, Any]) -> str:
    """The class that knows the kinds: of data its format, else the option's own."""
    part = node.get("format")
    return str((part if isinstance(part, dict) else node).get("_target_", ""))


def _of_class(target: str, attribute: str) -> list[Any] | None:
    """A tuple that a class, or one of its bases, states in its source; None where none does."""
    return _written(_stated(target, attribute))


def _stated(target: str, attribute: str) -> ast.expr | None:
    """What a class, or one of its bases, states an attribute to be; None where none does."""
    found = find(target)
    for _ in range(10):  # bases followed before giving up
        if not isinstance(found, Definition) or not isinstance(found.node, ast.ClassDef):
            return None
        for statement in found.node.body:
            names = statement.targets if isinstance(statement, ast.Assign) else []
            names = [statement.target] if isinstance(statement, ast.AnnAssign) else names
            if any(isinstance(name, ast.Name) and name.id == attribute for name in names):
                value: ast.expr | None = statement.value  # type: ignore[attr-defined]
                return value
        base = next(iter(found.node.bases), None)
        found = lookup(found.module, base.id) if isinstance(base, ast.Name) else None
    return None


def _written(value: ast.expr | None) -> list[Any] | None:
    try:
        read = None if value is None else ast.literal_eval(value)
    except ValueError:  # put together while the module runs; the data module checks it then
        return None
    return list(read) if isinstance(read, tuple | list) else None


def _learns_from(task: str, found: Sequence[Source]) -> Any:
    try:
        file = file_of(f"task/{task}", found)
    except UserError:
        return None
    node = file.body.get("task") if file is not None else None
    return node.get("kind") if isinstance(node, dict) else None
