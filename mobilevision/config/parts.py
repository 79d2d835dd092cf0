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

from mobilevision.config.auto_settings import AUTO, RULES_BY_PART
from mobilevision.config.keys import PARTS
from mobilevision.config.kinds import takes_tail
from mobilevision.config.layout import flat
from mobilevision.config.names import did_you_mean, nearest_key
from mobilevision.errors import UserError

OWN = ("task", "data", "head", "loss", "augment", "distill")
"""The nodes that a part has of its own."""
SHARED_DATA = (
    *("resolution", "fit", "channels", "batch_size", "eval_batch_size", "workers", "prefetch", "pin_memory"),
    *("drop_last", "on_error", "seed", "folds", "fold", "folds_final", "unlabelled", "white_level"),
)
"""Keys of ``data`` that all parts share, since their images make up one batch; ``resolution`` a part may have, too."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLUMNS = ("file", "found", "truth", "correct", "loss", "picture", "kinds")
_SPLITS = ("train", "val", "test")
_OF_MODULES = re.compile(
    r"register_\w+|named_(buffers|children|modules|parameters)|(get|set)_(buffer|extra_state|parameter|submodule)"
    r"|(load_)?state_dict|add_module|call_super_init|dump_patches|extra_repr|requires_grad_|share_memory|to_empty"
    r"|zero_grad|apply|bfloat16|buffers|children|clear|compile|copy|cpu|cuda|double|eval|float|forward|fromkeys|get|half"
    r"|ipu|items|keys|modules|mtia|parameters|pop|popitem|setdefault|to|training|type|update|values|xpu"
)
"""What torch's dictionaries of modules and parameters have themselves, so that no part in them can be called so."""
_SUGGESTED = re.compile(r" or task=multitask|(?<=there are: )multitask, |, multitask(?=,|$)|; did you mean multitask\?")
_MEAN = "mean_of_parts"
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
            part.overrides = [f"task={value}", *(line for line in part.overrides if not line.startswith("task="))]
    return shared, given


@dataclass
class Composed:
    """The parts of a configuration, as far as they go.

    Attributes:
        nodes: by name, the nodes of :data:`OWN` of every part that has no error; ``data.resolution`` in them only where
            the part asks for a side of its own.
        sides: those that the data of the other parts is made for.
        names: every part, those with errors, too.
        errors: a line each.
    """

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    sides: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def compose_parts(
    cfg: DictConfig,
    given: Mapping[str, Given],
    *,
    embedded: Collection[str],
    replaced: bool,
    places: Mapping[str, str],
    compose: Callable[[list[str]], DictConfig],
) -> Composed:
    """Every part composed, and every error in them.

    Args:
        cfg: what all parts share, composed; ``parts`` has the lists of overrides of files.
        given: of :func:`split`.
        embedded: the parts of the task's own example, which make way for parts that are given.
        replaced: whether a file gives some already.
        places: file and line of the parts that files describe.
        compose: composes and checks a configuration of one task.
    """
    found = Composed()
    described = whole = _described(cfg, places, found.errors)
    if replaced or any(part.adds for part in given.values()):
        described = {name: lines for name, lines in described.items() if name not in embedded}
    for name in [*described, *(each for each in given if each not in described)]:
        part = given.get(name, Given())
        if part.removed and name in whole and not part.overrides:
            continue
        found.names.append(name)
        lines = [*described.get(name, []), *part.overrides]
        wrong = list(_problems(name, lines, cfg, known=name in described or part.adds, there=[*described, *given]))
        if not wrong:
            try:
                composed = compose([*lines, f"seed={cfg.seed}"])
            except UserError as error:
                wrong = [_as_of_part(name, line) for line in errors_of(error)]
            else:
                wrong = list(_not_of_a_part(f"{PARTS}.{name}", composed))
                plain: Any = OmegaConf.to_container(composed, resolve=True)
                node = found.nodes[name] = {key: plain[key] for key in OWN if key in plain}
                if not any(line.lstrip("+").startswith("data.resolution=") for line in lines):
                    found.sides += [node["data"]["resolution"]] if node["data"]["resolution"] else []
                    node["data"]["resolution"] = None
        file = places.get(name, "") if name in described else ""
        found.errors += [_place_of(line, f"{PARTS}.{name}", part.overrides, file) for line in wrong]
    if not found.names and not found.errors:
        found.errors.append(f"task={cfg.task.name} has no parts: add some, such as {PARTS}.cars=detection")
    return found


def _as_of_part(name: str, line: str) -> str:
    """An error of a part's configuration, as one of the whole; what is for several tasks is no choice for a part."""
    line = _SUGGESTED.sub("", line)
    missing = re.match(r"(\S+) has no value: give \1=", line)
    if missing is None:
        return f"{PARTS}.{name}: {line}"
    key = missing[1]
    return f"{PARTS}.{name}.{line.replace(f'give {key}=', f'give {PARTS}.{name}.{key}=', 1)}"


