"""model.json of a fresh export: the model, what decoding leaves outside, and for people where it comes from."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mobilevision.config.parts import names, part_config
from mobilevision.deploy.answers import ANSWERS
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.engine.build import measure
from mobilevision.engine.info import command_line, versions
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.subject import Subject
    from mobilevision.spec import DataSpec
    from mobilevision.tasks.base import Task

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OURS = "mobilevision.data.formats."
_FOLDERS = re.compile(r"(?<![\w.~])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\",=\[\]]*[/\\])?")


def described(
    graph: Graph,
    form: Format,
    precision: Precision,
    subject: Subject,
    work: Path,
    *,
    undecoded: tuple[str, dict[str, Any]] | None,
    finetune_epochs: int,
    license: str | None,
) -> Manifest:
    """What is known before the model has been compared.

    Args:
        graph: what was written.
        form: its format.
        precision: how.
        subject: where it comes from.
        work: the folder with the file.
        undecoded: as :func:`decoding_left` gives it, where the graph ends before decoding.
        finetune_epochs: that it was trained on.
        license: under which it may be used.
    """
    task, cfg, info = graph.task, subject.cfg, subject.info
    preset, cost = subject.task.backbone.preset, measure(subject.task)
    answer, facts = (task.answers, task.facts()) if undecoded is None else undecoded
    about = {
        "from": "weights" if subject.home is None else "run",
        "kind": subject.task.kind,
        **_measured_as(cfg, task.data_spec),
        **_parts(cfg, task),
        "backbone": subject.task.backbone.name,
        "head": type(subject.task.head).__name__,
        "normalisation_in_graph": {"mean": list(preset.mean), "std": list(preset.std), "of": "pixels / 255"},
        "weights": _weights(subject),
        "data": _data(subject),
        "cost": {"parameters": cost.parameters, "mult_adds": cost.mult_adds},
        "trained_by": without_folders(str(info.get("command") or "")),
        "command": without_folders(command_line()),
        "versions": versions(form.modules(precision.name)),
        **form.about(work / form.file),
        **_quantised(form, precision, work, finetune_epochs),
        "license": license,
        "made": datetime.now().isoformat(timespec="seconds"),
    }
    return Manifest(
        task=str(cfg.task.name),
        answer=answer,
        format=form.name,
        precision=precision.name,
        file=ModelFile.of(work / form.file),
        classes=task.data_spec.classes,
        input=graph.port.of(form.batch),
        preprocessing=Preprocessing.of(task.data_spec, task.backbone.preset.crop),
        outputs=tuple(port.of(form.batch) for port in graph.outputs),
        decision=task.decision,
        facts=facts,
        about=about,
        parts=tuple(ModelFile.of(work / name) for name in form.parts),
    )


def _quantised(form: Format, precision: Precision, work: Path, finetune_epochs: int) -> dict[str, Any]:
    if precision.calibration is None:
        return {}
    from mobilevision.deploy.formats.onnx_int8.gptq import can_saturate

    images, kept = len(precision.calibration), list(precision.keep)
    found = {"calibration_pictures": images, "float_layers": kept, "finetune_epochs": finetune_epochs}
    if (largest := form.largest_weight(work / form.file)) is not None:  # what the file holds, not what it should
        found |= {"largest_weight": largest, "can_saturate": can_saturate(largest)}
    return {"quantised": found}


def decoding_left(task: Task, *, decodes: bool = True) -> tuple[str, dict[str, Any]]:
    """What a graph without decoding, as ``--raw`` wants it, leaves to whoever runs it.

    Args:
        task: whose graph it is.
        decodes: whether the format could hold the decoding of a head that suppresses nothing.

    Returns:
        The name of the answer, and its facts.

    Raises:
        UserError: nothing, or nothing that can be taken out.
    """
    if task.followed_of_parts:
        raise UserError("--raw: the outputs of several parts are not taken apart; leave --raw out")
    if task.raw_answers is None:
        raise UserError(
            f"--raw: {type(task).__name__} has no non-maximum suppression, so its graph runs anywhere as it is;"
            " leave --raw out"
        )
    if decodes and getattr(task.head, "one_to_one", False):
        raise UserError(
            "--raw: with head.one_to_one=true nothing is suppressed, so the graph runs anywhere as it is;"
            " leave --raw out"
        )
    spec = task.data_spec
    with torch.inference_mode():
        outputs = task(torch.zeros(1, spec.channels, *spec.resolution, dtype=torch.uint8))
        facts = task.raw_facts(outputs)
    return task.raw_answers, {**task.facts(), **facts}


def write_beside(manifest: Manifest, folder: Path) -> list[str]:
    """Copy the files that running the graph without mobilevision takes; gives their names."""
    beside = ANSWERS[manifest.answer].beside
    for name, module in beside.items():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        shutil.copyfile(spec.origin, folder / name)
    return list(beside)


def _measured_as(cfg: DictConfig, spec: DataSpec) -> dict[str, Any]:
    """What an evaluation of the file needs again: how the task was set, and the groups of its classes."""
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(cfg.task, resolve=True)
    assert isinstance(node, dict)
    settings = {str(key): value for key, value in node.items() if key not in ("_target_", "name", "kind")}
    return {"settings": settings, "groups": list(spec.groups)}


def _parts(cfg: DictConfig, task: Task) -> dict[str, Any]:
    """The same of each part of several, which task it is, and the metric that counts in the mean of all."""
    parts = {}
    for name, part in task.parts.items():
        alone = part_config(cfg, name)
        told = {"task": str(alone.task.name), "kind": part.kind, "metric": part.followed}
        parts[name] = told | _measured_as(alone, part.data_spec)
    return {"parts": parts} if parts else {}


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
    if of_parts := names(cfg):
        told = {name: data_name(part_config(cfg, name), _of_part(notes, name)) for name in of_parts}
        alike = set(told.values())
        return alike.pop() if len(alike) == 1 else ", ".join(f"{name}: {data}" for name, data in told.items())
    root, target = cfg.data.get("root"), str(cfg.data.format.get("_target_", ""))
    name = str(cfg.data.get("name", "")) or target.rpartition(".")[2]
    if root:
        last = str(root).rstrip("/").rpartition("/")[2]
        name = _taken(notes) if name == "Auto" else name
        return f"{name} ({last})" if name else last
    if target.startswith(_OURS):  # those that need no place draw
        words = _CAPITAL.sub(" ", name).lower()
        return f"drawn images ({words.removeprefix('drawn ')})"
    return name


def _of_part(notes: Sequence[str], name: str) -> list[str]:
    """What was said of the data of one part."""
    return [note.removeprefix(f"{name}: ") for note in notes if note.startswith(f"{name}: ")]


def _taken(notes: Sequence[str]) -> str:
    """The format that ``data=auto`` took; empty where it did not say."""
    for note in notes:
        if option := note.partition("data=auto took the format ")[2]:
            from mobilevision.data.formats.auto import candidates

            return type(candidates()[option]).__name__ if option in candidates() else option
    return ""
