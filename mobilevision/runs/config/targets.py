"""What a configuration from elsewhere may build: a run folder is data, and must not run what it likes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.config.source_code import Definition, find
from mobilevision.runs.plugins import discover

OURS = ("mobilevision", "tasks")
LIBRARIES = ("torch", "torchvision", "timm", "pytorch_lightning", "lightning", "torchmetrics")
FACTORIES = ("timm",)  # of other libraries only classes: their functions load, download and compile


def check_targets(cfg: DictConfig | dict[str, Any]) -> None:
    """Refuse targets outside mobilevision, tasks, plugins and the libraries underneath.

    Raises:
        UserError: naming every such target.
    """
    wrong = [f"{key}={target}" for key, target in targets(cfg) if not allowed(target)]
    if wrong:
        raise UserError(
            f"this configuration wants to build {', '.join(wrong)}: only parts of mobilevision, its plugins, "
            f"{', '.join(LIBRARIES)} are built from a configuration that was loaded"
        )


def targets(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every ``_target_`` with its dotted key."""
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, dict):
        for key, value in node.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            if key == "_target_":
                yield name, value
            else:
                yield from targets(value, name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets(value, f"{prefix}[{index}]")


def allowed(target: Any) -> bool:
    """Whether a target is a class or function that one of the trusted packages defines itself."""
    if not isinstance(target, str):
        return False
    own = OURS + tuple(module for plugin in discover() for module in plugin.modules)
    if not _within(target, own + LIBRARIES):
        return False
    found = find(target)
    if not isinstance(found, Definition) or isinstance(found.node, ast.expr):
        return False
    if _within(found.module.name, own):
        return True
    is_class = isinstance(found.node, ast.ClassDef)
    return (is_class and _within(found.module.name, LIBRARIES)) or _within(found.module.name, FACTORIES)


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
