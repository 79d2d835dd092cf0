"""Whether a key exists and takes the value it is given."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mobilevision.config.auto_settings import AUTO, RULES, RULES_BY_PART
from mobilevision.config.kinds import kinds_of_node
from mobilevision.config.layout import FREE, Claim, Layout, read
from mobilevision.config.names import did_you_mean, nearest_key
from mobilevision.config.settings import MAX_TIME_FORM
from mobilevision.config.source_code import Definition, Module, defined_in_source, find, lookup, why_missing
from mobilevision.config.types import ANYTHING, Type, of_annotation, of_value

# The arguments of what a ``_target_`` names, from its source.

_WITHOUT_ARGUMENTS = {"object", "ABC", "Generic", "Protocol"}
Argument = tuple[ast.expr | None, Module]  # an annotation and the module it is written in
_Callable = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Signature:
    """Arguments by name.

    Attributes:
        arguments: name -> annotation, and where it is written.
        more: whether it takes further keywords of any name.
    """

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    more: bool = False

    def type(self, name: str) -> Type:
        """What an argument accepts."""
        annotation, module = self.arguments[name]
        return of_annotation(annotation, module)


@lru_cache(maxsize=512)
def signature(target: str) -> Signature | None:
    """The signature of a class or function; None where its source does not tell."""
    found = find(target)
    return _of(found) if isinstance(found, Definition) else None


def _of(found: Definition, depth: int = 0) -> Signature | None:
    if isinstance(found.node, _Callable):
        return _of_function(found.node, found.module, skip=0)
    if not isinstance(found.node, ast.ClassDef) or depth > 10:
        return None
    for statement in found.node.body:
        if isinstance(statement, _Callable) and statement.name == "__init__":
            return _of_function(statement, found.module, skip=1)
    return Signature(_fields(found)) if _is_dataclass(found.node) else _inherited(found, depth)


def _fields(found: Definition) -> dict[str, Argument]:
    """What a class's body annotates."""
    assert isinstance(found.node, ast.ClassDef)
    return {
        statement.target.id: (statement.annotation, found.module)
        for statement in found.node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }


def _inherited(found: Definition, depth: int) -> Signature | None:
    """The signature that a class without a constructor has from its bases."""
    assert isinstance(found.node, ast.ClassDef)
    for base in found.node.bases:
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        if name in _WITHOUT_ARGUMENTS:
            continue
        parent = lookup(found.module, name) if isinstance(base, ast.Name) else None
        inherited = _of(parent, depth + 1) if isinstance(parent, Definition) else None
        if inherited is None or inherited.arguments or inherited.more:
            return inherited
    return Signature()


def _of_function(node: _Callable, module: Module, skip: int) -> Signature:
    given = node.args
    arguments = [*given.posonlyargs, *given.args][skip:] + given.kwonlyargs
    stated = {each.arg: (each.annotation, module) for each in arguments}
    match given.kwarg:
        case ast.arg(annotation=ast.Subscript(value=ast.Name("Unpack"), slice=ast.Name(name))):
            return Signature({**stated, **_of_typed_dict(lookup(module, name))})
    return Signature(stated, given.kwarg is not None)


def _of_typed_dict(found: Definition | Module | None) -> dict[str, Argument]:
    """The keys of a ``TypedDict``, by which a function says what its ``**options: Unpack[...]`` are."""
    if not isinstance(found, Definition) or not isinstance(found.node, ast.ClassDef):
        return {}
    keys: dict[str, Argument] = {}
    for base in found.node.bases:
        keys |= _of_typed_dict(lookup(found.module, base.id)) if isinstance(base, ast.Name) else {}
    return keys | _fields(found)


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = {ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in node.decorator_list}
    return "dataclass" in names or any(ast.unparse(base).rpartition(".")[2] == "NamedTuple" for base in node.bases)


SETTINGS = "mobilevision.config.settings"
# Node -> the dataclass of its keys that its target does not take, or whose range its target does not state.
STATED = {
    "": "Settings",
    "freeze": "Freeze",
    "probe": "Probe",
    "pretrain": "Pretrain",
    "tune": "Tune",
    "task": "Task",
    "trainer": "Trainer",
    "trainer.kwargs": "TrainerArguments",
    "optimizer.kwargs": "OptimizerArguments",
    "distill": "Distill",
    "data": "Data",
} | dict.fromkeys(("head", "loss", "augment"), "Part")
# Key -> the dataclass of a mapping that may stand there in place of a name.
DESCRIBED = {"backbone.preset": "mobilevision.backbones.presets.Preset"}
PARTS = "parts"
CALLBACK = "Callback"  # that of every node of callbacks
HOW_WRITTEN = {
    "trainer.max_time": f"give {MAX_TIME_FORM}",
    "data.format.sampling": "give size, even, or a weight for each part, such as {cars: 2, weather: 1}",
}  # key -> what to give it, where its type does not tell
HYDRA = {"_target_", "_partial_", "_convert_", "_recursive_"}