def _not_of_a_part(part: str, cfg: DictConfig) -> Iterator[str]:
    """What a task may have by itself, but not as a part (``parts.NAME``) of several."""
    if mixed := [key for key in ("mixup", "cutmix") if (cfg.get("augment") or {}).get(key)]:
        key = f"{part}.augment.{mixed[0]}"
        yield f"{key}: what images of several parts show is not mixed: set {key}=0"
    if takes_tail(str(cfg.head.get("_target_"))):
        yield (
            f"{part}.head takes the backbone's last stage for itself, which the other parts share: take"
            f" {part}.head=faster_rcnn_fpn, ssd or picodet"
        )


def _place_of(line: str, part: str, typed: Sequence[str], file: str) -> str:
    """A line that says what is wrong in a part, behind the place of the file that holds what is wrong, if one does."""
    keys = [each.lstrip("+~").partition("=")[0] for each in typed]
    begins = (*(f"{part}: {each}" for each in typed), *(f"{part}.{key}" for key in keys))
    by_hand = line.startswith(begins)
    return f"{file}: {line}" if file and not by_hand else line


def check_shared(cfg: DictConfig, parts: Sequence[str]) -> Iterator[str]:
    """A line for every shared key that speaks of a part which there is not, or not of all of them."""
    of_parts = (("loss.weights", False), ("data.format.sampling", True), ("optimizer.part_lr_scale", False))
    frozen = list(map(str, OmegaConf.select(cfg, "freeze.parts") or ()))
    for name in frozen:
        if name not in parts:
            yield f"freeze.parts=[{name}]: there is no part {name}{did_you_mean(name, parts)}"
    if parts and set(frozen) >= set(parts):
        yield f"freeze.parts=[{', '.join(parts)}]: no part is left to learn"
    for key, all_of_them in of_parts:
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, DictConfig):
            continue
        unknown = [str(name) for name in value if name not in parts]
        for name in unknown:
            yield f"{key}.{name}: there is no part {name}{did_you_mean(name, parts)}"
        if all_of_them and not unknown and (missing := [name for name in parts if name not in value]):
            example = ", ".join(f"{name}: {value.get(name, 1)}" for name in parts)
            yield f"{key}: give every part a weight, such as {key}={{{example}}}; missing: {', '.join(missing)}"
    monitor = OmegaConf.select(cfg, "callbacks.best.monitor")
    if isinstance(monitor, str) and monitor != AUTO:
        part, below, _ = monitor.removeprefix("val/").partition("/")
        if part not in (parts if below else ("loss", _MEAN)):
            near = did_you_mean(part, parts if below else (_MEAN, "loss")).partition("; there are")[0]
            yield (
                f"callbacks.best.monitor={monitor}: must be auto, {_MEAN}, loss, or PART/METRIC, such as cars/map; the"
                f" parts are {', '.join(parts)}{near}"
            )


def _described(cfg: DictConfig, places: Mapping[str, str], errors: list[str]) -> dict[str, list[str]]:
    """The parts that files describe; one that is no list of overrides is named in ``errors``."""
    found: dict[str, list[str]] = {}
    for name, lines in (cfg.get(PARTS) or {}).items():
        if isinstance(lines, ListConfig) and all(isinstance(line, str) for line in lines):
            found[str(name)] = list(lines)
            continue
        file = f"{places[str(name)]}: " if str(name) in places else ""
        errors.append(
            f"{file}{PARTS}.{name}: in a file, a part is a list of what the command line would say of it, such as"
            " [task=detection, head=ssdlite]"
        )
    return found


def _why_not(name: str) -> str | None:
    """Why no part may be called so; None where one may."""
    if name in _SPLITS:
        return f"keys and metrics have a split of this name: call the part otherwise, such as {name}_images"
    if name in _COLUMNS:
        return "tables of predictions have a column of this name: call the part otherwise"
    if _OF_MODULES.fullmatch(name) or name == _MEAN:
        return f"this word is taken: call the part otherwise, such as {name}_of_image"
    if not _NAME.fullmatch(name):
        return "the name of a part is made of a-z, 0-9 and _, and begins with a letter"
    return None


