"""Whether a key exists and takes the value it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mobilevision.runs.config.layout import FREE, Claim, Layout
from mobilevision.runs.config.names import did_you_mean, nearest_key
from mobilevision.runs.config.signatures import Signature, signature
from mobilevision.runs.config.source_code import defined_in_source, find
from mobilevision.runs.config.types import Type, kind_of, of_value

AUTO = "auto"  # decided from the data before training
SETTINGS = "mobilevision.runs.config.settings"
TARGETS = {
    "": "Settings",
    "freeze": "Freeze",
    "probe": "Probe",
    "pretrain": "Pretrain",
    "tune": "Tune",
}  # nodes without a _target_ of their own
HYDRA = {"_target_", "_partial_", "_convert_", "_recursive_"}
METADATA = {"task": {"name", "kind"}, "trainer": {FREE}, "callbacks": {"enabled"}}
METADATA |= {group: {"kinds"} for group in ("data", "head", "loss", "augment")}
METADATA["data"] |= {"folds_final"}
METADATA |= {"distill": {"kinds", "teacher", "weight", "label_weight", "cache", "cache_folder", "auto_width"}}


def check_claims(claims: Iterable[Claim], layout: Layout) -> Iterator[str]:
    """A line for every claim on a key that does not exist or takes no such value."""
    for claim in claims:
        for key, problem in _problems(claim.key, claim.value, layout):
            inside = f" {key}" if key != claim.key else ""
            yield f"{claim.where}:{inside} {problem}"


def _problems(key: str, value: Any, layout: Layout) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it) for a value and all that is in it."""
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
        for name, below in value.items():
            yield from _problems(f"{key}.{name}", below, layout)
    elif reason := type_of(key, layout).refusal(value):
        yield key, reason
    elif key.endswith("._target_") and not exists(value):
        yield key, f"{value} does not exist"


def _nearest(key: str, layout: Layout) -> str:
    parent, _, name = key.rpartition(".")
    try:
        free = layout.get(f"{parent}.{FREE}") == {}
    except KeyError:
        free = False
    target = _signature(parent, layout) if free else None
    if target is not None and name in target.arguments and FREE not in target.arguments:
        return f"; did you mean {parent}.{FREE}.{name}?"
    return nearest_key(key, layout.dotted())


def free_node(key: str, layout: Layout) -> str | None:
    """The node above a key that takes keys which no yaml states (an empty ``{}``), if there is one."""
    parts = key.split(".")
    for length in range(1, len(parts)):
        above = ".".join(parts[:length])
        try:
            if layout.get(above) == {}:
                return above
        except KeyError:
            return None
    return None


def _free(owner: str, key: str, value: Any, layout: Layout) -> Iterator[tuple[str, str]]:
    """A key of a free node: an argument of the target above, unless the target takes the node as it is."""
    parent, _, leaf = owner.rpartition(".")
    target = _signature(parent, layout)
    name = key.removeprefix(f"{owner}.").partition(".")[0]
    if leaf != FREE or target is None or FREE in target.arguments:
        return
    if name in layout.get(parent):
        yield key, f"{parent}.{name} is a key already: write it without {FREE}"
    elif name not in target.arguments:
        if not target.more:
            what = layout.get(parent).get("_target_")
            yield key, f"{what} takes no argument {name}{did_you_mean(name, target.arguments)}"
    elif key == f"{owner}.{name}" and (reason := target.type(name).refusal(value)):
        yield key, reason


def type_of(key: str, layout: Layout) -> Type:
    """What a key accepts: by its target's annotation, and in any case what its yaml holds."""
    parent, _, name = key.rpartition(".")
    present = layout.get(key)
    target = _signature(parent, layout)
    if name == "enabled" and present == AUTO:
        return Type(frozenset({"bool"}), choices=(AUTO,))
    if name.startswith("_") or target is None or name not in target.arguments:
        return of_value(present)
    stated = target.type(name)
    if stated.open and not stated.kinds and not stated.choices:
        return of_value(present)
    if present == AUTO and "str" not in stated.kinds and AUTO not in stated.choices:
        return stated | Type(choices=(AUTO,))
    default = of_value(present)
    if default.open or kind_of(present) in stated.kinds or present in stated.choices or stated.open:
        return stated if present is not None else stated | Type(frozenset({"none"}))
    return stated | default


def _signature(node: str, layout: Layout) -> Signature | None:
    if node in TARGETS:
        return signature(f"{SETTINGS}.{TARGETS[node]}")
    values = layout.get(node)
    target = values.get("_target_") if isinstance(values, dict) else None
    return signature(target) if isinstance(target, str) else None


def check_files(layout: Layout) -> Iterator[str]:
    """A line for every key in an option's file that its target does not take."""
    for key, node in layout.nodes():
        target = _signature(key, layout)
        if "_target_" in node and target is None and not exists(node["_target_"]):
            file, inside = layout.places[f"{key}._target_"]
            yield f"{file.at(inside)}: {node['_target_']} does not exist"
        if target is None or target.more or "_target_" not in node:
            continue
        aside = HYDRA | METADATA.get(key.partition(".")[0], set())
        for name in node:
            if name not in aside and name not in target.arguments:
                file, inside = layout.places[f"{key}.{name}"]
                wrong = did_you_mean(str(name), target.arguments)
                yield f"{file.at(inside)}: {node['_target_']} takes no argument {name}{wrong}"


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
