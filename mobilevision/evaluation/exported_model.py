"""An exported model as a subject of evaluation: its task measures, the runtime of its format answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilevision.backbones.presets import Preset
from mobilevision.config.compose import compose
from mobilevision.config.loaded import check_targets
from mobilevision.config.plugins import load_for
from mobilevision.data.files import FileRecords
from mobilevision.data.records import RecordsAround
from mobilevision.data.skipped import SkipLog
from mobilevision.deploy.artifact import Artifact
from mobilevision.engine.build import build_data, instantiate
from mobilevision.errors import UserError
from mobilevision.evaluation.config import changed_config
from mobilevision.evaluation.data import in_order_of, new_samples
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
    samples = new_samples(data, split, skip if data.on_error == "skip" else None)
    spec = _spec_of(artifact.manifest, str(cfg.task.kind))
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
    parts = {"backbone": outside, "head": outside, "loss": nn.Identity(), "optimizer": None, "scheduler": None}
    task = instantiate(cfg.task, drop=("kind", "name"), data=spec, **parts)
    task.decision = manifest.decision
    return task.eval()


def _config_of(manifest: Manifest, folder: str) -> DictConfig:
    """The config of the model's task, with the task's own settings as they were."""
    try:
        cfg = compose([f"task={manifest.task}"])
    except UserError as error:
        raise UserError(
            f"{folder}: its task {manifest.task} is not installed here, so nobody knows its metrics: install the"
            f" plugin that has it ({str(error).splitlines()[0]})"
        ) from error
    settings = manifest.about.get("settings")
    for name, value in settings.items() if isinstance(settings, dict) else ():
        plain = value is None or isinstance(value, str | int | float)
        if plain and name in cfg.task and name not in ("_target_", "name", "kind"):
            try:
                check_targets({name: value}, {})
            except UserError as error:
                raise UserError(f"{folder}/model.json: about: settings: {error}") from None
            cfg.task[name] = value
    return cfg


def _spec_of(manifest: Manifest, kind: str) -> DataSpec:
    look, groups = manifest.preprocessing, manifest.about.get("groups") or ()
    return DataSpec(
        kind=kind,
        classes=manifest.classes,
        channels=look.channels,
        resolution=(look.height, look.width),
        fit=look.fit,
        groups=tuple(map(str, groups)),
        cells=manifest.facts.get("cells"),
        white_level=look.white_level,
    )
