"""Which plugins a config builds something of, and that they are there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.plugins import VARIABLE, discover, load


def used(cfg: DictConfig) -> dict[str, str]:
    """The plugins of which a config builds something, each with where it came from."""
    wanted = {str(target).partition(".")[0] for _, target in targets(cfg)}
    tops = {each: {module.partition(".")[0] for module in each.modules} for each in discover()}
    return {each.name: each.origin for each, names in tops.items() if wanted & names}


def require(plugins: Any, of: Path) -> None:
    """Refuse a run whose plugins are not there.

    Args:
        plugins: name -> where it came from, as of :func:`used`, as read from a file; anything else names none.
        of: the run folder.

    Raises:
        UserError: naming the first that is missing.
    """
    there = {each.name for each in discover()}
    for name, origin in plugins.items() if isinstance(plugins, dict) else ():
        if name not in there:
            what, _, where = str(origin).partition(" ")
            package = "==".join(where.split(" ")) or "PACKAGE"
            fix = f"{VARIABLE}={where}, or where it lies now" if what == "folder" else f"pip install {package}"
            raise UserError(f"{of}: this run was made with the plugin {name} ({origin}), which is not there: {fix}")


def load_for(cfg: DictConfig) -> None:
    """Import every plugin before a run; say which ones are left out.

    Raises:
        UserError: if the run builds something of a plugin that does not import.
    """
    wanted = {str(target).partition(".")[0] for _, target in targets(cfg)}
    for plugin in load():
        if plugin.error is None:
            continue
        if wanted & {module.partition(".")[0] for module in plugin.modules}:
            raise UserError(f"{plugin}: {plugin.error}")
        print(f"{plugin} is left out: {plugin.error}", file=sys.stderr, flush=True)


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
