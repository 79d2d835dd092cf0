"""What people want to know of an exported model: where it comes from and what it costs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.exporting.subject import Subject

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OURS = "mobilevision.data.formats."
_FOLDERS = re.compile(r"(?<![\w.~])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\",=\[\]]*[/\\])?")


def about(subject: Subject, tools: Sequence[str]) -> dict[str, Any]:
    """Plain values; ``task`` is the task's name, and ``tools`` are packages whose versions are told."""
    from mobilevision.engine.build import measure
    from mobilevision.engine.info import command_line, versions

    task, cfg, info = subject.task, subject.cfg, subject.info
    preset, cost = task.backbone.preset, measure(task)
    return {
        "task": str(cfg.task.name),
        "from": "weights" if subject.home is None else "run",
        "kind": task.kind,
        "settings": _settings(cfg),
        "groups": list(task.data_spec.groups),
        "backbone": task.backbone.name,
        "head": type(task.head).__name__,
        "normalisation_in_graph": {"mean": list(preset.mean), "std": list(preset.std), "of": "pixels / 255"},
        "weights": _weights(subject),
        "data": _data(subject),
        "cost": {"parameters": cost.parameters, "mult_adds": cost.mult_adds},
        "trained_by": without_folders(str(info.get("command") or "")),
        "command": without_folders(command_line()),
        "versions": {**versions(), **_versions(tools)},
    }


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """What the task was told besides its parts: an evaluation of the file needs it again."""
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(cfg.task, resolve=True)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items() if key not in ("_target_", "name", "kind")}


def _weights(subject: Subject) -> str | None:
    """The last part of the weights' name: what was exported without a run, or what the run started from."""
    weights = subject.cfg.backbone.get("weights")
    return None if weights is None else str(weights).rstrip("/").rpartition("/")[2]


def _data(subject: Subject) -> dict[str, Any] | None:
    """What a run learnt from; of weights, what they were compared on, if on anything."""
    if subject.home is None:
        return {"name": data_name(subject.cfg), "samples": {}} if subject.source is not None else None
    notes = subject.info.get("notes") or ()
    return {"name": data_name(subject.cfg, notes), "samples": subject.info.get("samples", {})}


def without_folders(command: str) -> str:
    """A command of whose absolute paths only the last part is left: the rest is nobody else's business."""
    return _FOLDERS.sub(".../", command)


def data_name(cfg: DictConfig, notes: Sequence[str] = ()) -> str:
    """The format and the last part of the path: whole paths are nobody else's business.

    Args:
        cfg: the run's.
        notes: what reading the data said; ``data=auto`` tells there which format it took.
    """
    root, target = cfg.data.get("root"), str(cfg.data.format.get("_target_", ""))
    name = str(cfg.data.get("name", "")) or target.rpartition(".")[2]
    if root:
        last = str(root).rstrip("/").rpartition("/")[2]
        name = _taken(notes) if name == "Auto" else name
        return f"{name} ({last})" if name else last
    if target.startswith(_OURS):  # those that need no place draw
        words = _CAPITAL.sub(" ", name).lower()
        return f"drawn pictures ({words.removeprefix('drawn ')})"
    return name


def _taken(notes: Sequence[str]) -> str:
    """The format that ``data=auto`` took; empty where it did not say."""
    for note in notes:
        if option := note.partition("data=auto took the format ")[2]:
            from mobilevision.data.formats.auto import candidates

            return type(candidates()[option]).__name__ if option in candidates() else option
    return ""


def _versions(tools: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in tools:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
