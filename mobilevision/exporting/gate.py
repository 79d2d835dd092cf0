"""The gate: an exported model and its checkpoint on the same images, each by its own way from the files on.

Whether the exported model may be used, and if not, what would help.
"""

from __future__ import annotations

import math
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.data.identities import IdentityTargets
from mobilevision.data.loader import BatchSource
from mobilevision.data.multitask import MultitaskTargets
from mobilevision.deploy.answers import Agreed, Parts
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.evaluation.exported_model import prepared_pixels
from mobilevision.exporting import emulated
from mobilevision.metrics import TaskMetric
from mobilevision.metrics.multitask import MultitaskMetrics
from mobilevision.metrics.verification import VerificationMetrics
from mobilevision.ops.rows import take
from mobilevision.reports.summary import part_and_name

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.subject import Subject
    from mobilevision.tasks.base import Task


# How long one image takes on the machine that exported the model: an impression for the card, not a benchmark.

_SECONDS = 1.0
_MOST = 50
_WARM = 3


def with_latency(manifest: Manifest, folder: Path) -> Manifest:
    """The description with ``latency``: median and quartiles in milliseconds of one image on one thread.

    Args:
        manifest: already in the folder.
        folder: of the exported model.
    """
    model = Artifact(folder, threads=1)
    shape = (1, model.channels, *model.resolution)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    started = time.perf_counter()
    times: list[float] = []
    while len(times) < _MOST + _WARM and (len(times) < _WARM + 2 or time.perf_counter() - started < _SECONDS):
        before = time.perf_counter()
        model.outputs(image)
        times.append(1e3 * (time.perf_counter() - before))
    first, median, third = statistics.quantiles(times[_WARM:], n=4, method="inclusive")
    found = {
        **{"milliseconds": round(median, 3), "quartiles": [round(first, 3), round(third, 3)]},
        **{"runs": len(times) - _WARM, "threads": 1, "batch": 1, "processor": processor()},
    }
    return replace(manifest, about={**manifest.about, "latency": found})


def processor() -> str:
    """The name of this machine's processor."""
    return emulated.cpu_info("model name") or platform.processor() or platform.machine()


# What an export does to each class, and the classes that it hurts most.

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
_SHOWN = 5
_TABLES = {"per_class": ("class", ("accuracy", "ap")), "per_attribute": ("attribute", ("ap",))}


def by_class(before: Tables, after: Tables) -> list[dict[str, Any]]:
    """Rows of class, metric, checkpoint, artifact and drop, in the order of the classes.

    Args:
        before: the checkpoint's tables by name.
        after: the exported model's.
    """
    rows = []
    for table in before:
        part, kind = part_and_name(table)
        key, columns = _TABLES.get(kind, ("", ()))
        for first, second in zip(before[table], after.get(table, ()), strict=True) if key else ():
            column = next((name for name in columns if name in first), None)
            if column is None or first[column] is None or second[column] is None:
                continue
            drop = float(first[column]) - float(second[column])
            row = {
                "class": f"{part}{first[key]}",
                "metric": column,
                "checkpoint": first[column],
                "artifact": second[column],
            }
            rows.append({**row, "drop": drop})
    return rows


