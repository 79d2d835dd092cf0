"""What is exported: a run's best model or pretrained weights, and the pictures to compare it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError
from mobilevision.runs.folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.data.loader import BatchSource
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import Subject as Evaluated


@final
@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        task: on the CPU, in evaluation mode.
        cfg: its config.
        home: its run's folder; None of pretrained weights.
        source: the pictures to compare on; None where nothing is to be compared.
        split: their name.
        info: what the run noted of itself.
    """

    task: Any
    cfg: DictConfig
    home: Path | None
    source: BatchSource | None = None
    split: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)


def subject_of(run: str | Path | Sequence[str], *, gated: bool) -> Subject:
    """The model of a run, or of pretrained weights.

    Args:
        run: the run folder, or overrides that name weights.
        gated: whether to open the data, too.

    Raises:
        UserError: no run, no checkpoint, no weights with a classifier, or data that is not there any more.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import of_run
    from mobilevision.runs.info import read_info
    from mobilevision.runs.recording import quiet
    from mobilevision.runs.restore import load_run

    if not isinstance(run, str | Path):
        from mobilevision.runs.exporting.weights import subject_of_weights

        return subject_of_weights(run, gated=gated)
    folder = RunFolder.existing(run)
    if not gated:
        restored = load_run(run)
        return Subject(restored.task, restored.cfg, folder.path, info=read_info(folder))
    skip = SkipLog(None)
    try:
        with quiet():
            found = of_run(run, (), None, skip)
    except UserError as error:
        load_run(run)  # what is wrong with the run itself is said as it is
        raise UserError(f"{error} (the gate compares on the run's own data; --gate-samples 0 leaves it out)") from error
    pictures = pictures_of(found, skip)
    return Subject(found.task, found.cfg, folder.path, pictures, found.samples.split, read_info(folder))


def calibration_of(run: str | Path | Sequence[str], samples: int) -> NDArray[np.uint8]:
    """Pictures that the model trained on, at equal distances, as it takes them: uint8 [N, C, H, W].

    Raises:
        UserError: the run's data is not there any more, or weights come without data.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import of_run
    from mobilevision.runs.recording import quiet

    skip = SkipLog(None)
    if not isinstance(run, str | Path):
        from mobilevision.runs.exporting.weights import training_pictures

        found = training_pictures(run, skip)
    else:
        try:
            with quiet():
                found = of_run(run, (), "train", skip)
        except UserError as error:
            raise UserError(f"{error} (int8 takes its ranges from the run's training pictures)") from error
    places = np.unique(np.linspace(0, len(found.records) - 1, samples).astype(int))
    batch = pictures_of(found, skip).__getitems__([(0, int(each)) for each in places])
    return np.ascontiguousarray(batch["image"].numpy())


def pictures_of(found: Evaluated, skip: SkipLog) -> BatchSource:
    """What an evaluation shows to the model."""
    from mobilevision.data.loader import BatchSource

    spec = found.task.data_spec
    return BatchSource(
        found.records,
        channels=spec.channels,
        resolution=spec.resolution,
        fit=spec.fit,
        crop=found.task.backbone.preset.crop,
        skip=skip if found.cfg.data.on_error == "skip" else None,
    )
