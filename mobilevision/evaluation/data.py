"""Which samples an evaluation looks at, with their classes in the model's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pytorch_lightning as pl
from torch import distributed

from mobilevision.data.attributes import is_table
from mobilevision.data.boxes import BoxTargets
from mobilevision.data.checks import refuse_or_skip
from mobilevision.data.coordinates import CoordinateTargets, located
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.loader import BatchSource, Loader
from mobilevision.data.module import check_arguments
from mobilevision.data.multitask import joined
from mobilevision.data.records import Splits
from mobilevision.data.sampling import EpochSampler
from mobilevision.data.skipped import SkipLog
from mobilevision.data.targets import are_classes
from mobilevision.data.white_level import choose_white_level
from mobilevision.errors import UserError
from mobilevision.geo.partition import Cells

if TYPE_CHECKING:
    from mobilevision.data import DataModule, Records
    from mobilevision.spec import DataSpec

_SHOWN = 12


@final
@dataclass(frozen=True)
class Samples:
    """What is evaluated: a split by its name, and what reading the data noted."""

    split: str
    records: Records
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def own_samples(data: DataModule, spec: DataSpec, crop: float, split: str | None) -> Samples:
    """Samples of the very splits that a run trained and tested on."""
    data.setup_data(default_resolution=spec.resolution, crop=crop)
    return _choose(data.splits, split, whole=False)


def new_samples(data: DataModule, split: str | None, skip: SkipLog | None) -> Samples:
    """Samples of data that nothing was trained on: its test, or its val, or all of it where it has no split.

    Nothing is cut off for a validation, and no training images are needed.

    Raises:
        UserError: no such split, or problems in the data under ``on_error=raise``.
    """
    splits = _read(data, skip)
    choose_white_level(splits, data.white_level)
    return _choose(splits, split, whole=splits.whole)


def _read(data: DataModule, skip: SkipLog | None) -> Splits:
    check_arguments(data)
    splits = data.format.read(root=data.root, kind=data.kind, channels=data.channels, seed=data.seed)
    refuse_or_skip(splits.problems, data.on_error, skip)
    return splits


def samples_of_parts(
    data: DataModule, spec: DataSpec, parts: Sequence[str], split: str | None, skip: SkipLog | None
) -> Samples:
    """Samples of the data of some parts, which nothing was trained on; the other parts have none.

    Args:
        data: of all parts, not read yet.
        spec: of the model.
        parts: whose data it is.
        split: which part of it; None takes test, else val, else all.
        skip: as for :func:`new_samples`.

    Raises:
        UserError: as of :func:`new_samples` and :func:`in_order_of`, naming the part.
    """
    found: dict[str, Samples] = {}
    ordered: dict[str, Records] = {}
    read: dict[str, Splits] = {}
    for name in parts:
        try:
            read[name] = splits = _read(data.parts[name], skip)
            found[name] = each = _choose(splits, split, whole=splits.whole)
            ordered[name] = in_order_of(each, spec.parts[name].classes, spec.parts[name].cells)
        except UserError as error:
            raise UserError(f"parts.{name}: {error}") from error
    records = joined(ordered)
    assert records is not None
    together = Splits(test=records, notes=[f"{name}: {note}" for name, each in found.items() for note in each.notes])
    choose_white_level(together, data.white_level or spec.white_level, read)
    shown = {each.split for each in found.values()}
    return Samples(shown.pop() if len(shown) == 1 else "test", records, spec.classes, tuple(together.notes))


def _choose(splits: Splits, split: str | None, *, whole: bool) -> Samples:
    there = {name: records for name, records in splits.items() if len(records)}
    order = [split] if split else ["test", "val", *(["train"] if whole else [])]
    name = next((name for name in order if name in there), None)
    if name is None:
        asked = f"split={split}" if split else "test and val"
        raise UserError(f"{asked}: the data has none; it has {', '.join(there) or 'nothing'} (split=NAME chooses)")
    shown = "all" if whole and name == "train" else name
    return Samples(shown, there[name], splits.classes, tuple(splits.notes))


def in_order_of(samples: Samples, known: tuple[str, ...], cells: dict[str, Any] | None = None) -> Records:
    """The records with targets as numbers of the classes ``known``; classes are matched by name.

    Places are looked up in the model's ``cells`` (:attr:`mobilevision.spec.DataSpec.cells`).

    Attributes are matched by name, too: one that the data lacks is unknown, one that the model lacks is left out.

    Raises:
        UserError: samples of a class that is not known, or no attribute that is, with both lists.
    """
    targets = samples.records.targets
    boxes = isinstance(targets, BoxTargets)
    if isinstance(targets, CoordinateTargets):
        return located(samples.records, Cells.from_dict(cells, source="the run"))
    if samples.classes == known or isinstance(targets, IdentityTargets):  # identities need not be known
        return samples.records
    if not (boxes or are_classes(targets)):
        return _other_kind(samples, known)
    number = {name: index for index, name in enumerate(known)}
    used = [samples.classes[index] for index in np.unique(targets.all.labels if boxes else targets)]
    if foreign := [name for name in used if name not in number]:
        raise UserError(
            f"the data has classes that the model does not know: {_listed(foreign)}; the model knows: {_listed(known)};"
            " call them as the model does, or leave them out of the data"
        )
    numbers = np.array([number.get(name, -1) for name in samples.classes], dtype=np.int64)
    mapped = samples.records.subset(np.arange(len(samples.records)))
    mapped.targets = targets.renumbered(numbers) if boxes else numbers[targets]
    return mapped


def _other_kind(samples: Samples, known: tuple[str, ...]) -> Records:
    """The records with targets that are neither classes nor boxes; attributes go by their names.

    Raises:
        UserError: of any other kind, names that are not the model's.
    """
    targets = samples.records.targets
    if is_table(targets) and targets.shape[1:] == (len(samples.classes),):
        return _attributes_of(samples, known)
    if samples.classes:
        raise UserError(f"the data has {_listed(samples.classes)}, the model {_listed(known)}: they should be the same")
    return samples.records


def _attributes_of(samples: Samples, known: tuple[str, ...]) -> Records:
    """The records with the columns of the attributes ``known``, NaN for those that the data lacks."""
    if not set(samples.classes) & set(known):
        raise UserError(
            f"the data has none of the model's attributes: it has {_listed(samples.classes)}; the model knows:"
            f" {_listed(known)}"
        )
    mapped = samples.records.subset(np.arange(len(samples.records)))
    mapped.targets = np.full((len(mapped.targets), len(known)), np.nan, dtype=np.float32)
    for column, name in enumerate(known):
        if name in samples.classes:
            mapped.targets[:, column] = samples.records.targets[:, samples.classes.index(name)]
    return mapped


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


@final
class EvaluationData(pl.LightningDataModule):
    """Gives a trainer the batches to test on, each sample once over all processes.

    Args:
        records: the samples.
        spec: channels and side of the model's input.
        crop: share of the shorter side that is looked at.
        batch_size: samples a batch and process.
        workers: processes that decode.
        skip: where unreadable images are listed; None raises.
    """

    def __init__(
        self, *, records: Records, spec: DataSpec, crop: float, batch_size: int, workers: int, skip: SkipLog | None
    ) -> None:
        super().__init__()
        self.source = BatchSource(
            records, channels=spec.channels, resolution=spec.resolution, fit=spec.fit, crop=crop, skip=skip
        )
        self.batch_size, self.workers = batch_size, workers

    def test_dataloader(self) -> Loader:
        """This process's share of the samples."""
        there = distributed.is_available() and distributed.is_initialized()
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if there else (0, 1)
        sampler = EpochSampler(n=len(self.source), batch_size=self.batch_size, rank=rank, world=world)
        return Loader(self.source, sampler, workers=self.workers)
