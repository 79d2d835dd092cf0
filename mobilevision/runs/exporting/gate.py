"""The gate: an exported model and its checkpoint on the same pictures, each by its own way from the files on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.data.identities import IdentityTargets
from mobilevision.data.loader import BatchSource
from mobilevision.deploy.artifact import Artifact
from mobilevision.metrics import TaskMetric
from mobilevision.runs.exporting.paired import Paired, is_chance
from mobilevision.runs.exporting.pinned import pinned
from mobilevision.runs.exporting.worst import by_class, worst

if TYPE_CHECKING:
    from mobilevision.data import Records

LEAST = 0.97
"""Agreement below which an exported model is refused."""

_BATCH = 32


@final
@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Attributes:
        facts: plain values, as model.json and the card have them.
        failures: why the model must not be used; none where it may.
    """

    facts: dict[str, Any]
    failures: tuple[str, ...]


def gate(
    task: Any,
    artifact: Artifact,
    source: BatchSource,
    *,
    split: str,
    samples: int | None,
    max_drop: float,
    origin: Any = None,
) -> Verdict:
    """Let both say what they see, and judge.

    Args:
        task: the checkpoint's model, in evaluation mode.
        artifact: what was exported from it.
        source: the pictures, as the checkpoint's evaluation sees them.
        split: its name.
        samples: at most so many of them, at equal distances; None for all.
        max_drop: of the metric that the run follows, in its own unit.
        origin: what the exported model has to agree with, where that is not ``task``: the same, trained further.
    """
    origin = task if origin is None else origin
    compared = _Compared(artifact)
    paired = Paired(
        lambda: _metric(task, source.records), repeats=not isinstance(source.records.targets, IdentityTargets)
    )
    for batch in _batches(source, samples):
        pixels = pinned(artifact, source.records, batch["index"].tolist())
        mine, theirs = _said(task, batch["image"]), artifact.outputs(pixels)
        compared.add(batch["image"].numpy(), pixels, mine if origin is task else _said(origin, batch["image"]), theirs)
        paired.add(mine, {name: torch.from_numpy(value) for name, value in theirs.items()}, batch["target"])
    return _judge(task, paired, compared, split=split, of=len(source), max_drop=max_drop)


@final
class _Compared:
    """Sums over what both said."""

    def __init__(self, artifact: Artifact) -> None:
        self.answer = artifact.answer
        self.same = self.of = 0.0
        self.pictures = self.equal = 0
        self.largest: dict[str, float] = {}

    def add(self, seen: NDArray[Any], pinned: NDArray[Any], mine: dict[str, Tensor], theirs: Any) -> None:
        """A batch: the pixels and the predictions of both."""
        arrays = {name: value.numpy() for name, value in mine.items()}
        for place in range(len(seen)):
            first, second = ({name: each[name][place] for name in theirs} for each in (arrays, theirs))
            same, of = self.answer.agree(first, second)
            self.same, self.of = self.same + same, self.of + of
        self.pictures += len(seen)
        self.equal += int((seen == pinned).all(axis=(1, 2, 3)).sum())
        for name, value in theirs.items():
            if value.dtype.kind == "f" and arrays[name].shape == value.shape:
                gap = float(np.abs(arrays[name] - value).max(initial=0.0))
                self.largest[name] = max(self.largest.get(name, 0.0), gap)

    @property
    def agreement(self) -> float:
        """A share; 1 where there was nothing to agree on."""
        return self.same / self.of if self.of else 1.0


def _judge(task: Any, paired: Paired, compared: _Compared, *, split: str, of: int, max_drop: float) -> Verdict:
    primary, sign = task.followed, 1.0 if task.followed_mode == "max" else -1.0
    metrics = paired.measured()
    values = [{name: float(value) for name, value in metric.compute().items()} for metric in metrics]

    def drop_of(first: TaskMetric, second: TaskMetric) -> float:
        before, after = (float(metric.compute().get(primary, float("nan"))) for metric in (first, second))
        return sign * (before - after)

    drop = sign * (values[0].get(primary, float("nan")) - values[1].get(primary, float("nan")))
    chance = paired.chance(drop_of) if drop > max_drop else None
    failures = []
    if chance is not None and not is_chance(chance):
        failures.append(f"{primary} falls by {drop:.4f}, more than max-drop {max_drop:g}")
    if compared.agreement < LEAST:
        failures.append(f"agreement {compared.agreement:.3f} is below {LEAST}")
    classes = by_class(*(metric.tables() for metric in metrics))
    facts = {
        **{"split": split, "of": of},
        **{"pictures": compared.pictures, "pictures_with_equal_pixels": compared.equal},
        **{"primary": primary, "mode": task.followed_mode, "drop": drop, "max_drop": max_drop, "chance": chance},
        **{"checkpoint": values[0], "artifact": values[1]},
        **{"agreement": compared.agreement, "agreement_of": compared.answer.agreement, "least_agreement": LEAST},
        "largest_difference": compared.largest,
        "worst_classes": worst(classes),
        **({"classes": classes} if compared.answer.manifest.precision == "int8" else {}),
        "passed": not failures,
    }
    return Verdict(facts, tuple(failures))


def _metric(task: Any, records: Records) -> TaskMetric:
    metric: TaskMetric = task.configure_metrics()
    if isinstance(records.targets, IdentityTargets):
        metric.pairs = records.targets.pairs
    return metric


def _batches(source: BatchSource, samples: int | None) -> Iterator[dict[str, Any]]:
    number = len(source)
    rows = range(number) if samples is None or samples >= number else np.linspace(0, number - 1, samples).astype(int)
    places = [int(row) for row in rows]
    for start in range(0, len(places), _BATCH):
        yield source.__getitems__([(0, place) for place in places[start : start + _BATCH]])


@torch.inference_mode()
def _said(task: Any, images: Tensor) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in task.predict(images.to(task.device)).items()}
