"""Export: write the graph and its description, let both models be compared, then give the folder its name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.formats import Format, find_format
from mobilevision.deploy.formats.micro import Micro
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.onnx_compatibility import DEFAULT_OPSET, OPSETS
from mobilevision.deploy.manifest import CARD, NAME, Manifest, is_artifact
from mobilevision.errors import UserError
from mobilevision.exporting.card import check_license
from mobilevision.exporting.targets import Target, chosen, find_target, spelled
from mobilevision.io.quantities import quantity
from mobilevision.io.regular_files import check_own_part

if TYPE_CHECKING:
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.graph import InputType
    from mobilevision.deploy.precision import Precision, PrecisionName
    from mobilevision.exporting.gate import Verdict
    from mobilevision.exporting.subject import Subject


# What an export is asked for, checked before any work.

_TYPES: dict[str, InputType] = {"uint8": "uint8", "float": "float32"}


def check_comparable(run: str | Path | Sequence[str], samples: int | None, max_drop: float | None) -> None:
    """See that there are images to compare on, where somebody says how to compare.

    Raises:
        UserError: weights without data, with an option of the gate.
    """
    from mobilevision.exporting.subject import names_data

    if isinstance(run, str | Path) or names_data(run):
        return
    given = f"--gate-samples {samples}" if samples else f"--max-drop {max_drop:g}" if max_drop is not None else None
    if given is not None:
        raise UserError(f"{given}: weights bring no images to compare on: add data=auto data.root=IMAGES")


# Where an exported model goes: nothing else is overwritten, and what breaks off leaves nothing that looks finished.


def target_of(out: str | Path | None, home: Path | None, name: str) -> Path:
    """The folder for a model.

    Args:
        out: what the user says.
        home: the run folder, if there is one.
        name: of the folder in there, where the user says nothing.

    Raises:
        UserError: neither is there, or other things than an earlier export lie in it.
    """
    if out is None and home is None:
        raise UserError("--out: weights have no run folder to lie in; name a folder for the model")
    target = Path(out) if out is not None else Path(home or "") / "exports" / name
    if out is None:
        check_own_part(target.parent, "folder")
    for place in (target, _refused_folder(target)):
        if out is None:
            check_own_part(place, "folder")
        if place.is_file():
            raise UserError(f"--out {target}: {place} is a file; name another folder")
        if place.is_dir() and any(place.iterdir()) and not is_artifact(place):
            raise UserError(f"--out {target}: {place} holds other things; name a new folder, or an earlier export")
    return target


def _refused_folder(target: Path) -> Path:
    """Where a model goes that the gate refuses."""
    return target.with_name(f"{target.name}.failed")


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards.

    Raises:
        UserError: no folder can be made there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UserError(f"--out {target}: no folder can be made there ({error.strerror}); name another") from None
    with folder as work:
        yield Path(work)


def put(work: Path, names: Sequence[str], target: Path, *, failed: bool) -> Path:
    """Move files to where they belong, in this order, and say where that is; a refused model is told by its name."""
    place = _refused_folder(target) if failed else target
    if is_artifact(place):
        _clear(place)
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.replace(work / name, place / name)
    return place


def _clear(place: Path) -> None:
    """Take an earlier export away, and the evaluations of it: nothing there is to be taken for the new one's."""
    try:
        earlier = Manifest.read(place)
        names = {file.name for file in earlier.files} | set(find_answer(earlier, str(place)).beside)
        names |= set(find_format(earlier.format).beside)
    except UserError:  # of another version, or broken
        names = set()
    for name in (NAME, CARD, *names):
        (place / name).unlink(missing_ok=True)
    shutil.rmtree(place / "evaluations", ignore_errors=True)


MAX_DROP = {"float32": 0.005, "float16": 0.005, "int8": 0.015}
"""How far the primary metric may fall by default, for each precision."""


