"""Export: write the graph and its description, let both models be compared, then give the folder its name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mobilevision.deploy.formats import find_format
from mobilevision.deploy.manifest import CARD, NAME, Manifest, ModelFile, is_artifact
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import InputType
    from mobilevision.deploy.precision import Precision
    from mobilevision.runs.exporting.gate import Verdict
    from mobilevision.runs.folder import RunFolder

MAX_DROP = {"float32": 0.005, "float16": 0.005, "int8": 0.015}
"""How far the primary metric may fall by default, for each precision."""


def export(
    run: str | Path,
    *,
    format: str = "onnx",
    quantize: Literal["int8", "float16"] | None = None,
    keep_float: Sequence[str] = (),
    calibration_samples: int = 200,
    out: str | Path | None = None,
    input: Literal["uint8", "float"] = "uint8",
    gate_samples: int | None = None,
    max_drop: float | None = None,
) -> Artifact:
    """Export a run's best model, and compare it with its checkpoint on the run's own test pictures.

    The folder gets the model's file, ``model.json`` and ``README.md``. Where the gate refuses the model, it is called
    ``OUT.failed``, so that nothing takes it for a good one.

    Args:
        run: the run folder.
        format: a name of :data:`mobilevision.deploy.formats.FORMATS`.
        quantize: None for float32; ``int8``, whose ranges come from training pictures; or ``float16``.
        keep_float: layers that stay in float32 under ``int8``, such as ``head.classifiers.0``.
        calibration_samples: training pictures that ``int8`` takes its ranges from, at equal distances.
        out: the folder; None is ``exports/<format>[-<quantize>]`` in the run folder. An earlier export is replaced.
        input: type of the pixels that go in; 0 to 255 in either case.
        gate_samples: pictures that the gate looks at, at equal distances; None takes all, 0 leaves the gate out.
        max_drop: how far the task's primary metric may fall, where that is no chance; None is 0.005, of int8 0.015.

    Returns:
        The exported model.

    Raises:
        UserError: the gate refuses the model, or anything else that the user can mend.
    """
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.runs.exporting.subject import calibration_of, subject_of

    form, name = find_format(format), quantize or "float32"
    form.can_write(name)
    subject = subject_of(run, gated=gate_samples != 0)
    place = form.name if quantize is None else f"{form.name}-{quantize}"
    target = Path(out) if out is not None else subject.folder.path / "exports" / place
    _check_free(target)
    seen = calibration_of(run, calibration_samples) if name == "int8" else None
    precision = Precision(name, seen, tuple(keep_float))
    most = max_drop if max_drop is not None else MAX_DROP[name]
    task, spec = subject.task, subject.task.data_spec
    dtype: InputType = "uint8" if input == "uint8" else "float32"
    with _workplace(target) as work:
        graph = Graph(task, shape=(spec.channels, *spec.resolution), dtype=dtype)
        form.write(graph, work / form.file, precision)
        manifest = _manifest(graph, form, precision, subject.folder, work)
        manifest.write(work)
        artifact, verdict = Artifact(work), None
        if subject.source is not None:
            from mobilevision.runs.exporting.gate import gate

            verdict = gate(task, artifact, subject.source, split=subject.split, samples=gate_samples, max_drop=most)
        return _finish(manifest, verdict, work, target)


def _finish(manifest: Manifest, verdict: Verdict | None, work: Path, target: Path) -> Artifact:
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.runs.exporting.card import card
    from mobilevision.runs.exporting.saying import refused, say

    judged = replace(manifest, about={**manifest.about, "gate": None if verdict is None else verdict.facts})
    judged.write(work)
    (work / CARD).write_text(card(judged), encoding="utf-8")
    failed = verdict is not None and bool(verdict.failures)
    place = target.with_name(f"{target.name}.failed") if failed else target
    place.mkdir(parents=True, exist_ok=True)
    for name in (
        *(file.name for file in judged.files),
        CARD,
        NAME,
    ):  # the description last: a folder without it is no artifact
        os.replace(work / name, place / name)
    say(judged, place)
    if verdict is not None and failed:
        raise refused(verdict, place)
    return Artifact(place)


def _manifest(graph: Any, form: Format, precision: Precision, folder: RunFolder, work: Path) -> Manifest:
    from mobilevision.deploy.preprocessing import Preprocessing
    from mobilevision.runs.exporting.about import about

    task = graph.task
    spec, crop = task.data_spec, task.backbone.preset.crop
    height, width = spec.resolution
    found = about(task, folder, form.modules(precision.name))
    return Manifest(
        task=found.pop("task"),
        answer=task.answers,
        format=form.name,
        precision=precision.name,
        file=ModelFile.of(work / form.file),
        classes=spec.classes,
        input=graph.port.of(form.batch),
        preprocessing=Preprocessing(spec.fit, crop, spec.channels, height, width),
        outputs=tuple(port.of(form.batch) for port in graph.outputs),
        decision=task.decision,
        facts=task.facts(),
        about={**found, **_quantised(precision), "made": datetime.now().isoformat(timespec="seconds")},
        parts=tuple(ModelFile.of(work / name) for name in form.parts),
    )


def _quantised(precision: Precision) -> dict[str, Any]:
    if precision.calibration is None:
        return {}
    return {"quantised": {"calibration_pictures": len(precision.calibration), "float_layers": list(precision.keep)}}


def _check_free(target: Path) -> None:
    """Refuse to write among other things than an earlier export."""
    if target.is_file():
        raise UserError(f"--out {target}: a file of that name is there; name a folder")
    if target.is_dir() and any(target.iterdir()) and not is_artifact(target):
        raise UserError(f"--out {target}: the folder holds other things; name a new one, or an earlier export")


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards: what breaks off leaves nothing that looks finished."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        yield Path(work)
