"""Several tasks on one backbone, trained together, each on the images that it has targets for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Literal, Self, final

import torch
from torch import Tensor

from mobilevision.data import Records
from mobilevision.data.multitask import MultitaskTargets
from mobilevision.distill import PartDistillers
from mobilevision.errors import UserError
from mobilevision.heads.multitask import MultitaskHead, at_side
from mobilevision.losses.multitask import MultitaskLoss
from mobilevision.metrics import StageMeter, TaskMetric
from mobilevision.metrics.multitask import MEAN, MultitaskMetrics
from mobilevision.ops.parts import of_part, with_parts
from mobilevision.ops.rows import take
from mobilevision.ranges import check_ranges
from mobilevision.spec import Features, PartOutputs
from mobilevision.tasks.base import Batch, Stage, Task


@final
class Multitask(Task):
    """Ordinary tasks, called parts, over one backbone pass.

    What learns is held here: the backbone, a :class:`~mobilevision.heads.multitask.MultitaskHead` and a
    :class:`~mobilevision.losses.multitask.MultitaskLoss` with the parts' heads and losses. The parts themselves say, as
    they do alone, what raw outputs mean and how they are measured; they are handed features and do not know of each
    other.

    Args:
        parts: by name, a task built on the same backbone, and on its own head and loss.
        teachers_see: of parts with a teacher (``parts.NAME.distill``), whether it is heard on the part's ``own`` images
            and those without labels, or on ``every_image``.
        **shared: as of :class:`Task`.
    """

    kind: ClassVar[str] = "multitask"
    primary: ClassVar[str] = MEAN
    answers: ClassVar[str] = "parts"

    @check_ranges("task")
    def __init__(
        self, *, parts: Mapping[str, Task], teachers_see: Literal["own", "every_image"] = "own", **shared: Any
    ) -> None:
        self.teachers_see = teachers_see
        self.frozen_parts: frozenset[str] = frozenset()
        self._parts = dict(parts)  # a plain dict: their modules are those of head, loss and meters
        self._known: dict[Stage, dict[str, int]] = {}
        super().__init__(**shared)
        for stage in ("val", "test"):
            self.meters[stage] = StageMeter(self._joined({n: p.meter(stage).metric for n, p in self.parts.items()}))

    @property
    def parts(self) -> Mapping[str, Task]:  # type: ignore[override]
        """The tasks by name, in the mode that this one is in.

        They are no modules of it, so that who restores modes module by module, as Lightning does after a validation,
        leaves them out.
        """
        for part in self._parts.values():
            part.training = self.training
        return self._parts

    @property
    def decision(self) -> dict[str, Any]:
        """By part, what val chose for it."""
        return self._decision

    @decision.setter
    def decision(self, chosen: dict[str, Any]) -> None:
        self._decision = chosen
        for name, part in self.parts.items():
            part.decision = chosen.get(name, {})

    def train(self, mode: bool = True) -> Self:
        """As in :class:`Task`; a part reads off its own mode whether its head may be told the targets."""
        for part in self.parts.values():
            part.train(mode)
        super().train(mode)
        for name in self.frozen_parts:
            self.parts[name].head.eval()
        return self

    def freeze_parts(self, names: Sequence[str]) -> None:
        """Hold the heads of these parts still for good; training does not compute them.

        Raises:
            UserError: no part is left to learn.
        """
        if not set(self.parts) - set(names):
            raise UserError(f"freeze.parts={list(names)}: no part is left to learn")
        self.frozen_parts = frozenset(names)
        for name in names:
            self.parts[name].head.requires_grad_(False)
            self.parts[name].loss.requires_grad_(False)
        self.train(self.training)

    def outputs(self, batch: Batch) -> dict[str, PartOutputs]:
        """As in :class:`Task`, by part; in training, of the images only that the part has targets or a teacher for."""
        parts = self.parts
        if not self.training:
            features = batch["features"] if "features" in batch else self.extract(batch["image"])
            own = {name: at_side(features, self.heads.sides.get(name)) for name in parts}
            return {name: PartOutputs(part.outputs({"features": own[name]})) for name, part in parts.items()}
        rows = self._learnt_from(batch)
        found: dict[str, PartOutputs] = {}
        for side, names in self.heads.passes.items():
            there = [name for name in names if name in rows]
            if not there:
                continue
            features, seen = self._pass(side, batch, [rows[name] for name in there])
            for name in there:
                target = batch.get("target", {}).get(name)
                own = {"features": _rows_of(features, rows[name] if seen is None else rows[name][seen])}
                own |= {} if target is None else {"target": _rows_of(target["target"], rows[name])}
                found[name] = PartOutputs(parts[name].outputs(own), None if bool(rows[name].all()) else rows[name])
        return found

    @property
    def heads(self) -> MultitaskHead:
        """The head, by its class."""
        assert isinstance(self.head, MultitaskHead)
        return self.head

    def _learnt_from(self, batch: Batch) -> dict[str, Tensor]:
        """By part that learns from a batch, the images from which it does, bool [B]."""
        found: dict[str, Tensor] = {}
        for name in self.parts:
            target = batch.get("target", {}).get(name)
            rows = None if target is None else target["known"]
            if isinstance(self.distiller, PartDistillers):
                rows = self.distiller.rows(name, batch)
            if name not in self.frozen_parts and rows is not None and bool(rows.any()):
                found[name] = rows
        return found

    def _pass(
        self, side: tuple[int, int] | None, batch: Batch, rows: Sequence[Tensor]
    ) -> tuple[Features, Tensor | None]:
        """Features at one side, and the images whose they are, bool [B]; None: all of them.

        Where sides differ, a pass is over those images only that its parts learn from.

        Args:
            side: of :attr:`MultitaskHead.passes`.
            batch: of images, or of features computed before.
            rows: the images, bool [B], that each of the parts at this side learns from.
        """
        if "features" in batch:
            return at_side(batch["features"], side), None
        seen = torch.stack(list(rows)).any(dim=0)
        images, every = batch["image"], len(self.heads.passes) == 1 or bool(seen.all())
        with torch.no_grad() if self.frozen else nullcontext():
            features = self.heads.extract_at_side(side, self.backbone, images if every else take(images, seen))
        return features, None if every else seen

    def added_up(self, losses: Mapping[str, Tensor]) -> Tensor:
        """As in :class:`Task`, with the gradients that the loss makes of those of the parts."""
        assert isinstance(self.loss, MultitaskLoss)
        total = super().added_up(losses)
        if not self.loss.gradient_surgery:
            return total
        shared = list(self.backbone.parameters())
        ids = {id(weight) for weight in shared}
        own = [weight for weight in self.parameters() if id(weight) not in ids]
        return self.loss.total_without_conflicts(total, losses, shared=shared, own=own)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """As Lightning's; each part says what of its target stays on the CPU."""
        rest = {key: value for key, value in batch.items() if key != "target"}
        moved: Batch = super().transfer_batch_to_device(rest, device, dataloader_idx)
        target = {}
        for name, own in batch["target"].items():
            there = self.parts[name].transfer_batch_to_device({"target": own["target"]}, device, dataloader_idx)
            target[name] = {"known": own["known"].to(device), "target": there["target"]}
        return {**moved, "target": target}

    def decode(self, outputs: Mapping[str, PartOutputs]) -> dict[str, Tensor]:
        """The parts' predictions, as ``part/name``."""
        return with_parts({name: self.parts[name].decode(own.outputs) for name, own in outputs.items()})

    def deploy(self, outputs: Mapping[str, PartOutputs]) -> dict[str, Tensor]:
        """As in :class:`Task`, likewise."""
        return with_parts({name: self.parts[name].deploy(own.outputs) for name, own in outputs.items()})

    def explained(self, outputs: Mapping[str, PartOutputs]) -> Tensor | None:
        """The sum of the parts' scores."""
        scores = [self.parts[name].explained(own.outputs) for name, own in outputs.items()]
        there = [score for score in scores if score is not None]
        return torch.stack(there).sum(dim=0) if there else None

    def facts(self) -> dict[str, Any]:
        """``parts``: the answer, the classes and the facts of each."""
        return {
            "parts": {
                name: {"answer": part.answers, "classes": list(part.data_spec.classes), "facts": part.facts()}
                for name, part in self.parts.items()
            }
        }

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return self._joined({name: part.configure_metrics() for name, part in self.parts.items()})

    @property
    def followed_of_parts(self) -> dict[str, tuple[str, Literal["max", "min"]]]:
        """As in :class:`Task`."""
        return {name: (f"{name}/{part.followed}", part.followed_mode) for name, part in self.parts.items()}

    def look_at(self, stage: Stage, records: Records) -> None:
        """As in :class:`Task`; each part is told of its own samples."""
        targets = records.targets
        if isinstance(targets, MultitaskTargets):
            self._known[stage] = targets.sizes
            metric = self.meter(stage).metric
            assert isinstance(metric, MultitaskMetrics)
            metric.measure_only(name for name, count in targets.sizes.items() if count)
            for name, own in zip(targets.names, targets.parts, strict=True):
                self.parts[name].look_at(stage, own)

    def decide(self, metric: Any) -> dict[str, Any]:
        """By part, what it decides; what was decided before, if anything, of a part of which val knows nothing."""
        known = self._known.get("val")
        there = [name for name in self.parts if known is None or known.get(name)]
        kept = {name: chosen for name, chosen in self.decision.items() if name not in there}
        return kept | {name: self.parts[name].decide(metric.parts[name]) for name in there}

    def tables(self, stage: Stage) -> dict[str, list[dict[str, Any]]]:
        """The parts' tables, as ``part/name``."""
        return with_parts({name: part.tables(stage) for name, part in self._measured(stage)})

    def figures(self, stage: Stage) -> dict[str, Any]:
        """The parts' figures, as ``part/name``."""
        return with_parts({name: part.figures(stage) for name, part in self._measured(stage)})

    def _measured(self, stage: Stage) -> list[tuple[str, Task]]:
        """The parts of which a split holds something, told their tables."""
        known, tables = self._known.get(stage), self.meter(stage).tables
        found = [(name, part) for name, part in self.parts.items() if known is None or known.get(name)]
        for name, part in found:
            part.meter(stage).tables = of_part(tables, name)
        return found

    def _joined(self, metrics: Mapping[str, TaskMetric]) -> MultitaskMetrics:
        primary = {name: (part.followed, part.followed_mode) for name, part in self.parts.items()}
        return MultitaskMetrics(metrics, primary=primary)


def _rows_of(values: Any, rows: Tensor) -> Any:
    """The rows of nested tensors that are true; the same where all are."""
    return values if bool(rows.all()) else take(values, rows)
