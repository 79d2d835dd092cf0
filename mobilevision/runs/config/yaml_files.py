"""One config file as it stands: its body, its defaults and the line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from mobilevision.errors import UserError

_HEADER = "# @package "


@dataclass(frozen=True)
class File:
    """A config file.

    Attributes:
        path: where it lies.
        package: what its ``# @package`` line says, if it has one.
        body: its keys without the defaults.
        defaults: its list of defaults.
        lines: dotted key -> line number; comments: dotted key -> the comment behind it.
    """

    path: Path
    package: str | None
    body: dict[str, Any]
    defaults: list[Any] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    def at(self, key: str) -> str:
        """The place of a key, ``conf/experiment/x.yaml:12``."""
        return f"{shown(self.path)}:{self.lines.get(key, 1)}"


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def read(path: Path) -> File:
    """Read a config file.

    Raises:
        UserError: if it is not yaml, or not a mapping; names file and line.
    """
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _read(path: Path, _changed: int) -> File:
    text = path.read_text(encoding="utf-8")
    loader = get_yaml_loader()(text)
    try:
        root = loader.get_single_node()
        body = loader.construct_document(root) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{shown(path)}:{line}: this is not yaml: {error.problem}") from error
    if not isinstance(body, dict):
        raise UserError(f"{shown(path)}:1: a config file holds `key: value` lines, this one holds something else")
    lines: dict[str, int] = {}
    _collect(root, "", lines)
    rows = text.splitlines()
    comments = {key: rows[line - 1].partition(" # ")[2].strip() for key, line in lines.items()}
    defaults = body.pop("defaults", [])
    return File(path, package_of(rows), body, defaults, lines, comments)


def package_of(rows: list[str]) -> str | None:
    """What a file's ``# @package`` line says, if it has one."""
    for row in rows:
        if row.startswith(_HEADER):
            return row.removeprefix(_HEADER).strip()
        if row and not row.startswith("#"):
            break
    return None


def _collect(node: yaml.Node | None, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{prefix}[{index}]"] = value.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}.{key.value}" if prefix else str(key.value)
            lines[name] = key.start_mark.line + 1
            _collect(value, name, lines)
