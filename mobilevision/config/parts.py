"""The parts of ``task=multitask``: each is composed and checked as a run of its own task would be.

``parts.cars=detection parts.cars.head=ssdlite`` on a command line is ``task=detection head=ssdlite`` for the part
``cars``. A file, such as an experiment or an option of the group ``parts``, lists the same: ``parts: {cars:
[task=detection, head=ssdlite]}``. What all parts share (backbone, optimizer, trainer, batches) is set once, outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from mobilevision.config.check import refuse
from mobilevision.config.keys import PARTS
from mobilevision.config.names import did_you_mean
from mobilevision.errors import UserError

OWN = ("task", "data", "head", "loss", "augment")
"""The nodes that a part has of its own."""
SHARED_DATA = (
    *("resolution", "fit", "channels", "batch_size", "eval_batch_size", "workers", "prefetch", "pin_memory"),
    *("drop_last", "on_error", "seed", "folds", "fold", "folds_final", "unlabelled", "white_level"),
)
"""Keys of ``data`` that all parts share, since their images make up one batch."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = ("file", "found", "truth", "correct", "loss", "picture", "kinds")
EMBEDDED = "scenes"
"""The option of the group ``parts`` that a run without parts of its own takes."""


@dataclass
class Given:
    """What a command line says of one part: its overrides without ``parts.NAME.``, and whether it is taken away."""

    overrides: list[str] = field(default_factory=list)
    adds: bool = False
    removed: bool = False


def split(arguments: Sequence[str]) -> tuple[list[str], dict[str, Given]]:
    """Overrides of what all parts share, and those of each part by its name."""
    shared: list[str] = []
    given: dict[str, Given] = {}
    for argument in arguments:
        text = argument.lstrip("+~")
        if not text.startswith(f"{PARTS}."):
            shared.append(argument)
            continue
        key, equals, value = text.removeprefix(f"{PARTS}.").partition("=")
        name, _, below = key.partition(".")
        part = given.setdefault(name, Given())
        if argument.startswith("~") and not below:
            part.removed = True
        elif below or not equals:
            part.overrides.append(f"{below}{equals}{value}")
        else:
            part.adds = True
            part.overrides.insert(0, f"task={value}")
    return shared, given


def with_parts(
    cfg: DictConfig,
    given: dict[str, Given],
    *,
    embedded: Collection[str],
    replaced: bool,
    compose: Callable[[list[str]], DictConfig],
) -> DictConfig:
    """The configuration with every part composed, in place of the lists of overrides that describe them.

    Args:
        cfg: what all parts share, composed; ``parts`` has the lists of overrides of files.
        given: of :func:`split`.
        embedded: the parts of the task's own example, which make way for parts that are given.
        replaced: whether a file gives some already.
        compose: composes and checks a configuration of one task.

    Raises:
        UserError: one text with every error in every part.
    """
    described = whole = _described(cfg)
    if replaced or any(part.adds for part in given.values()):
        described = {name: lines for name, lines in described.items() if name not in embedded}
    errors: list[str] = []
    nodes: dict[str, Any] = {}
    for name in [*described, *(each for each in given if each not in described)]:
        part = given.get(name, Given())
        if part.removed and name in whole and not part.overrides:
            continue
        lines = [*described.get(name, []), *part.overrides]
        wrong = list(_problems(name, lines, known=name in described or part.adds, there=[*described, *given]))
        if wrong:
            errors += wrong
            continue
        try:
            composed = compose([*lines, f"seed={cfg.seed}"])
        except UserError as error:
            errors += [f"{PARTS}.{name}: {line}" for line in _lines(error)]
            continue
        plain: Any = OmegaConf.to_container(composed, resolve=True)
        nodes[name] = {key: plain[key] for key in OWN if key in plain}
    if not nodes and not errors:
        errors.append(f"task={cfg.task.name} has no parts: add some, such as {PARTS}.cars=detection")
    errors += _of_unknown_parts(cfg, nodes) if not errors else []
    refuse(errors)
    return _joined(cfg, nodes)


