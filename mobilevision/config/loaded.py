"""The config.yaml of a run folder, which anybody may have written: plain values, checked before any import."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilevision.config.keys import PARTS, check_claims, signature, stated_type
from mobilevision.config.layout import Claim, Layout, leaves, package_of
from mobilevision.config.names import did_you_mean
from mobilevision.config.parts import is_part_name
from mobilevision.config.search_path import Source, files, installed
from mobilevision.config.source_code import Definition, find
from mobilevision.config.used_plugins import targets
from mobilevision.errors import UserError
from mobilevision.io.safe_yaml import parse_yaml, read_yaml
from mobilevision.plugins import VARIABLE
from mobilevision.plugins.former_names import current_name, with_shared_sides

NAMED_BY_USERS = ("callbacks",)  # groups whose nodes have any name: what one of them may build, another may
_OF_HYDRA = re.compile(r"_\w+_")  # _target_, _partial_, _args_, _recursive_, _convert_ and what may come
_AS_TEXT = re.compile(r"_(target|partial|args|recursive|convert)_['\"]?\s*[:=]")  # a mapping or override as a text

Targets = Mapping[str, set[str]]


@dataclass(frozen=True)
class _Option:
    """A file of a group: where its keys go (dotted; the empty text is the top), its keys and its list of defaults."""

    package: str
    body: dict[str, Any]
    defaults: list[Any]


def known_targets(found: Sequence[Source]) -> Targets:
    """Place -> what the config groups in these folders build there, such as ``data.format`` -> our data formats."""
    options: dict[str, list[_Option]] = defaultdict(list)
    for source in found:
        for name in files(source):
            group = name.rpartition("/")[0]
            option = _read(source.path / f"{name}.yaml", group) if not name.startswith("hydra/") else None
            if option is not None:
                options[group].append(option)
    table: dict[str, set[str]] = defaultdict(set)
    for option in (each for group in options.values() for each in group):
        _collect(option.body, option.package, table)
        for group, package in _moved(option):
            for other in options[group]:
                _collect(other.body, package, table)
    return table


def check_targets(values: Mapping[str, Any], table: Targets) -> dict[str, Any]:
    """A loaded configuration whose parts are those of the config groups, each under the name that these use.

    Args:
        values: plain, as read.
        table: of :func:`known_targets`.

    Raises:
        UserError: a part that no group names at its place, any other instruction to Hydra, or an interpolation; one
            line that names the key.
    """
    checked = _checked(values, "", table)
    assert isinstance(checked, dict)
    return checked


def _read(path: Path, group: str) -> _Option | None:
    """An option's file; None where it builds nothing, or is broken, which must not take the runs of others along."""
    try:
        text = path.read_text(encoding="utf-8")
        if "_target_" not in text and "@" not in text:
            return None
        body = parse_yaml(text, str(path))
    except (UserError, OSError, UnicodeDecodeError):
        return None
    if not isinstance(body, dict):
        return None
    stated = package_of(text.splitlines())
    package = _absolute(group.replace("/", ".") if stated is None else stated, group, "")
    defaults = body.pop("defaults", None)
    return _Option(package, body, defaults if isinstance(defaults, list) else [])


def _absolute(package: str, group: str, parent: str) -> str:
    """A package as Hydra's defaults name it, from the top."""
    own = group.replace("/", ".")
    stated = package.replace("_group_", own).replace("_name_", "")
    if stated == "_global_" or stated.startswith("_global_."):
        return stated.removeprefix("_global_").lstrip(".")
    if stated == "_here_" or stated.startswith("_here_."):
        stated = stated.removeprefix("_here_").lstrip(".")
    return ".".join(part for part in (parent, stated) if part)


def _moved(option: _Option) -> Iterator[tuple[str, str]]:
    """(group, place) of every group that an option's defaults put elsewhere, as in ``/head@second: linear``."""
    for entry in option.defaults:
        for key in entry if isinstance(entry, dict) else ():
            group, at, place = str(key).split()[-1].partition("@")
            if at:
                yield group.lstrip("/"), _absolute(place, group.lstrip("/"), option.package)