def export(
    run: str | Path | Sequence[str],
    *,
    target: str | None = None,
    format: str | None = None,
    quantize: Literal["int8", "float16", "float32"] | None = None,
    keep_float: str | Sequence[str] = (),
    calibration_samples: int = 200,
    finetune_epochs: int = 0,
    out: str | Path | None = None,
    input: Literal["uint8", "float"] | None = None,
    gate_samples: int | None = None,
    max_drop: float | None = None,
    raw: bool | None = None,
    batch: int | None = None,
    opset: int | None = None,
    max_arena: str | int | None = None,
    latency: bool = True,
    license: str | None = None,
) -> Artifact:
    """Export a run's best model, or pretrained weights, and compare file and checkpoint on the same test images.

    The folder gets the model's file, ``model.json`` and ``README.md``. Where the gate refuses the model, it is called
    ``OUT.failed``, so that nothing takes it for a good one.

    Args:
        run: the run folder, whose own test images are looked at; or overrides that name weights and perhaps data,
            ``["backbone.weights=timm", "data=imagenet", "data.root=ILSVRC"]``. Without data nothing is compared.
        target: a name of :data:`mobilevision.exporting.targets.TARGETS`: what ``format``, ``quantize``, ``input``,
            ``batch`` and ``raw`` are where they are None, else ``onnx`` with any batch of uint8 in float32.
        format: a name of :data:`mobilevision.deploy.formats.FORMATS`.
        quantize: ``int8``, whose ranges come from training images, ``float16`` or ``float32``.
        keep_float: a layer, or layers, that stay in float32 under ``int8``, such as ``head.classifiers.0``.
        calibration_samples: training images that ``int8`` takes its ranges from, at equal distances.
        finetune_epochs: go on training for so long before ``int8``, with the rounding felt; the run stays as it is.
        out: the folder; None is ``exports/<format>`` in the run folder, and what else is said behind that, such as
            ``onnx-int8-raw``. An earlier export is replaced.
        input: type of the pixels that go in; 0 to 255 in either case.
        gate_samples: images that the gate looks at, at equal distances; None takes all, 0 leaves the gate out.
        max_drop: how far the task's primary metric may fall, where that is no chance; None is 0.005, of int8 0.015.
        raw: leave decoding outside, for targets without non-maximum suppression: a one-stage detector's ``logits`` and
            ``deltas``, and ``decode.py`` beside them.
        batch: of ``onnx``: 1 for a file that takes one image at a time, as phones' accelerators want it; None takes any
            number. ``executorch`` and ``litert`` take one in any case.
        opset: of ``onnx``: the operator set, for older runtimes; None is 18, which ONNX Runtime has from 1.14 on.
        max_arena: of ``micro``: the largest tensor arena that the board has room for, in bytes or as ``256k``.
        latency: take the time of an image on this machine, for the card.
        license: under which it may be used, as hubs call it, such as ``apache-2.0``; None is not known.

    Returns:
        The exported model.

    Raises:
        UserError: the gate refuses the model, or anything else that the user can mend.
    """
    check_license(license)
    wanted = find_target(target) if target is not None else Target("")
    options = chosen(wanted, {"format": format, "quantize": quantize, "input": input, "batch": batch})
    name: PrecisionName = options["quantize"]
    form, input = _format(options["format"], options["batch"], opset, max_arena), options["input"]
    keep_float = (keep_float,) if isinstance(keep_float, str) else keep_float
    if input not in _TYPES:
        raise UserError(f"input={input}: there are {', '.join(_TYPES)}")
    if input == "float" and isinstance(form, Micro):
        raise UserError("--input float: format micro takes pixels as int8; leave it out")
    numbers = {"gate_samples": gate_samples, "calibration_samples": calibration_samples}
    for key, value in {**numbers, "finetune_epochs": finetune_epochs}.items():
        if value is not None and value < (least := int(key == "calibration_samples")):
            raise UserError(f"{key}={value}: it has to be at least {least}")
    form.can_write(name)
    if name == "int8" and wanted.no_int8:
        raise UserError(f"--for {target} --quantize int8: {wanted.no_int8}; take float16, or leave --quantize out")
    if name != "int8" and (keep_float or finetune_epochs):
        raise UserError("--keep-float and --finetune-epochs are about int8: add --quantize int8, or leave them out")
    check_comparable(run, gate_samples, max_drop)
    from mobilevision.deploy.artifact import Artifact  # imports torch: after the checks, which take no time
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import FLOAT32
    from mobilevision.exporting.description import decoding_left, described
    from mobilevision.exporting.gate import gate, with_latency
    from mobilevision.exporting.subject import subject_of

    subject = subject_of(run, gated=gate_samples != 0)
    spec = subject.task.data_spec
    if not form.decodes and subject.task.followed_of_parts and _has_boxes(subject.task):
        raise UserError(f"--format {form.name}: a detector among several parts cannot be decoded there; take litert")
    if raw is None:
        raw = (wanted.raw and _suppresses(subject.task)) or (not form.decodes and subject.task.raw_answers is not None)
    if not raw and not form.decodes and subject.task.raw_answers is not None:
        raise UserError(f"--format {form.name} cannot decode boxes: leave --decoded out")
    if target is not None:
        print(f"for {target}: {spelled({**options, 'raw': raw})}  ({wanted.why})")
    marks = ["" if name == "float32" else name, "raw" if raw else "", "float" if input == "float" else ""]
    marks += ["batch1" if isinstance(form, Onnx) and form.batch else "", f"opset{opset}" if opset else ""]
    folder = target_of(out, subject.home, "-".join([form.name, *filter(None, marks)]))
    undecoded = decoding_left(subject.task, decodes=form.decodes) if raw else None
    if opset is not None and name == "int8":  # whether the model has operators of it, before the long work
        with tempfile.TemporaryDirectory() as tried:
            graph = Graph(subject.task, shape=(spec.channels, *spec.resolution), dtype=_TYPES[input], raw=raw)
            form.write(graph, Path(tried) / form.file, FLOAT32)
    precision = _precision(run, subject, name, keep_float, calibration_samples)
    source = _trained_on(run, subject, finetune_epochs, precision, form.weight_steps)
    with workplace(folder) as work:
        graph = Graph(source, shape=(spec.channels, *spec.resolution), dtype=_TYPES[input], raw=raw)
        form.write(graph, work / form.file, precision)
        wanted.check(str(target), work / form.file)
        extra: Any = {"undecoded": undecoded, "finetune_epochs": finetune_epochs, "license": license}
        manifest = described(graph, form, precision, subject, work, **extra)
        manifest.write(work)
        if latency:
            manifest = with_latency(manifest, work)
        most = MAX_DROP[name] if max_drop is None else max_drop
        manifest, verdict = gate(manifest, form, graph, precision, subject, work, samples=gate_samples, max_drop=most)
        return Artifact(_finished(manifest, verdict, work, folder))


