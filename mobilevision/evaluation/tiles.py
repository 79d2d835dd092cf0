"""Measuring a detector that looks at tiles of each image, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.manifest import is_artifact
from mobilevision.deploy.predictor import Predictor
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.evaluation.subject import Subject
from mobilevision.prediction.model import Model
from mobilevision.prediction.opening import require_boxes
from mobilevision.prediction.tiling import TiledPredictor, Tiling


def look_at_tiles(subject: Subject, target: str | Path | None, tiling: Tiling) -> Subject:
    """Let the evaluation measure what the model says of the tiles of each image and of the whole.

    Args:
        subject: what is evaluated; its task measures other predictions from now on.
        target: the run, or the exported model.
        tiling: how images are cut.

    Returns:
        The subject, with a note.

    Raises:
        UserError: a model that finds no boxes.
    """
    require_boxes(subject.spec.kind, subject.cfg.task.name)
    model: Predictor = Artifact(target) if target is not None and is_artifact(target) else Model(subject.task)
    model.preprocessing = Preprocessing.of(subject.spec, model.preprocessing.crop)
    tiled, records = TiledPredictor(model, tiling), subject.records

    def predict(batch: dict[str, Any]) -> dict[str, Tensor]:
        images = [tiled.prepare(records.pixels(index, exact=True)) for index in batch["index"].tolist()]
        return stacked(tiled.raw([image.pixels for image in images]))

    subject.task.evaluate_predictions_of(predict)
    notes = (*subject.samples.notes, f"{tiling}; tiles have no loss")
    return replace(subject, samples=replace(subject.samples, notes=notes))


def stacked(predictions: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Detections of several images as one batch, filled up with score 0 and label -1."""
    most = max((len(each["scores"]) for each in predictions), default=0)
    empty = {"boxes": 0.0, "scores": 0.0, "labels": -1}
    return {
        name: torch.from_numpy(np.stack([_filled(np.asarray(each[name]), most, value) for each in predictions]))
        for name, value in empty.items()
    }


def _filled(rows: Any, most: int, value: float) -> Any:
    return np.pad(rows, [(0, most - len(rows)), *[(0, 0)] * (rows.ndim - 1)], constant_values=value)
