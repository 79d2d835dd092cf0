"""Which keys exist: what the chosen options' own files state, apart from what others write into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.default_element import ResultDefault
from omegaconf._utils import get_yaml_loader

from mobilevision.config.search_path import Source
from mobilevision.errors import UserError

# One config file as it stands: its body, its defaults and the line of every key.

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


FREE = "kwargs"  # a node that takes any argument its target has


@dataclass(frozen=True)
class Claim:
    """A value that somebody gives a key.

    Attributes:
        key: dotted.
        value: plain.
        where: the file and line, or the override as it was typed.
    """

    key: str
    value: Any
    where: str

    @property
    def at(self) -> str:
        """The file and line alone; empty of an override."""
        return self.where.partition(f": {self.key}=")[0] if f": {self.key}=" in self.where else ""


@dataclass
class Layout:
    """The keys there are.

    Attributes:
        values: key -> value, as nested mappings.
        places: dotted key -> (its file, its key inside that file).
        claims: what experiments (and other files that write into the whole configuration) set.
        choices: group -> chosen option.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, tuple[File, str]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        """The value at a dotted key.

        Raises:
            KeyError: if there is no such key.
        """
        node: Any = self.values
        for part in key.split(".") if key else []:
            if not isinstance(node, dict):
                raise KeyError(key)
            node = node[part]
        return node

    def find(self, key: str, default: Any = None) -> Any:
        """As :meth:`get`; ``default`` where there is no such key."""
        try:
            return self.get(key)
        except KeyError:
            return default

    def dotted(self) -> Iterator[str]:
        """Every dotted key, nodes too."""
        return flat(self.values)

    def nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every mapping with its key."""
        for key in self.dotted():
            if isinstance(node := self.get(key), dict):
                yield key, node

    def add(self, file: File, package: str, body: dict[str, Any], prefix: str = "") -> None:
        """Merge a file's keys in at a package."""
        node = self.values
        for part in package.split(".") if package else []:
            node = node.setdefault(part, {})
        self._merge(node, body, file, package, prefix)

    def _merge(self, node: dict[str, Any], body: dict[str, Any], file: File, package: str, prefix: str) -> None:
        for name, value in body.items():
            key = f"{package}.{name}" if package else str(name)
            inside = f"{prefix}.{name}" if prefix else str(name)
            self.places[key] = (file, inside)
            if isinstance(value, dict):
                below = node.get(name)
                node[name] = below if isinstance(below, dict) else {}
                self._merge(node[name], value, file, key, inside)
            else:
                node[name] = value


def leaves(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested mappings with their values, lists as such; mappings that hold something are left out."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{key}", below) for key, below in leaves(value))
        else:
            yield str(name), value


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of nested mappings."""
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        if isinstance(value, dict):
            yield from flat(value, key)


def lay_out(defaults: Sequence[ResultDefault], choices: dict[str, Any], found: Sequence[Source]) -> Layout:
    """The layout of a composed list of defaults."""
    layout = Layout(choices=choices)
    for entry in defaults:
        name = entry.config_path
        if name is None or name.startswith("hydra/") or entry.package == "hydra":
            continue
        if file := file_of(name, found):
            _place(layout, file, name, entry.package or "")
    return layout


def option_layout(group: str, option: str, found: Sequence[Source], layout: Layout | None = None) -> Layout:
    """The keys of one option, with those of the options that it builds on; of a task, its own node."""
    layout, file = layout or Layout(), file_of(f"{group}/{option}", found)
    if file is None:
        return layout
    for entry in file.defaults:
        if isinstance(entry, str) and entry != "_self_":
            option_layout(group, entry, found, layout)
    if file.package == "_global_":
        layout.add(file, group, file.body.get(group) or {}, group)
    else:
        layout.add(file, group, file.body)
    return layout


def file_of(name: str, found: Sequence[Source]) -> File | None:
    """The file behind ``group/option``."""
    for source in found:
        path = source.path / f"{name}.yaml"
        if path.is_file():
            return read(path)
    return None


def _place(layout: Layout, file: File, name: str, package: str) -> None:
    group = name.rpartition("/")[0]
    if package not in {"", "_global_"}:
        layout.add(file, package, file.body)
    elif not group:
        layout.add(file, "", {key: value for key, value in file.body.items() if key != "hydra"})
    else:  # it writes into the whole configuration: only the node named as its group is its own
        own = "" if group == "experiment" else group
        for key, value in file.body.items():
            if key == own:
                layout.add(file, "", {key: value})
            elif key != "hydra":
                layout.claims += _claims(file, str(key), value)


def _claims(file: File, key: str, value: Any) -> Iterator[Claim]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _claims(file, f"{key}.{name}", below)
    else:
        yield Claim(key, value, f"{file.at(key)}: {key}={value}")
