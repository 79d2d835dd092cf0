"""An exported model as a subject of evaluation: its task measures, the runtime of its format answers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilevision.backbones.presets import Preset
from mobilevision.config.compose import compose
from mobilevision.config.keys import PARTS
from mobilevision.config.loaded import check_targets
from mobilevision.config.parts import errors_of, is_part_name, part_config
from mobilevision.config.parts import split as split_parts
from mobilevision.config.used_plugins import load_for
from mobilevision.data.files import FileRecords
from mobilevision.data.records import RecordsAround
from mobilevision.data.skipped import SkipLog
from mobilevision.deploy.artifact import Artifact
from mobilevision.engine.build import build_data, instantiate
from mobilevision.errors import UserError
from mobilevision.evaluation.config import changed_config
from mobilevision.evaluation.data import in_order_of, new_samples, samples_of_parts
from mobilevision.evaluation.subject import Subject
from mobilevision.spec import DataSpec

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.data import Records
    from mobilevision.deploy.manifest import Manifest


# The images of a data set by an exported model's own way: from their files, as its model.json says.


def prepared_pixels(artifact: Artifact, records: Records, places: Sequence[int]) -> NDArray[np.uint8]:
    """Uint8 [N, C, H, W] of the samples ``places``: from the file, or what is drawn as it is drawn."""
    prepared = []
    for place in places:
        path = _path(records, place)
        prepared.append(artifact.prepare(records.pixels(place, exact=True) if path is None else path).pixels)
    return np.stack(prepared)


def _path(records: Records, place: int) -> str | None:
    while isinstance(records, RecordsAround):
        records, place = records.source(place)
    return os.fsdecode(records.path(place)) if isinstance(records, FileRecords) else None


@final
class ExternalModel(nn.Module):
    """Stands where a task has its layers, for a model that runs elsewhere.

    Args:
        name: of the backbone that is in the file.
        crop: share of the shorter side that the model looks at.
    """

    report = None

    def __init__(self, name: str, crop: float) -> None:
        super().__init__()
        self.name, self.preset = name, Preset(crop=crop)


def of_artifact(folder: str | Path, changes: Sequence[str], split: str | None, skip: SkipLog) -> Subject:
    """An exported model on data that the overrides name; arguments as in :func:`of_run`.

    Raises:
        UserError: the task is not installed, or the data does not fit.
    """
    artifact = Artifact(folder)
    cfg, _ = changed_config(_config_of(artifact.manifest, str(folder)), changes, channels=artifact.channels)
    load_for(cfg)
    data = build_data(cfg)
    data.white_level = data.white_level or artifact.preprocessing.white_level
    spec, log = _spec_of(artifact.manifest, cfg), skip if data.on_error == "skip" else None
    if spec.parts:
        samples = samples_of_parts(data, spec, list(split_parts(changes)[1]), split, log)
    else:
        samples = new_samples(data, split, log)
    records = in_order_of(samples, spec.classes, spec.cells)
    if spec.kind == "identity":  # it tells apart whom it never saw, so names are those of the data
        spec = replace(spec, classes=samples.classes)
    task = measuring_task(artifact.manifest, cfg, spec)

    def predict(batch: dict[str, Any]) -> dict[str, Tensor]:
        pixels = prepared_pixels(artifact, records, batch["index"].tolist())
        return {name: torch.from_numpy(value) for name, value in artifact.outputs(pixels).items()}

    task.evaluate_predictions_of(predict)
    form = f"measured through {artifact.manifest.format}, {artifact.manifest.precision}; a file has no loss"
    return Subject(task, spec, replace(samples, notes=(*samples.notes, form)), records, cfg)


def measuring_task(manifest: Manifest, cfg: DictConfig, spec: DataSpec) -> Any:
    """The task that the model was trained for, without its layers: metrics, tables and charts are there."""
    outside = ExternalModel(str(manifest.about.get("backbone")), manifest.preprocessing.crop)
    parts: dict[str, Any] = {"backbone": outside, "head": outside, "loss": nn.Identity()}
    parts |= {"optimizer": None, "scheduler": None}
    if spec.parts:
        alone = {name: part_config(cfg, name).task for name in spec.parts}
        several = {}
        for name, node in alone.items():
            part = several[name] = instantiate(node, drop=("kind", "name"), data=spec.parts[name], **parts)
            if metric := manifest.about["parts"][name].get("metric"):
                part.follow(str(metric))
        parts["parts"] = several
    task = instantiate(cfg.task, drop=("kind", "name"), data=spec, **parts)
    task.decision = manifest.decision
    return task.eval()


def _config_of(manifest: Manifest, folder: str) -> DictConfig:
    """The config of the model's task, or of its parts' tasks, with the tasks' own settings as they were."""
    described = _parts_of(manifest, folder)
    try:
        cfg = compose(
            [f"task={manifest.task}", *(f"{PARTS}.{name}={part['task']}" for name, part in described.items())]
        )
    except UserError as error:
        raise UserError(
            f"{folder}: its task {manifest.task} is not installed here, so nobody knows its metrics: install the"
            f" plugin that has it ({'; '.join(errors_of(error))})"
        ) from error
    _set_as_before(cfg.task, manifest.about.get("settings"), f"{folder}/model.json: about: settings")
    for name, part in described.items():
        at = f"{folder}/model.json: about: parts: {name}: settings"
        _set_as_before(cfg[PARTS][name].task, part.get("settings"), at)
    return cfg


