"""What people want to know of an exported model: where it comes from and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mobilevision.runs.folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig


def about(task: Any, folder: RunFolder, tools: Sequence[str]) -> dict[str, Any]:
    """Plain values; ``task`` is the task's name, and ``tools`` are packages whose versions are told."""
    from mobilevision.runs.build import measure
    from mobilevision.runs.info import command_line, read_info, versions
    from mobilevision.runs.restore import load_config

    cfg, info, cost = load_config(folder), read_info(folder), measure(task)
    preset = task.backbone.preset
    return {
        "task": str(cfg.task.name),
        "kind": task.kind,
        "backbone": task.backbone.name,
        "head": type(task.head).__name__,
        "normalisation_in_graph": {"mean": list(preset.mean), "std": list(preset.std), "of": "pixels / 255"},
        "data": {"name": _data_name(cfg), "samples": info.get("samples", {})},
        "cost": {"parameters": cost.parameters, "mult_adds": cost.mult_adds},
        "trained_by": info.get("command"),
        "command": command_line(),
        "versions": {**versions(), **_versions(tools)},
    }


def _data_name(cfg: DictConfig) -> str:
    """The option and the last part of the path: whole paths are nobody else's business."""
    root = cfg.data.get("root")
    name = str(cfg.data.get("name", "")) or str(cfg.data.format.get("_target_", "")).rpartition(".")[2]
    return f"{name} ({str(root).rstrip('/').rpartition('/')[2]})" if root else name


def _versions(tools: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in tools:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