def _collect(body: Mapping[str, Any], package: str, table: dict[str, set[str]]) -> None:
    for key, target in targets(dict(body), package):
        if isinstance(target, str) and "${" not in target and target != "???":
            table[_place(key.rpartition(".")[0])].add(current_name(target))


def _place(key: str) -> str:
    """The place of a key in the table: nodes that users name are one."""
    group, _, rest = key.partition(".")
    if group == PARTS and rest:  # a part has the groups of its own task
        return _place(rest.partition(".")[2])
    if group not in NAMED_BY_USERS or not rest:
        return key
    return ".".join((group, "*", *rest.split(".")[1:]))


def _checked(value: Any, key: str, table: Targets) -> Any:
    if isinstance(value, dict):
        return {name: _entry(name, below, key, table) for name, below in value.items()}
    if isinstance(value, list):
        return [_checked(each, f"{key}[{index}]", table) for index, each in enumerate(value)]
    if isinstance(value, str):
        _check_text(value, key)
    return value


def _entry(name: Any, value: Any, above: str, table: Targets) -> Any:
    key = f"{above}.{name}" if above else str(name)
    if not isinstance(name, str | int):
        raise UserError(f"{key}: a key is a text, not {name!r}")
    if name == "_target_":
        return _known(value, key, above, table)
    if isinstance(name, str):
        _check_text(name, key)
        if _OF_HYDRA.fullmatch(name):
            raise UserError(f"{key}: no such instruction is taken from a configuration that was loaded")
    return _checked(value, key, table)


def _known(target: Any, key: str, above: str, table: Targets) -> str:
    there = table.get(_place(above))
    if there is None:
        raise UserError(f"{key}={_short(target)}: nothing is built there from a configuration that was loaded")
    if isinstance(target, str):
        name = current_name(target)
        if name in there:
            return name
        same = next((each for each in sorted(there) if _same(name, each)), None)
        if same is not None:
            return same
    near = did_you_mean(target, there) if isinstance(target, str) and len(target) < 100 else ""
    owner = target.partition(".")[0] if isinstance(target, str) else ""
    if owner.isidentifier() and owner not in {each.partition(".")[0] for each in there}:
        near = f"; if {_short(owner)} is a plugin, install it, or name its folder in {VARIABLE}"
    raise UserError(
        f"{key}={_short(target)}: a configuration that was loaded builds there only what the config groups of"
        f" mobilevision and of its plugins name{near}"
    )


def _same(target: str, known: str) -> bool:
    """Whether two names stand for one definition: earlier runs may have named the module that it lies in."""
    if target.partition(".")[0] != known.partition(".")[0] or not target.replace(".", "").isidentifier():
        return False
    if target.rpartition(".")[2] != known.rpartition(".")[2]:
        return False
    first, second = find(target), find(known)
    if not isinstance(first, Definition) or not isinstance(second, Definition):
        return False
    return first.module.path == second.module.path and first.node.lineno == second.node.lineno


def _check_text(text: str, key: str) -> None:
    if "${" in text:
        raise UserError(
            f"{key}={_short(text)}: a configuration that was loaded holds values, not references (${{...}})"
        )
    if text == "???":
        raise UserError(f"{key} has no value (???)")
    if _AS_TEXT.search(text):
        raise UserError(f"{key}={_short(text)}: no such instruction is taken from a configuration that was loaded")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


MOST_BYTES, MOST_NODES = 1_000_000, 20_000  # ours have some 10 kB and 300 values
PART_NODES = ("task", "data", "head", "loss")
BUILT = ("task", "data", "backbone", "head", "loss", "optimizer", "scheduler", "trainer")