def _of_unknown_parts(cfg: DictConfig, nodes: Mapping[str, Any]) -> Iterator[str]:
    """A line for every shared key that speaks of a part which there is not."""
    for key in ("loss.weights", "data.format.sampling"):
        value = OmegaConf.select(cfg, key)
        for name in map(str, value if isinstance(value, DictConfig) else ()):
            if name not in nodes:
                yield f"{key}.{name}: there is no part {name}{did_you_mean(name, list(nodes))}"


def _described(cfg: DictConfig) -> dict[str, list[str]]:
    """The parts that files describe.

    Raises:
        UserError: one that is no list of overrides.
    """
    found: dict[str, list[str]] = {}
    for name, lines in (cfg.get(PARTS) or {}).items():
        if not isinstance(lines, ListConfig) or not all(isinstance(line, str) for line in lines):
            raise UserError(
                f"{PARTS}.{name}: in a file, a part is a list of what the command line would say of it, such as"
                " [task=detection, head=ssdlite]"
            )
        found[str(name)] = list(lines)
    return found


def _problems(name: str, lines: Sequence[str], *, known: bool, there: Sequence[str]) -> Iterator[str]:
    if name in _TAKEN:
        yield f"{PARTS}.{name}: tables of predictions have a column of this name: call the part otherwise"
        return
    if not _NAME.fullmatch(name):
        yield f"{PARTS}.{name}: the name of a part is made of a-z, 0-9 and _, and begins with a letter"
        return
    if not known:
        others = [each for each in dict.fromkeys(there) if each != name]
        yield f"{PARTS}.{name}: there is no part {name}{did_you_mean(name, others)}; {PARTS}.{name}=TASK adds one"
        return
    tasks = [line.partition("=")[2] for line in lines if line.startswith("task=")]
    if not tasks:
        yield f"{PARTS}.{name}: its task is missing: {PARTS}.{name}=detection, say"
    for line in lines:
        key = line.lstrip("+~").partition("=")[0]
        group, _, below = key.partition(".")
        if key == "task" and line.partition("=")[2] == "multitask":
            yield f"{PARTS}.{name}=multitask: a part is a task by itself"
        elif group not in OWN:
            yield f"{PARTS}.{name}.{line}: a part has {', '.join(OWN[1:])}; all parts share {group}: write {line}"
        elif group == "data" and below in SHARED_DATA:
            yield f"{PARTS}.{name}.{line}: the parts share their batches: write {line}"


def _joined(cfg: DictConfig, nodes: dict[str, Any]) -> DictConfig:
    """The shared configuration with the parts' nodes, and the side and the fit that these ask for."""
    cfg = cfg.copy()
    sides = [node["data"]["resolution"] for node in nodes.values() if isinstance(node["data"]["resolution"], int)]
    with open_dict(cfg):
        cfg[PARTS] = nodes
        if cfg.data.resolution is None and sides:
            cfg.data.resolution = max(sides)
        if cfg.data.fit is None and any(node["task"]["kind"] == "boxes" for node in nodes.values()):
            cfg.data.fit = "stretch"
    return cfg


def part_config(cfg: DictConfig, name: str) -> DictConfig:
    """The configuration of one part as that of a run of its own, with what it shares with the others."""
    alone = cfg.copy()
    with open_dict(alone):
        node = alone.pop(PARTS)[name]
        for key in OWN:
            alone[key] = node.get(key)
        for key in SHARED_DATA:
            if key in cfg.data:
                alone.data[key] = cfg.data[key]
        alone.data.folds = alone.data.fold = alone.data.unlabelled = None
        alone.data.on_error = "skip"  # the joined data says, or refuses, what is wrong with all of them
    return alone


def is_part_name(name: Any) -> bool:
    """Whether a part may be called so: its outputs, metrics and files have its name in theirs."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _TAKEN


def keys_of_parts(cfg: DictConfig, keys: Iterable[str]) -> list[str]:
    """These keys, and the same of each part that may have them."""
    own = [key for key in keys if key.partition(".")[0] in OWN]
    return [*keys, *(f"{PARTS}.{name}.{key}" for name in names(cfg) for key in own)]


def names(cfg: DictConfig) -> list[str]:
    """The parts of a composed configuration; none of a single task's."""
    return [str(name) for name in cfg.get(PARTS) or {}]


def _lines(error: UserError) -> list[str]:
    first, *rest = str(error).splitlines()
    return [line.strip() for line in rest] if rest and first.endswith("configuration:") else [str(error)]
