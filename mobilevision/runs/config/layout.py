"""Which keys exist: what the chosen options' own files state, apart from what others write into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.default_element import ResultDefault

from mobilevision.runs.config.yaml_files import File, read
from mobilevision.runs.search_path import Source

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


def option_layout(group: str, option: str, found: Sequence[Source]) -> Layout:
    """The keys of one option, with those of the options that it builds on; of a task, its own node."""
    layout = Layout()
    _extend(layout, group, option, found)
    return layout


def _extend(layout: Layout, group: str, option: str, found: Sequence[Source]) -> None:
    file = file_of(f"{group}/{option}", found)
    if file is None:
        return
    for entry in file.defaults:
        if isinstance(entry, str) and entry != "_self_":
            _extend(layout, group, entry, found)
    if file.package == "_global_":
        layout.add(file, group, file.body.get(group) or {}, group)
    else:
        layout.add(file, group, file.body)


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