def _parts_of(manifest: Manifest, folder: str) -> dict[str, dict[str, Any]]:
    """By part of several tasks, what the file says of how it is measured; none of a single task.

    Raises:
        UserError: it says nothing, or something that cannot be.
    """
    if manifest.answer != "parts":
        return {}
    described, there = manifest.about.get("parts"), manifest.facts["parts"]
    if not isinstance(described, dict) or set(described) != set(there):
        raise UserError(
            f"{folder}/model.json: about: parts: it does not say which task each of {', '.join(there)} is, as files"
            " made by an earlier version do not: export the run again"
        )
    for name, part in described.items():
        task = part.get("task") if isinstance(part, dict) else None
        if not is_part_name(name) or not isinstance(task, str) or not re.fullmatch(r"\w+", task):
            raise UserError(f"{folder}/model.json: about: parts: {str(name)[:40]}: it has to name the part's task")
    return described


def _set_as_before(task: DictConfig, settings: Any, where: str) -> None:
    """Give a task's node the plain settings that the file keeps."""
    for name, value in settings.items() if isinstance(settings, dict) else ():
        plain = value is None or isinstance(value, str | int | float)
        if plain and name in task and name not in ("_target_", "name", "kind"):
            try:
                check_targets({name: value}, {})
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            task[name] = value


def _spec_of(manifest: Manifest, cfg: DictConfig) -> DataSpec:
    look = manifest.preprocessing

    def spec(kind: str, classes: Sequence[str], facts: Mapping[str, Any], groups: Any) -> DataSpec:
        return DataSpec(
            kind=kind,
            classes=tuple(classes),
            channels=look.channels,
            resolution=(look.height, look.width),
            fit=look.fit,
            groups=tuple(map(str, groups or ())),
            cells=facts.get("cells"),
            white_level=look.white_level,
            facts=dict(facts),
        )

    whole = spec(str(cfg.task.kind), manifest.classes, manifest.facts, manifest.about.get("groups"))
    if manifest.answer != "parts":
        return whole
    parts = {}
    for name, told in manifest.facts["parts"].items():
        groups = manifest.about["parts"][name].get("groups")
        parts[name] = spec(str(cfg[PARTS][name].task.kind), told["classes"], told["facts"], groups)
    return replace(whole, parts=parts)
