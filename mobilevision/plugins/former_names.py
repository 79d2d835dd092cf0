"""Names of earlier versions, which runs, plugins and configs may still use, and what they are called now."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, final

_MODULES = {
    "tasks": "mobilevision.tasks",
    "mobilevision.runs.callbacks.Pictures": "mobilevision.callbacks.PredictionImages",
    "mobilevision.callbacks.Pictures": "mobilevision.callbacks.PredictionImages",
    "mobilevision.runs.callbacks": "mobilevision.callbacks",
    "mobilevision.runs.loggers": "mobilevision.tracking.loggers",
    "mobilevision.ops.draw": "mobilevision.visualization.draw",
    "mobilevision.data.formats.base": "mobilevision.data.data_format",
    "mobilevision.data.decode": "mobilevision.images.decode",
    "mobilevision.data.geometry": "mobilevision.images.framing",
    "mobilevision.losses.margin": "mobilevision.losses.embeddings",
    "mobilevision.losses.triplet": "mobilevision.losses.embeddings",
}


def current_name(name: str) -> str:
    """A dotted name, or that which stands for it today: ``tasks.base.Task`` is ``mobilevision.tasks.base.Task``."""
    for former, now in _MODULES.items():
        if name == former or name.startswith(f"{former}."):
            return now + name[len(former) :]
    return name


def with_current_targets(node: Any) -> Any:
    """Plain values in which each ``_target_`` has its current name; mappings and lists are new ones."""
    if isinstance(node, dict):
        return {
            key: current_name(value) if key == "_target_" and isinstance(value, str) else with_current_targets(value)
            for key, value in node.items()
        }
    return [with_current_targets(value) for value in node] if isinstance(node, list) else node


def with_shared_sides(values: dict[str, Any]) -> dict[str, Any]:
    """A run's config of several tasks, where none of them had a side of its own yet.

    Its parts keep the sides that their data is made for, at which they were not trained: all saw the shared one.
    """
    parts, form = values.get("parts"), values["data"].get("format")
    if not isinstance(parts, dict) or not parts or not isinstance(form, dict) or "kept" in form:
        return values
    shared = {
        name: {**part, "data": {**part["data"], "resolution": None}}
        for name, part in parts.items()
        if isinstance(part, dict) and isinstance(part.get("data"), dict)
    }
    return {**values, "parts": {**parts, **shared}}


def import_by_former_names() -> None:
    """Let ``from tasks.base import Task`` in a plugin give the module that has the name today, and no copy of it.

    A package ``tasks`` of somebody else, in front of ours, stays what it is.
    """
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FormerNames())


@final
class _FormerNames(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = current_name(fullname)
        top = fullname.partition(".")[0]
        if name == fullname or (top == "tasks" and _is_foreign()):
            return None
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name == name:  # no such module of ours
                return None
            raise
        return ModuleSpec(fullname, _Known(module), is_package=hasattr(module, "__path__"))


@final
class _Known(Loader):
    """Gives a module that is imported already, under one more name."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # which the import system has just overwritten


def _is_foreign() -> bool:
    """Whether somebody else's ``tasks`` stands in front of ours."""
    ours = Path(__file__).resolve().parents[2] / "tasks"  # of a checkout; a wheel has none
    spec = PathFinder.find_spec("tasks")
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve().parent != ours)