def _problems(name: str, lines: Sequence[str], cfg: DictConfig, *, known: bool, there: Sequence[str]) -> Iterator[str]:
    if reason := _why_not(name):
        yield f"{PARTS}.{name}: {reason}"
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
        elif group in cfg and group not in OWN:
            yield f"{PARTS}.{name}.{line}: a part has {', '.join(OWN)}; all parts share {group}: write {line}"
        elif group not in OWN:
            values: Any = OmegaConf.to_container(cfg)
            near = nearest_key(key, [*OWN, *flat(values)])
            near = "" if near.startswith("; the top has") else near
            yield f"{PARTS}.{name}.{line}: a part has {', '.join(OWN)}{near}"
        elif key == "head.weights" and not line.endswith("=null"):
            yield f"{PARTS}.{name}.{line}: a pretrained detector starts task=detection alone: leave it out"
        elif group == "data" and below in SHARED_DATA and below != "resolution":
            yield f"{PARTS}.{name}.{line}: the parts share their batches: write {line}"


def joined(cfg: DictConfig, composed: Composed) -> DictConfig:
    """The shared configuration with the parts' nodes, and the side and the fit that these ask for."""
    cfg, nodes = cfg.copy(), composed.nodes
    asked = [node["data"]["resolution"] for node in nodes.values()]
    sides = composed.sides or ([] if None in asked else asked)
    with open_dict(cfg):
        cfg[PARTS] = nodes
        if cfg.data.resolution is None and sides:
            cfg.data.resolution = max(sides, key=lambda side: side if isinstance(side, int) else max(side))
        if cfg.data.fit is None and any(node["task"]["kind"] == "boxes" for node in nodes.values()):
            cfg.data.fit = "stretch"
        for key in RULES_BY_PART:
            if (given := OmegaConf.select(cfg, key)) is not None:
                OmegaConf.update(cfg, key, dict.fromkeys(nodes, AUTO) | dict(given), merge=False)
    return cfg


def part_config(cfg: DictConfig, name: str) -> DictConfig:
    """The configuration of one part as that of a run of its own, with what it shares with the others."""
    alone = cfg.copy()
    with open_dict(alone):
        node = alone.pop(PARTS)[name]
        for key in OWN:
            alone[key] = node.get(key)
        own_side = alone.data.resolution
        for key in SHARED_DATA:
            if key in cfg.data:
                alone.data[key] = cfg.data[key]
        alone.data.resolution = own_side or cfg.data.resolution
        alone.data.folds = alone.data.fold = alone.data.unlabelled = None
        alone.data.on_error = "skip"  # the joined data says, or refuses, what is wrong with all of them
    return alone


def is_part_name(name: Any) -> bool:
    """Whether a part may be called so: its outputs, metrics and files have its name in theirs."""
    return isinstance(name, str) and _why_not(name) is None


def keys_of_parts(cfg: DictConfig, keys: Iterable[str]) -> list[str]:
    """These keys, and the same of each part that may have them."""
    own = [key for key in keys if key.partition(".")[0] in OWN]
    return [*keys, *(f"{PARTS}.{name}.{key}" for name in names(cfg) for key in own)]


def names(cfg: DictConfig) -> list[str]:
    """The parts of a composed configuration; none of a single task's."""
    return [str(name) for name in cfg.get(PARTS) or {}]


def errors_of(error: UserError) -> list[str]:
    """The lines that :func:`mobilevision.config.check.refuse` made one error of."""
    first, *rest = str(error).splitlines()
    return [line.strip() for line in rest] if rest and first.endswith("configuration:") else [str(error)]


def meant_for_parts(
    errors: Sequence[str], shared: Sequence[str], found: Composed, kinds: Callable[[str, str], Sequence[Any] | None]
) -> list[str]:
    """The same errors; one of what each part has of its own says where it is written instead.

    Args:
        errors: of what all parts share.
        shared: overrides of it as typed.
        found: the parts.
        kinds: the kinds of target that an option of a group is for; None where it is for all.
    """
    told: list[str] = []
    moved: set[str] = set()
    for line in errors:
        typed = next((each for each in shared if line.startswith((f"{each}:", f"{each} is for"))), "")
        key, _, value = typed.lstrip("+").partition("=")
        group, _, below = key.partition(".")
        fits = list(found.nodes)
        if below and group != "distill":  # of a teacher, which no part may have yet, there are no keys
            fits = [name for name, node in found.nodes.items() if key in flat(node)]
        elif group in OWN[1:] and not below and (of := kinds(group, value)) is not None:
            fits = [name for name, node in found.nodes.items() if node["task"]["kind"] in of]
        if "in loss=uncertainty; loss=fixed_weights" in line:
            line += " (uncertainty learns its weights)"
        missing = not below and ": there is no such" in line  # as an option, whoever's
        shared_by_all = group == "data" and below in SHARED_DATA
        if group not in OWN[1:] or missing or not fits or shared_by_all:
            told.append(line)
            continue
        moved.add(group)
        others = "".join(f" or {PARTS}.{name}.{typed}" for name in fits[1:4])
        told.append(f"{typed}: each part has its own {group}: write {PARTS}.{fits[0]}.{typed}{others}")
    return [line for line in told if not (" has no value: give " in line and line.partition(".")[0] in moved)]