def check_claims(claims: Iterable[Claim], layout: Layout) -> Iterator[str]:
    """A line for every claim on a key that does not exist or takes no such value."""
    for claim in claims:
        for key, problem in _problems(claim.key, claim.value, layout):
            inside = f" {key}" if key != claim.key else ""
            yield f"{claim.where}:{inside} {problem}"


def _problems(key: str, value: Any, layout: Layout) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it) for a value and all that is in it."""
    if key.partition(".")[0] == PARTS and PARTS in layout.choices:
        return  # each part is composed, and so checked, by itself
    if owner := free_node(key, layout):
        yield from _free(owner, key, value, layout)
        return
    try:
        present = layout.get(key)
    except KeyError:
        yield key, f"there is no such key{_nearest(key, layout)}"
        return
    if isinstance(present, dict) and present:
        if not isinstance(value, dict):
            yield key, f"{key} holds keys of its own: {', '.join(f'{key}.{name}' for name in present)}"
            return
        if key in DESCRIBED:
            yield from _described(key, value)
            return
        for name, below in value.items():
            yield from _problems(f"{key}.{name}", below, layout)
    elif present == {} and isinstance(value, dict):
        for name, below in value.items():
            yield from _free(key, f"{key}.{name}", below, layout)
    elif reason := type_of(key, layout).refusal(value):
        yield key, reason if isinstance(value, dict) else HOW_WRITTEN.get(key, reason)
    elif key in DESCRIBED and isinstance(value, dict):
        yield from _described(key, value)
    elif key.endswith("._target_") and not exists(value):
        yield key, why_missing(str(value))


def _described(key: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it) for the values of a mapping that a dataclass describes."""
    known = _stated(key)
    for name, value in values.items():
        if name not in known:
            yield f"{key}.{name}", f"there is no such key; {key} has {', '.join(known)}"
        elif reason := of_annotation(*known[name]).refusal(value):
            yield f"{key}.{name}", reason


def _nearest(key: str, layout: Layout) -> str:
    parent, _, name = key.rpartition(".")
    if parent in DESCRIBED and name in _stated(parent):
        return f"; write {parent}={{{name}: VALUE}}"
    above = stated_type(parent, layout) if layout.find(parent) is not None else None
    if above is not None and above.values and not isinstance(layout.get(parent), dict):
        return f"; write {parent}={{{name}: VALUE}}"
    target = _signature(parent, layout) if layout.find(f"{parent}.{FREE}") == {} else None
    if target is not None and name in target.arguments and FREE not in target.arguments:
        return f"; did you mean {parent}.{FREE}.{name}?"
    return _of_another_option(key, layout) or nearest_key(key, layout.dotted())


def _of_another_option(key: str, layout: Layout) -> str:
    """Which options of the group have a key that the chosen one lacks."""
    group, _, rest = key.partition(".")
    parent = key.rpartition(".")[0]
    while parent and f"{parent}._target_" not in layout.places:
        parent = parent.rpartition(".")[0]
    if not parent:
        return ""
    beside = layout.places[f"{parent}._target_"]
    kind = layout.values.get("task", {}).get("kind")
    files = {path.stem: read(path).body for path in sorted(beside[0].path.parent.glob("*.yaml"))}
    fits = {name: kind in (kinds_of_node(group, body) or [kind]) for name, body in files.items()}
    there = {name: Layout(values=body) for name, body in files.items() if fits[name]}
    fitting = [name for name, each in there.items() if each.find(rest, "") != "" or free_node(rest, each)]
    if not fitting:
        return ""
    others = ", ".join(f"{group}={name}" for name in fitting[:4])
    return f" in {group}={layout.choices.get(group)}; {others} {'has' if len(fitting) == 1 else 'have'} it"


def free_node(key: str, layout: Layout) -> str | None:
    """The node above a key that takes keys which no yaml states (an empty ``{}``), if there is one."""
    parts = key.split(".")
    for length in range(1, len(parts)):
        above = ".".join(parts[:length])
        if layout.find(above) == {}:
            return above
    return None


