"""What is exported: a run's best model, and the pictures to compare it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError
from mobilevision.runs.folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data.loader import BatchSource
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import Subject as Evaluated


@final
@dataclass(frozen=True)
class Subject:
    """A task on the CPU, its run's folder, and a split; no source where nothing is to be compared."""

    task: Any
    folder: RunFolder
    source: BatchSource | None
    split: str


def subject_of(run: str | Path, *, gated: bool) -> Subject:
    """The model of a run.

    Args:
        run: the run folder.
        gated: whether to open the run's data, too.

    Raises:
        UserError: no run, no checkpoint, or its data is not there any more.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import of_run
    from mobilevision.runs.recording import quiet
    from mobilevision.runs.restore import load_run

    folder = RunFolder.existing(run)
    if not gated:
        return Subject(load_run(run).task, folder, None, "")
    skip = SkipLog(None)
    try:
        with quiet():
            found = of_run(run, (), None, skip)
    except UserError as error:
        load_run(run)  # what is wrong with the run itself is said as it is
        raise UserError(f"{error} (the gate compares on the run's own data; --gate-samples 0 leaves it out)") from error
    return Subject(found.task, folder, _pictures(found, skip), found.samples.split)


def calibration_of(run: str | Path, samples: int) -> NDArray[np.uint8]:
    """Pictures that the run trained on, at equal distances, as its model takes them: uint8 [N, C, H, W].

    Raises:
        UserError: the run's data is not there any more.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import of_run
    from mobilevision.runs.recording import quiet

    skip = SkipLog(None)
    try:
        with quiet():
            found = of_run(run, (), "train", skip)
    except UserError as error:
        raise UserError(f"{error} (int8 takes its ranges from the run's training pictures)") from error
    places = np.unique(np.linspace(0, len(found.records) - 1, samples).astype(int))
    batch = _pictures(found, skip).__getitems__([(0, int(each)) for each in places])
    return np.ascontiguousarray(batch["image"].numpy())


def _pictures(found: Evaluated, skip: SkipLog) -> BatchSource:
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