def _suppresses(task: Any) -> bool:
    """Whether its graph suppresses boxes that could be left to whoever runs it."""
    return task.raw_answers is not None and not task.followed_of_parts and not getattr(task.head, "one_to_one", False)


def _has_boxes(task: Any) -> bool:
    """Whether one of several parts finds boxes."""
    return any(part.raw_answers is not None for part in task.parts.values())


def _format(name: str, batch: int | None, opset: int | None, max_arena: str | int | None) -> Format:
    """The format, with what is said of one alone."""
    form = find_format(name)
    if max_arena is not None:
        if not isinstance(form, Micro):
            raise UserError(f"--max-arena {max_arena}: only --format micro has a tensor arena; leave it out")
        form = Micro(int(quantity("arena", str(max_arena))))
    if batch not in (None, 1) and form.batch == 1:
        raise UserError(f"--batch {batch}: format {form.name} takes one image at a time; leave it out")
    if batch not in (None, 1):
        raise UserError(f"--batch {batch}: a file takes one image (--batch 1), or any number where you leave it out")
    if opset is not None and opset not in OPSETS:
        raise UserError(f"--opset {opset}: there are {min(OPSETS)} to {max(OPSETS)}")
    if isinstance(form, Onnx):
        return Onnx(batch, DEFAULT_OPSET if opset is None else opset)
    if opset is not None:
        raise UserError(f"--opset {opset}: only --format onnx has operator sets; leave it out")
    if batch is not None and form.batch != batch:
        raise UserError(f"--batch {batch}: format {form.name} takes any number of images; leave it out")
    return form


def _precision(
    run: str | Path | Sequence[str], subject: Subject, name: PrecisionName, keep: Sequence[str], samples: int
) -> Precision:
    from mobilevision.deploy.precision import FLOAT32, Precision

    if name != "int8":
        return replace(FLOAT32, name=name)
    from mobilevision.exporting.finetuning import layer_names
    from mobilevision.exporting.subject import calibration_of

    Precision(name, None, tuple(keep)).check(layer_names(subject.task))
    return Precision(name, calibration_of(run, samples), tuple(keep))


def _trained_on(
    run: str | Path | Sequence[str], subject: Subject, epochs: int, precision: Precision, weight_steps: int
) -> Any:
    """The task that is written: the run's, or the same after some epochs more."""
    if not epochs:
        return subject.task
    if not isinstance(run, str | Path):
        raise UserError("--finetune-epochs: weights without a run have no recipe to train on with; leave it out")
    from mobilevision.exporting.finetuning import finetune

    task = finetune(run, epochs=epochs, precision=precision, weight_steps=weight_steps)
    task.decision = subject.task.decision
    return task


def _finished(manifest: Manifest, verdict: Verdict | None, work: Path, target: Path) -> Path:
    """Where the folder is, complete.

    Raises:
        UserError: the gate refuses it; then it is complete, too.
    """
    from mobilevision.exporting.card import card, print_summary, refusal
    from mobilevision.exporting.description import write_beside

    final = replace(manifest, about={**manifest.about, "gate": None if verdict is None else verdict.facts})
    final.write(work)
    (work / CARD).write_text(card(final), encoding="utf-8")
    own = [*(file.name for file in final.files), *find_format(final.format).beside]
    names = [*own, *write_beside(final, work), CARD, NAME]  # the description last: without it, it is no artifact
    place = put(work, names, target, failed=verdict is not None and bool(verdict.failures))
    print_summary(final, place)
    if verdict is not None and verdict.failures:
        raise refusal(verdict, final, place)
    return place
