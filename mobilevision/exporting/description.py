"""model.json of a fresh export."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilevision.deploy.manifest import Manifest, ModelFile

if TYPE_CHECKING:
    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.raw import Left
    from mobilevision.exporting.subject import Subject


def described(
    graph: Graph, form: Format, precision: Precision, subject: Subject, work: Path, *, left: Left | None, **more: Any
) -> Manifest:
    """What is known before the model has been compared.

    Args:
        graph: what was written.
        form: its format.
        precision: how.
        subject: where it comes from.
        work: the folder with the file.
        left: what decoding outside needs, where the graph ends before it.
        more: for people: the licence, the epochs that it was trained on.
    """
    from mobilevision.deploy.preprocessing import Preprocessing
    from mobilevision.exporting.about import about

    task = graph.task
    found = about(subject, form.modules(precision.name))
    quantised = _quantised(form, precision, work, more.pop("finetune_epochs"))
    return Manifest(
        task=found.pop("task"),
        answer=task.answers if left is None else left.answer,
        format=form.name,
        precision=precision.name,
        file=ModelFile.of(work / form.file),
        classes=task.data_spec.classes,
        input=graph.port.of(form.batch),
        preprocessing=Preprocessing.of(task.data_spec, task.backbone.preset.crop),
        outputs=tuple(port.of(form.batch) for port in graph.outputs),
        decision=task.decision,
        facts=task.facts() if left is None else left.facts,
        about={**found, **quantised, **more, "made": datetime.now().isoformat(timespec="seconds")},
        parts=tuple(ModelFile.of(work / name) for name in form.parts),
    )


def _quantised(form: Format, precision: Precision, work: Path, finetune_epochs: int) -> dict[str, Any]:
    if precision.calibration is None:
        return {}
    from mobilevision.deploy.formats.onnx_int8.rounding import can_saturate

    pictures, kept = len(precision.calibration), list(precision.keep)
    found = {"calibration_pictures": pictures, "float_layers": kept, "finetune_epochs": finetune_epochs}
    if (largest := form.largest_weight(work / form.file)) is not None:  # what the file holds, not what it should
        found |= {"largest_weight": largest, "can_saturate": can_saturate(largest)}
    return {"quantised": found}
