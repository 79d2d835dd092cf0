"""info.json: what a run is, as plain values, for the console, the report and whoever reads the folder later."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from mobilevision.config.auto_settings import shown
from mobilevision.config.used_plugins import used
from mobilevision.io.atomic_files import read_object, write_json

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.backbones.loading import LoadReport
    from mobilevision.config.auto_settings import Decision
    from mobilevision.engine.build import Built
    from mobilevision.spec import DataSpec
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder

_BODY_ONLY = ("identity", "boxes")  # what is learnt from it has no use for the classifier of the weights
_LIBRARIES = ("mobilevision", "torch", "torchvision", "timm", "pytorch-lightning", "numpy", "pillow")


def run_info(cfg: DictConfig, built: Built) -> dict[str, Any]:
    """What was composed: task, backbone, costs, data, device, command, versions."""
    task, splits, spec = built.task, built.data.splits, built.task.data_spec
    report = task.backbone.report
    return {
        "task": cfg.task.name,
        "primary": task.followed,
        "mode": task.followed_mode,
        **_parts(task),
        "backbone": task.backbone.name,
        "width": cfg.backbone.get("width"),
        "resolution": list(spec.resolution),
        "channels": spec.channels,
        "parameters": built.cost.parameters,
        "mult_adds": built.cost.mult_adds,
        "classes": list(spec.classes),
        "samples": {name: len(records) for name, records in splits.items()},
        "notes": list(splits.notes),
        "decisions": [{"key": each.key, "value": shown(each.value), "why": each.why} for each in built.decisions],
        "problems": [str(problem) for problem in splits.problems],
        "weights": [] if report is None else _lines(report, spec),
        "optimizer": f"{task.optimizer_factory.name}, learning rate {task.lr:g}",
        "device": device(str(cfg.trainer.get("accelerator", "auto"))),
        "plugins": used(cfg),
        "command": command_line(),
        "started": datetime.now().isoformat(timespec="seconds"),
        "versions": versions(),
    }


def _lines(report: LoadReport, spec: DataSpec) -> list[str]:
    """What came of the weights; their classifier is for a head of as many classes, of several parts for any such."""
    sizes = [len(each.classes) for each in spec.parts.values() or [spec] if each.kind not in _BODY_ONLY]
    serves = len(sizes) == 1 or report.classes in sizes
    return report.lines(sizes[0] if len(sizes) == 1 else report.classes, classifier=serves)


def _parts(task: Task) -> dict[str, Any]:
    """By part, in their order, what it is chosen by; nothing of a single task."""
    followed = task.followed_of_parts
    named = {part: metric.removeprefix(f"{part}/") for part, (metric, _) in followed.items()}
    return {"parts": {part: {"primary": metric} for part, metric in named.items()}} if named else {}


def update_info(folder: RunFolder, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add to info.json and give all of it; what stood there under another name stays."""
    info = {**read_info(folder), **values}
    write_json(folder.info_json, info)
    return info


def update_decisions(folder: RunFolder, decisions: Iterable[Decision]) -> None:
    """Put decisions in the place of earlier ones of the same keys in info.json."""
    now = {each.key: {"key": each.key, "value": shown(each.value), "why": each.why} for each in decisions}
    kept = [each for each in read_info(folder).get("decisions", []) if each["key"] not in now]
    update_info(folder, {"decisions": [*kept, *now.values()]})


def note_resume(cfg: DictConfig, folder: RunFolder) -> None:
    """Add the command that goes on with a run to ``resumed`` in info.json, and say which decisions it changed."""
    info = read_info(folder)
    one = {"command": command_line(), "started": datetime.now().isoformat(timespec="seconds")}
    decisions = []
    for each in info.get("decisions", []):
        now = shown(OmegaConf.select(cfg, each["key"]))
        kept = each["value"] == now
        decisions.append(each if kept else {**each, "value": now, "why": "changed when the run was resumed"})
    found = {"decisions": decisions} if decisions else {}
    update_info(folder, {"resumed": [*info.get("resumed", []), one], **found})


def read_info(folder: RunFolder) -> dict[str, Any]:
    """What info.json holds; nothing where it is missing or broken."""
    return read_object(folder.info_json)


def device(accelerator: str) -> str:
    """Where a training with this ``trainer.accelerator`` runs, in words."""
    import torch

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        count = torch.cuda.device_count()
        return f"{torch.cuda.get_device_name(0)}{f' (of {count} GPUs)' if count > 1 else ''}"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def command_line() -> str:
    """The command as it was typed, ready to be typed again; empty where Python code started the run."""
    program = Path(sys.argv[0]).name
    if Path(sys.argv[0]).parts[-2:] == ("mobilevision", "__main__.py"):
        return shlex.join(["python", "-m", "mobilevision", *sys.argv[1:]])
    if program == "train.py":
        return shlex.join(["python", "train.py", *sys.argv[1:]])
    return shlex.join([program, *sys.argv[1:]]) if program == "mobilevision" else ""


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Python's, those of the libraries that numbers depend on, and those of more packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in (*_LIBRARIES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