def _free(owner: str, key: str, value: Any, layout: Layout) -> Iterator[tuple[str, str]]:
    """A key of a free node: an argument of the target above, unless the target takes the node as it is."""
    parent, _, leaf = owner.rpartition(".")
    target = _signature(parent, layout)
    name = key.removeprefix(f"{owner}.").partition(".")[0]
    accepted = ANYTHING
    if leaf == FREE and target is not None and FREE not in target.arguments:
        if name in layout.get(parent):
            yield key, f"{parent}.{name} is a key already: write it without {FREE}"
            return
        if name in target.arguments:
            accepted = target.type(name)
        elif not target.more:
            what = layout.get(parent).get("_target_")
            yield key, f"{what} takes no argument {name}{did_you_mean(name, target.arguments)}"
            return
    if name in (stated := _stated(owner)):
        accepted = of_annotation(*stated[name])
    elif (node := stated_type(owner, layout)) is not None and node.values:
        accepted = _values_of(owner, node.values)
    if reason := (accepted if key == f"{owner}.{name}" else ANYTHING).refusal(value):
        yield key, reason


def type_of(key: str, layout: Layout) -> Type:
    """What a key accepts: what its annotation states, else values of the kind that its yaml holds."""
    present = layout.get(key)
    stated = stated_type(key, layout)
    if stated is None:
        return of_value(present)
    return stated if present is not None else stated | Type(frozenset({"none"}))


def stated_type(key: str, layout: Layout) -> Type | None:
    """What the annotation of a key accepts; None where there is none, or one that states nothing."""
    parent, _, name = key.rpartition(".")
    # Of a part, only where its own yaml says so: the strides of another head mean something else.
    decidable = key in RULES and (layout.get(key) == AUTO or parent not in ("head", "loss", "augment"))
    if name == "enabled" and decidable:
        return Type(frozenset({"bool"}), choices=(AUTO,))
    arguments = _arguments(parent, layout)
    if parent and name not in arguments and (above := stated_type(parent, layout)) is not None:
        return _values_of(parent, above.values) if above.values else None
    if name.startswith("_") or name not in arguments:
        return None
    stated = of_annotation(*arguments[name])
    if stated.open and not stated.kinds and not stated.choices:
        return None
    if decidable and "str" not in stated.kinds and AUTO not in stated.choices:
        return stated | Type(choices=(AUTO,))
    return stated


def _values_of(owner: str, values: Type) -> Type:
    """What the keys of a mapping of names that users choose accept, where its annotation says ``values``."""
    return values | Type(choices=(AUTO,)) if owner in RULES_BY_PART else values


def _arguments(node: str, layout: Layout) -> dict[str, Argument]:
    """Name -> annotation of what may stand at a node: the arguments of its target, and what the settings state."""
    target = _signature(node, layout)
    return {**(target.arguments if target else {}), **_stated(node)}


def _stated(node: str) -> Mapping[str, Argument]:
    name = CALLBACK if node.startswith("callbacks.") else STATED.get(node)
    settings = signature(DESCRIBED.get(node) or f"{SETTINGS}.{name}") if name or node in DESCRIBED else None
    return settings.arguments if settings else {}


def _signature(node: str, layout: Layout) -> Signature | None:
    """Of a node's target."""
    values = layout.find(node)
    target = values.get("_target_") if isinstance(values, dict) else None
    return signature(target) if isinstance(target, str) else None


def check_files(layout: Layout) -> Iterator[str]:
    """A line for every key in an option's file that its target does not take, and for every value that does not fit."""
    for key, node in layout.nodes():
        target = _signature(key, layout)
        if "_target_" in node and target is None and not exists(node["_target_"]):
            file, inside = layout.places[f"{key}._target_"]
            yield f"{file.at(inside)}: {why_missing(str(node['_target_']))}"
        if target is None or target.more or "_target_" not in node:
            continue
        known = {*HYDRA, *_arguments(key, layout)}
        for name in node:
            if name not in known:
                file, inside = layout.places[f"{key}.{name}"]
                wrong = did_you_mean(str(name), sorted(known - set(HYDRA)))
                yield f"{file.at(inside)}: {node['_target_']} takes no argument {name}{wrong}"
    for key in layout.dotted():
        value = layout.get(key)
        if not isinstance(value, dict) and (reason := type_of(key, layout).refusal(value)):
            file, inside = layout.places[key]
            yield f"{file.at(inside)}: {key}={value}: {reason}"


def exists(target: Any) -> bool:
    """Whether a target may exist: one inside a package without sources (compiled) may."""
    if not isinstance(target, str) or "${" in target or target == "???":
        return True
    return find(target) is not None or not defined_in_source(target)


def check_missing(claims: Iterable[Claim], layout: Layout) -> Iterator[str]:
    """A line for every value that the user has to give and has not."""
    given = {claim.key for claim in claims}
    for key in layout.dotted():
        if layout.get(key) == "???" and key not in given:
            file, inside = layout.places[key]
            comment = file.comments.get(inside)
            yield f"{key} has no value: give {key}=VALUE{f' ({comment})' if comment else ''}"
