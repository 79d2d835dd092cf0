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
    from mobilevision.runs.exporting.subject import Subject

MAX_DROP = {"float32": 0.005, "float16": 0.005, "int8": 0.015}
"""How far the primary metric may fall by default, for each precision."""

_BLAMED = 8  # layers that are told


def export(
    run: str | Path | Sequence[str],
    *,
    format: str = "onnx",
    quantize: Literal["int8", "float16"] | None = None,
    keep_float: Sequence[str] = (),
    calibration_samples: int = 200,
    finetune_epochs: int = 0,
    out: str | Path | None = None,
    input: Literal["uint8", "float"] = "uint8",
    gate_samples: int | None = None,
    max_drop: float | None = None,
    raw: bool = False,
    latency: bool = True,
    license: str | None = None,
) -> Artifact:
    """Export a run's best model, or pretrained weights, and compare file and checkpoint on the same test pictures.

    The folder gets the model's file, ``model.json`` and ``README.md``. Where the gate refuses the model, it is called
    ``OUT.failed``, so that nothing takes it for a good one.

    Args:
        run: the run folder, whose own test pictures are looked at; or overrides that name weights and perhaps data,
            ``["backbone.weights=timm", "data=imagenet", "data.root=ILSVRC"]``. Without data nothing is compared.
        format: a name of :data:`mobilevision.deploy.formats.FORMATS`.
        quantize: None for float32; ``int8``, whose ranges come from training pictures; or ``float16``.
        keep_float: layers that stay in float32 under ``int8``, such as ``head.classifiers.0``.
        calibration_samples: training pictures that ``int8`` takes its ranges from, at equal distances.
        finetune_epochs: go on training for so long before ``int8``, with the rounding felt; the run stays as it is.
        out: the folder; None is ``exports/<format>[-<quantize>][-raw]`` in the run folder. An earlier export is
            replaced.
        input: type of the pixels that go in; 0 to 255 in either case.
        gate_samples: pictures that the gate looks at, at equal distances; None takes all, 0 leaves the gate out.
        max_drop: how far the task's primary metric may fall, where that is no chance; None is 0.005, of int8 0.015.
        raw: leave decoding outside, for targets without non-maximum suppression: a one-stage detector's ``logits`` and
            ``deltas``, and ``decode.py`` beside them.
        latency: take the time of a picture on this machine, for the card.
        license: under which it may be used, as hubs call it, such as ``apache-2.0``; None is not known.

    Returns:
        The exported model.

    Raises:
        UserError: the gate refuses the model, or anything else that the user can mend.
    """
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.deploy.simulated_int8 import layer_names
    from mobilevision.runs.exporting.latency import with_latency
    from mobilevision.runs.exporting.raw import decoding_left
    from mobilevision.runs.exporting.subject import calibration_of, subject_of

    form, name = find_format(format), quantize or "float32"
    form.can_write(name)
    if name != "int8" and (keep_float or finetune_epochs):
        raise UserError("--keep-float and --finetune-epochs are about int8: add --quantize int8, or leave them out")
    subject = subject_of(run, gated=gate_samples != 0)
    place = "-".join([form.name, *([quantize] if quantize else []), *(["raw"] if raw else [])])
    target = _target(out, subject, place)
    _check_free(target)
    left = decoding_left(subject.task) if raw else None
    seen = calibration_of(run, calibration_samples) if name == "int8" else None
    precision = Precision(name, seen, tuple(keep_float))
    precision.check(layer_names(subject.task))
    most = max_drop if max_drop is not None else MAX_DROP[name]
    task = source = subject.task
    spec = task.data_spec
    if finetune_epochs:
        from mobilevision.runs.exporting.finetuning import finetune

        if not isinstance(run, str | Path):
            raise UserError("--finetune-epochs: weights without a run have no recipe to train on with; leave it out")
        source = finetune(run, epochs=finetune_epochs, precision=precision)
        source.decision = task.decision
    dtype: InputType = "uint8" if input == "uint8" else "float32"
    with _workplace(target) as work:
        graph = Graph(source, shape=(spec.channels, *spec.resolution), dtype=dtype, raw=raw)
        form.write(graph, work / form.file, precision)
        manifest = _manifest(graph, form, precision, subject, work, finetune_epochs)
        manifest = replace(manifest, about={**manifest.about, "license": license})
        if left is not None:
            manifest = replace(manifest, answer=left.answer, facts=left.facts)
        manifest.write(work)
        if latency:
            manifest = with_latency(manifest, work)
        artifact, verdict = Artifact(work), None
        if subject.source is not None:
            from mobilevision.runs.exporting.gate import gate

            verdict = gate(
                task, artifact, subject.source, origin=source, split=subject.split, samples=gate_samples, max_drop=most
            )
            if verdict.failures and name == "int8":
                manifest = _blamed(manifest, form.noise(work / form.file, precision))
        return _finish(manifest, verdict, work, target)


def _finish(manifest: Manifest, verdict: Verdict | None, work: Path, target: Path) -> Artifact:
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.runs.exporting.card import card
    from mobilevision.runs.exporting.raw import write_beside
    from mobilevision.runs.exporting.saying import refused, say

    judged = replace(manifest, about={**manifest.about, "gate": None if verdict is None else verdict.facts})
    judged.write(work)
    (work / CARD).write_text(card(judged), encoding="utf-8")
    failed = verdict is not None and bool(verdict.failures)
    place = target.with_name(f"{target.name}.failed") if failed else target
    place.mkdir(parents=True, exist_ok=True)
    own = [file.name for file in judged.files]
    for name in (*own, *write_beside(judged, work), CARD, NAME):  # the description last: without it, it is no artifact
        os.replace(work / name, place / name)
    say(judged, place)
    if verdict is not None and failed:
        raise refused(verdict, judged, place)
    return Artifact(place)


def _target(out: str | Path | None, subject: Subject, place: str) -> Path:
    if out is not None:
        return Path(out)
    if subject.home is None:
        raise UserError("--out: weights have no run folder to lie in; name a folder for the model")
    return subject.home / "exports" / place


def _manifest(
    graph: Any, form: Format, precision: Precision, subject: Subject, work: Path, finetune_epochs: int
) -> Manifest:
    from mobilevision.deploy.preprocessing import Preprocessing
    from mobilevision.runs.exporting.about import about

    task = graph.task
    spec, crop = task.data_spec, task.backbone.preset.crop
    height, width = spec.resolution
    found = about(subject, form.modules(precision.name))
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
        about={**found, **_quantised(precision, finetune_epochs), "made": datetime.now().isoformat(timespec="seconds")},
        parts=tuple(ModelFile.of(work / name) for name in form.parts),
    )


def _quantised(precision: Precision, finetune_epochs: int) -> dict[str, Any]:
    if precision.calibration is None:
        return {}
    pictures, kept = len(precision.calibration), list(precision.keep)
    return {"quantised": {"calibration_pictures": pictures, "float_layers": kept, "finetune_epochs": finetune_epochs}}


def _blamed(manifest: Manifest, noise: dict[str, float]) -> Manifest:
    """With the layers that hurt most, of those that the format could tell."""
    worst = [{"layer": name, "noise": share} for name, share in list(noise.items())[:_BLAMED]]
    quantised = {**manifest.about["quantised"], "layers_that_hurt": worst}
    return replace(manifest, about={**manifest.about, "quantised": quantised})


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