def worst(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of :func:`by_class` that fall most; none where none falls."""
    return sorted((row for row in rows if row["drop"] > 0), key=lambda row: -row["drop"])[:_SHOWN]


# Two models on the same images: what each predicts, what each is worth, and whether the difference is chance.

_RESAMPLES = 200
_AGREEMENT_RESAMPLES = 1000  # of sums alone, which cost nothing
_SURE = 0.05


@final
class Paired:
    """Predictions of two models for the same samples, and their targets.

    Args:
        metric: makes a fresh metric.
        repeats: whether a sample may be measured twice at once; pairs of images compare each with each, and an
            image with itself would be a pair too many.
    """

    def __init__(self, metric: Callable[[], TaskMetric], *, repeats: bool = True) -> None:
        self.metric, self.repeats = metric, repeats
        self.batches: list[tuple[dict[str, Tensor], dict[str, Tensor], Any]] = []
        self.starts = [0]

    def add(self, first: dict[str, Tensor], second: dict[str, Tensor], target: Any) -> None:
        """A batch of both models' predictions."""
        self.batches.append((first, second, target))
        self.starts.append(self.starts[-1] + len(next(iter(first.values()))))

    def measured(self, *, first_only: bool = False) -> list[TaskMetric]:
        """The metric of each model over all samples; or of the first alone, where the second's outputs hold NaN."""
        return self._measure(np.arange(self.starts[-1]), 1 if first_only else 2)

    def chance(self, difference: Callable[[TaskMetric, TaskMetric], float]) -> float:
        """How often resampled images show no positive difference: a one-sided paired bootstrap.

        Where samples must not repeat, random halves are taken instead, whose spread is that of the whole.

        Args:
            difference: of two metrics.

        Returns:
            A share from 0 to 1; below ``_SURE`` it is hardly chance.
        """
        rng, count = np.random.default_rng(0), self.starts[-1]
        none = 0
        for _ in range(_RESAMPLES):
            drawn = rng.integers(0, count, count) if self.repeats else rng.permutation(count)[: max(2, count // 2)]
            none += not difference(*self._measure(drawn)) > 0
        return none / _RESAMPLES

    def _measure(self, places: NDArray[np.int64], models: int = 2) -> list[TaskMetric]:
        metrics, ordered = [self.metric() for _ in range(models)], np.sort(places)
        bounds = np.searchsorted(ordered, self.starts)
        for number, batch in enumerate(self.batches):
            low, high = bounds[number : number + 2]
            if low == high:
                continue
            rows = torch.from_numpy(ordered[low:high] - self.starts[number])
            first, second, target = (take(each, rows) for each in batch)
            target = _numbered(target, torch.arange(low, high))
            for metric, prediction in zip(metrics, (first, second)[:models], strict=True):
                metric.update(prediction, target)
        return metrics


def _numbered(target: Any, images: Tensor) -> Any:
    """Targets with new numbers for their images: one that is drawn twice is two images."""
    if not isinstance(target, dict):
        return target
    found = {name: _numbered(value, images) for name, value in target.items()}
    return {**found, "image": images} if "image" in found else found


def agreement_chance(same: NDArray[np.float64], of: NDArray[np.float64], least: float) -> float:
    """How probable it is to see so little agreement of two models that agree on ``least`` of all there is.

    Where every image gives one yes or no, this is the exact one-sided binomial test. Where an image gives several,
    which are not independent of each other, or a cosine, it is a bootstrap over images.

    Args:
        same: [N], how much of an image's ``of`` both models say alike.
        of: [N], how much there is.
        least: the share to compare with, 0 to 1.

    Returns:
        A share from 0 to 1; see :func:`is_chance`.
    """
    if (of == 1).all() and np.isin(same, (0, 1)).all():
        from scipy.stats import binom

        return float(binom.cdf(same.sum(), len(same), least))
    rng, enough = np.random.default_rng(0), 0
    for _ in range(_AGREEMENT_RESAMPLES):
        drawn = rng.integers(0, len(same), len(same))
        enough += bool(same[drawn].sum() >= least * of[drawn].sum())
    return enough / _AGREEMENT_RESAMPLES


def is_chance(share: float) -> bool:
    """Whether what is seen may be chance, where it is as probable as this."""
    return share >= _SURE


LEAST = 0.97
"""Agreement below which an exported model is refused, where so little is no chance."""

LEAST_ALIKE = 0.75
"""Of the probability, what an exported model has to put on the checkpoint's classes, on average over images. int8 that
works keeps more than 0.9; one that is broken may still name the class of one image in two."""

_BATCH = 32
_REMEDY_COUNTS = (1, 2, 4, 8)  # further layers left in float32, tried before they are advised
_EMULATED = 4  # images; emulation takes some hundred times as long


@final
@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Attributes:
        facts: plain values, as model.json and the card have them.
        failures: why the model must not be used; none where it may.
        compared: False where there was nothing to compare, so that no other file of the same model would pass.
    """

    facts: dict[str, Any]
    failures: tuple[str, ...]
    compared: bool = True


def gate(
    manifest: Manifest,
    form: Format,
    graph: Graph,
    precision: Precision,
    subject: Subject,
    work: Path,
    *,
    samples: int | None,
    max_drop: float,
) -> tuple[Manifest, Verdict | None]:
    """Compare the file in ``work`` with its checkpoint; for int8 that is refused, look for a remedy, too.

    Args:
        manifest: describes the file.
        form: its format.
        graph: what was written.
        precision: how.
        subject: the checkpoint's model, and the images as its evaluation sees them.
        work: the folder with the file.
        samples: at most so many images, at equal distances; None for all.
        max_drop: of the metric that the run follows, in its own unit.

    Returns:
        The manifest, with what was found of a remedy; and the verdict, None where there are no images to compare on.
    """
    if subject.source is None:
        return manifest, None

    def judge_folder(folder: Path) -> Verdict:
        parts = tuple(ModelFile.of(folder / name) for name in form.parts)
        replace(manifest, file=ModelFile.of(folder / form.file), parts=parts).write(folder)
        return _compare(subject, Artifact(folder), graph.task, samples, max_drop)

    verdict = judge_folder(work)
    if not verdict.failures or not verdict.compared or precision.name != "int8":
        return manifest, verdict
    quantised = {**manifest.about["quantised"], **remedy(form, graph, precision, work, judge_folder)}
    return replace(manifest, about={**manifest.about, "quantised": quantised}), verdict


def _compare(subject: Subject, artifact: Artifact, origin: Any, samples: int | None, max_drop: float) -> Verdict:
    """Run both models on the same images; agreement is with ``origin``, which may be the task trained further."""
    task, source = subject.task, subject.source
    assert source is not None
    compared = Compared(artifact)
    paired = Paired(lambda: _metric(task, source.records), repeats=not _has_identities(source.records.targets))
    for batch in _batches(source, samples):
        pixels = prepared_pixels(artifact, source.records, batch["index"].tolist())
        mine, theirs = _predicted(task, batch["image"]), artifact.outputs(pixels)
        reference = mine if origin is task else _predicted(origin, batch["image"])
        compared.add(batch["image"].numpy(), pixels, reference, theirs)
        paired.add(mine, {name: torch.from_numpy(value) for name, value in theirs.items()}, batch["target"])
    return judge(task, paired, compared, split=subject.split, of=len(source), max_drop=max_drop)


def remedy(
    form: Format, graph: Graph, precision: Precision, work: Path, judge_folder: Callable[[Path], Verdict]
) -> dict[str, Any]:
    """Leave the layers that int8 hurts most in float32, more and more of them, until the gate lets the model pass.

    Args:
        form: the format.
        graph: what was written.
        precision: as it was written.
        work: the folder of the refused model.
        judge_folder: the gate, for a folder with another file.

    Returns:
        As in model.json: ``layers_that_hurt``, the worst first, empty where the format cannot tell; and ``remedy``, the
        layers to keep in float32 with the agreement that this reaches, None where none of those tried pass.
    """
    noise = form.noise(work / form.file, precision)
    worst = [{"layer": name, "noise": share} for name, share in list(noise.items())[: _REMEDY_COUNTS[-1]]]
    for count in _REMEDY_COUNTS if noise else ():
        keep = (*precision.keep, *list(noise)[:count])
        with tempfile.TemporaryDirectory(dir=work) as folder:
            form.write(graph, Path(folder) / form.file, replace(precision, keep=keep))
            verdict = judge_folder(Path(folder))
        if not verdict.failures:
            kept = {"keep_float": list(keep), "agreement": float(verdict.facts["agreement"])}
            return {"layers_that_hurt": worst, "remedy": kept}
    return {"layers_that_hurt": worst, "remedy": None}


@final
class Compared:
    """What both predict for each image."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact, self.answer = artifact, artifact.answer
        self.first: tuple[NDArray[Any], dict[str, NDArray[Any]]] | None = None
        self.agreed: list[Agreed] = []
        self.agreed_by_part: dict[str, list[Agreed]] = {}
        self.alike: list[float] = []
        self.same_detections: list[bool] = []
        self.equal = 0
        self.largest: dict[str, float] = {}
        self.not_finite: set[str] = set()

    def add(self, seen: NDArray[Any], pinned: NDArray[Any], mine: dict[str, Tensor], theirs: Any) -> None:
        """A batch: the pixels and the predictions of both."""
        arrays = {name: value.numpy() for name, value in mine.items()}
        if self.first is None:
            self.first = pinned[:_EMULATED], {name: value[:_EMULATED] for name, value in theirs.items()}
        for place in range(len(seen)):
            first, second = ({name: each[name][place] for name in theirs} for each in (arrays, theirs))
            self.agreed.append(self.answer.agree(first, second))
            if isinstance(self.answer, Parts):
                for name, agreed in self.answer.agree_by_part(first, second).items():
                    self.agreed_by_part.setdefault(name, []).append(agreed)
            if (alike := self.answer.alike(first, second)) is not None:
                self.alike.append(alike)
            if (same := self.answer.same_detections(first, second)) is not None:
                self.same_detections.append(same)
        self.equal += int((seen == pinned).all(axis=(1, 2, 3)).sum())
        for name, value in theirs.items():
            if value.dtype.kind != "f":
                continue
            if np.isfinite(arrays[name]).all() and not np.isfinite(value).all():
                self.not_finite.add(name)
            elif arrays[name].shape == value.shape:
                gap = float(np.abs(arrays[name] - value).max(initial=0.0))
                self.largest[name] = max(self.largest.get(name, 0.0), gap)

    @property
    def images(self) -> int:
        """How many were compared."""
        return len(self.agreed)

    @property
    def empty(self) -> bool:
        """Whether there was nothing to agree on."""
        return not self._columns()[1].sum()

    @property
    def agreement(self) -> float:
        """A share; NaN where there was nothing to agree on."""
        return _agreement(*self._columns())

    @property
    def chance(self) -> float | None:
        """How probable so little is for a model that agrees on :data:`LEAST`; None where it is no less."""
        return agreement_chance(*self._columns(), LEAST) if self.agreement < LEAST else None

    def agreement_of_parts(self) -> dict[str, float]:
        """The same by part; NaN where there was nothing to agree on."""
        return {name: _agreement(*_columns(agreed)) for name, agreed in self.agreed_by_part.items()}

    def facts(self) -> dict[str, Any]:
        """Plain values for model.json."""
        found = {
            **{"agreement": self.agreement, "agreement_of": self.answer.agreement},
            **{"least_agreement": LEAST, "agreement_chance": self.chance},
        }
        if self.alike:
            found["shared_probability"] = float(np.mean(self.alike))
        if self.same_detections:
            found["images_with_same_detections"] = sum(self.same_detections)
        return {**found, "largest_difference": self.largest}

    def failures(self) -> Iterator[str]:
        """What speaks against the exported model."""
        if self.not_finite:
            yield f"its {', '.join(sorted(self.not_finite))} hold NaN or infinity, where the checkpoint's hold numbers"
        if (chance := self.chance) is not None and not is_chance(chance):
            yield f"agreement {self.agreement:.3f} is below {LEAST} (on {self.images} images, p = {chance:.2g})"
        for name, agreed in self.agreed_by_part.items():
            share = _agreement(*_columns(agreed))
            if share < LEAST and not is_chance(chance := agreement_chance(*_columns(agreed), LEAST)):
                yield f"agreement of {name}, {share:.3f}, is below {LEAST} (on {self.images} images, p = {chance:.2g})"
        if self.alike and (shared := float(np.mean(self.alike))) < LEAST_ALIKE:
            yield f"its probabilities have {shared:.2f} in common with the checkpoint's, less than {LEAST_ALIKE}"

    def without_vnni(self) -> dict[str, Any] | None:
        """The file's outputs for the first images here and on an emulated processor; None where that says nothing."""
        manifest = self.artifact.manifest
        if manifest.precision != "int8" or manifest.format not in emulated.FORMATS or self.first is None:
            return None
        if (path := emulated.emulator()) is None:
            return None
        images, here = self.first
        there = emulated.outputs([path, "-cpu", emulated.PROCESSOR], self.artifact.folder, images)
        told = {"processor": emulated.PROCESSOR}
        if isinstance(there, str):
            return {**told, "not_tried": there}
        rows = [[{name: each[name][at] for name in here} for each in (here, there)] for at in range(len(images))]
        same, of = np.sum([self.answer.agree(one, two) for one, two in rows], axis=0)
        floats = [name for name, value in here.items() if value.dtype.kind == "f"]
        gaps = [float(np.abs(here[name] - there[name]).max(initial=0.0)) for name in floats]
        return {
            **told,
            **{"images": len(images), "agreement": float(same / of) if of else 1.0},
            "largest_difference": max(gaps, default=0.0),
        }

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return _columns(self.agreed)


def _columns(agreed: Sequence[Agreed]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.array(agreed, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _agreement(same: NDArray[np.float64], of: NDArray[np.float64]) -> float:
    return float(same.sum() / of.sum()) if of.sum() else math.nan


def judge(task: Task, paired: Paired, compared: Compared, *, split: str, of: int, max_drop: float) -> Verdict:
    """Say whether the exported model may be used.

    Args:
        task: the checkpoint's model, whose ``followed`` metric decides.
        paired: both models' predictions and the targets.
        compared: what both predict for each image.
        split: the images' name.
        of: how many images the split has.
        max_drop: of the primary metric, in its own unit.
    """
    is_int8 = compared.answer.precision == "int8"
    primary, sign = task.followed, 1.0 if task.followed_mode == "max" else -1.0
    metrics = paired.measured(first_only=bool(compared.not_finite))
    values = [{name: float(value) for name, value in metric.compute().items()} for metric in metrics]
    values += [{}] * (2 - len(values))

    def drop_of(first: TaskMetric, second: TaskMetric) -> float:
        before, after = (float(metric.compute().get(primary, float("nan"))) for metric in (first, second))
        return sign * (before - after)

    drop = sign * (values[0].get(primary, float("nan")) - values[1].get(primary, float("nan")))
    nothing = list(_nothing(primary, values, compared))
    chance = paired.chance(drop_of) if drop > max_drop else None
    failures = [*nothing, *_lost(values, primary)]
    if chance is not None and not is_chance(chance):
        failures.append(f"{primary} falls by {drop:.4f}, more than max-drop {max_drop:g}")
    failures += compared.failures()
    by_part = dict(_by_part(task, paired, compared, values, max_drop)) if compared.agreed_by_part and values[1] else {}
    failures += [failure for part in by_part.values() for failure in part.pop("failures")]
    without_vnni = None if failures else compared.without_vnni()
    if without_vnni is not None and without_vnni.get("agreement", 1.0) < LEAST:
        failures.append(
            f"on a processor without VNNI (emulated: {without_vnni['processor']}) it answers otherwise:"
            f" agreement {without_vnni['agreement']:.3f} on {without_vnni['images']} images"
        )
    classes = by_class(*(metric.tables() for metric in metrics)) if len(metrics) == 2 else []
    facts = {
        **{"split": split, "of": of},
        **{"pictures": compared.images, "pictures_with_equal_pixels": compared.equal},
        **{"primary": primary, "mode": task.followed_mode, "drop": drop, "max_drop": max_drop, "chance": chance},
        **{"checkpoint": values[0], "artifact": values[1]},
        **compared.facts(),
        **({"parts": by_part} if by_part else {}),
        **({"processor": {"name": processor(), "vnni": emulated.has_vnni()}} if is_int8 else {}),
        **({} if without_vnni is None else {"without_vnni": without_vnni}),
        "worst_classes": worst(classes),
        **({"classes": classes} if is_int8 else {}),
        "passed": not failures,
    }
    return Verdict(facts, tuple(failures), compared=not nothing)


def _by_part(
    task: Task, paired: Paired, compared: Compared, values: Sequence[dict[str, float]], max_drop: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each part of several: its agreement, its metric of both models, and why it must not be used."""
    agreements = compared.agreement_of_parts()
    for name, (metric, mode) in task.followed_of_parts.items():
        sign = 1.0 if mode == "max" else -1.0
        before, after = (each.get(metric, float("nan")) for each in values)
        drop, failures = sign * (before - after), []

        def drop_of(first: TaskMetric, second: TaskMetric, metric: str = metric, sign: float = sign) -> float:
            return sign * float(first.compute()[metric] - second.compute()[metric])

        if drop > max_drop and not is_chance(chance := paired.chance(drop_of)):
            failures.append(f"{metric} falls by {drop:.4f}, more than max-drop {max_drop:g} (p = {chance:.2g})")
        row = {"metric": metric, "checkpoint": before, "artifact": after, "drop": drop}
        yield name, {"agreement": agreements.get(name), **row, "failures": failures}


def _nothing(primary: str, values: Sequence[dict[str, float]], compared: Compared) -> Iterator[str]:
    """Why these images cannot tell whether the exported model is right."""
    on = f"on these {compared.images} images"
    if math.isnan(values[0].get(primary, float("nan"))):
        yield (
            f"the checkpoint's {primary} is not a number {on}, so nothing can be compared: look at more or other images"
            " (--gate-samples), or export without comparing (--gate-samples 0)"
        )
    elif compared.empty:
        yield (
            f"neither model shows a detection {on} at the thresholds of the run, so nothing can be compared: train the"
            " run for longer, or export without comparing (--gate-samples 0)"
        )


def _lost(values: Sequence[dict[str, float]], primary: str) -> Iterator[str]:
    """Metrics that are numbers of the checkpoint only: the exported model gives NaN, or nothing to measure."""
    lost = [name for name, value in values[0].items() if math.isfinite(value) and math.isnan(values[1].get(name, 0.0))]
    if primary in values[0] and primary not in values[1]:
        lost.append(primary)
    if lost:
        yield f"{', '.join(lost)} {'is' if len(lost) == 1 else 'are'} not a number for the exported model"


def _metric(task: Task, records: Records) -> TaskMetric:
    metric: TaskMetric = task.configure_metrics()
    if isinstance(records.targets, IdentityTargets):
        metric.pairs = records.targets.pairs
    if isinstance(records.targets, MultitaskTargets) and isinstance(metric, MultitaskMetrics):
        metric.measure_only(name for name, count in records.targets.sizes.items() if count)
        for name, part in zip(records.targets.names, records.targets.parts, strict=True):
            own = metric.parts[name]
            if isinstance(part.targets, IdentityTargets) and isinstance(own, VerificationMetrics):
                own.pairs = part.targets.pairs
    return metric


def _has_identities(targets: Any) -> bool:
    parts = [part.targets for part in targets.parts] if isinstance(targets, MultitaskTargets) else [targets]
    return any(isinstance(each, IdentityTargets) for each in parts)


def _batches(source: BatchSource, samples: int | None) -> Iterator[dict[str, Any]]:
    number = len(source)
    rows = range(number) if samples is None or samples >= number else np.linspace(0, number - 1, samples).astype(int)
    places = [int(row) for row in rows]
    for start in range(0, len(places), _BATCH):
        yield source.__getitems__([(0, place) for place in places[start : start + _BATCH]])


@torch.inference_mode()
def _predicted(task: Task, images: Tensor) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in task.predict(images.to(task.device)).items()}