def read_config(path: Path, table: Targets | None = None) -> DictConfig:
    """A run's config.yaml; nothing that it names is imported here, and ``data.format.download`` is off.

    Args:
        path: the file.
        table: what it may build, place by place; None takes what our config groups and the plugins' name.

    Raises:
        UserError: if it cannot be read, is not the config of a run, holds references (``${...}``), or wants to build
            what no config group names at that place, or a value is none that its key takes; one line names the key.
    """
    values = read_yaml(path, most_bytes=MOST_BYTES, most_nodes=MOST_NODES)
    if not isinstance(values, dict) or "task" not in values:
        raise UserError(f"{path}: not the config of a run")
    try:
        checked = check_targets(values, table if table is not None else known_targets(installed()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for name in BUILT:
        node = checked.get(name)
        if not isinstance(node, dict) or "_target_" not in node:
            raise UserError(f"{path}: not the config of a run: {name} should hold keys, with a _target_ among them")
    if problem := _problem(checked):
        raise UserError(f"{path}: {problem}")
    try:
        cfg = OmegaConf.create(offline(with_shared_sides(checked)))
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: not the config of a run: {str(error).splitlines()[0]}") from None
    assert isinstance(cfg, DictConfig)
    return cfg


_OF_SEVERAL = re.compile(r"mobilevision\.((tasks|heads|losses)\.multitask\.\w+|data\.(formats|multitask)\.Multitask)")
_TAKE_PARTS = ("task", "head", "loss", "data.format")


def _misplaced(values: dict[str, Any]) -> str | None:
    """A node for several tasks where there is one task, or the reverse; parts are described at ``parts.NAME`` alone."""
    several, layout = bool(values.get(PARTS)), Layout(values=values)
    for key in _TAKE_PARTS:
        node = layout.find(key)
        if not isinstance(node, dict):
            continue
        target = str(node.get("_target_"))
        known = signature(target)
        if PARTS in node and (several or known is None or PARTS not in known.arguments):
            return f"{key}.{PARTS}: the parts of several tasks stand at {PARTS}.NAME"
        takes = known is None or PARTS in known.arguments or (known.more and key != "task")  # any task takes more
        if several and not takes:
            return f"{key}._target_={_short(target)}: it is for one task, and there are {PARTS}"
        if not several and _OF_SEVERAL.fullmatch(target):
            return f"{key}._target_={_short(target)}: it is for several tasks, and there are no {PARTS}"
        if not several and node.get("kind") == "multitask":
            return f"{key}.kind=multitask: it is for several tasks, and there are no {PARTS}"
    return None


def _problem(values: dict[str, Any]) -> str | None:
    """The first node that is none for one task, or for several; or value that the annotation of its key refuses."""
    parts = values.get(PARTS) or {}
    if not isinstance(parts, dict):
        return f"{PARTS}: it should hold the parts by name"
    for name, part in parts.items():
        nodes = [part.get(each) for each in PART_NODES] if isinstance(part, dict) else []
        if (
            not is_part_name(name)
            or not nodes
            or not all(isinstance(node, dict) and "_target_" in node for node in nodes)
        ):
            return (
                f"{PARTS}: {_short(name)} is no part: one has a plain name, and {', '.join(PART_NODES)} with a _target_"
            )
        if problem := _problem({key: value for key, value in part.items() if key != PARTS}):
            return f"{PARTS}.{name}.{problem}"
    if problem := _misplaced(values):
        return problem
    layout = Layout(values={key: value for key, value in values.items() if key != PARTS})
    if problem := _unknown(layout):
        return problem
    claims = [Claim(key, value, f"{key}={value}") for key, value in leaves(layout.values) if not key.endswith("_")]
    for claim in claims:
        if claim.value is None and (accepted := stated_type(claim.key, layout)) is not None:
            if reason := accepted.refusal(None):
                return f"{claim.where}: {reason}"
        elif line := next(check_claims([claim], layout), None):
            return line
    return None


def _unknown(layout: Layout) -> str | None:
    """A key of the data's format that the format does not take, as of another version."""
    node = layout.find("data.format")
    known = signature(str(node.get("_target_"))) if isinstance(node, dict) else None
    if known is None or known.more:
        return None
    wrong = next((key for key in node if not _OF_HYDRA.fullmatch(str(key)) and key not in known.arguments), None)
    where = f"data.format.{_short(wrong)}: {_short(node['_target_'])} has no such key"
    return None if wrong is None else where + did_you_mean(str(wrong), known.arguments)


def offline(values: dict[str, Any]) -> dict[str, Any]:
    """The same without leave to download data: a run that was loaded opens no connection for its data."""
    if parts := values.get(PARTS):
        values = {**values, PARTS: {name: offline(part) for name, part in parts.items()}}
    data = values.get("data")
    form = data.get("format") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(form, dict) or not form.get("download"):
        return values
    return {**values, "data": {**data, "format": {**form, "download": False}}}
