"""Several data sets as one, for several tasks that share a backbone: each image once, with all that is known of it.

Each part reads its own data with a data module of its own. Images that several parts have (the same file, or the same
drawing) are joined, so that one backbone pass serves all of their targets; what a part does not know of an image is
masked, never taken for a negative.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map_only

from mobilevision.data.boxes import BoxTargets
from mobilevision.data.data_format import DataFormat
from mobilevision.data.records import Problem, Records, RecordsAround, Splits
from mobilevision.data.sampling import AGAIN, ORDER, BatchSampler, Key, stream
from mobilevision.data.shared_images import SPLITS, Images, cut_alike, leave_out_tested
from mobilevision.data.targets import Placement, Targets
from mobilevision.data.unlabelled import WithUnlabelled
from mobilevision.data.view import Augmentation, Sample, View
from mobilevision.errors import UserError
from mobilevision.ranges import PositiveFloat, check_ranges
from mobilevision.spec import DataSpec

Rows = NDArray[np.int64]
NONE = -1  # row of a part that does not have the image


class PartData(Protocol):
    """What is asked of the data module of a part."""

    splits: Splits
    val_fraction: float
    test_fraction: float

    def read_splits(self) -> Splits:
        """What its format reads."""

    def setup_data(self, *, alone: bool = True) -> DataSpec:
        """Check and describe it; not ``alone`` leaves to the caller what all parts share."""


Sampling = Literal["size", "even"] | dict[str, PositiveFloat]


@final
class MultitaskTargets(Targets):
    """What every part knows of every image of a split.

    A batch's target is a dict, part -> ``{"known": bool [B], "target": ...}``: the part's own target with a row for
    every image, of zeros where ``known`` is false. A part with boxes that knows none of the images is left out.

    Args:
        parts: by name, the part's samples of this split.
        rows: int64 [n, P], the row of each image in each part's samples, :data:`NONE` where it has none.
    """

    def __init__(self, parts: Mapping[str, Records], rows: Rows) -> None:
        self.names, self.parts, self.rows = tuple(parts), tuple(parts.values()), rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """By part, the target of one image where it is known; of an array of rows, the targets of these."""
        if isinstance(index, int | np.integer):
            return {name: records.targets[row] for name, records, row in self.known(int(index))}
        return MultitaskTargets(dict(zip(self.names, self.parts, strict=True)), self.rows[np.asarray(index)])

    def known(self, index: int) -> Iterator[tuple[str, Records, int]]:
        """(part, its samples, the row there) for every part that knows an image."""
        for name, records, row in zip(self.names, self.parts, self.rows[index].tolist(), strict=True):
            if row != NONE:
                yield name, records, row

    def placed(self, index: int, placement: Placement) -> dict[str, tuple[int, Any]]:
        """By part that knows the image: its row there, and the target in pixels of the input (None for a label)."""
        where, mirrored, _, resolution, training = placement
        return {
            name: (row, _view(records, resolution).placed(row, where, mirrored=mirrored, training=training))
            for name, records, row in self.known(index)
        }

    def collate(self, samples: Sequence[dict[str, tuple[int, Any]]]) -> dict[str, Any]:
        """See the class; ``samples`` are those of :meth:`placed`."""
        batch: dict[str, Any] = {}
        for name, records in zip(self.names, self.parts, strict=True):
            known = torch.tensor([name in sample for sample in samples])
            if bool(known.any()):
                rows, lying = zip(*(sample[name] for sample in samples if name in sample), strict=True)
                drawn = [] if any(each is None for each in lying) else list(lying)
                target = _with_blanks(_view(records, (1, 1)).targets(rows, drawn), known)
                if isinstance(records.targets, BoxTargets):
                    target["labels"][~known] = -1  # as where a batch is padded: no box
            elif lies_in_image(records.targets):
                continue  # how many boxes wide a target is varies anyway
            else:
                target = tree_map_only(
                    Tensor,
                    lambda each: torch.zeros_like(each[:1]).expand(len(samples), *each.shape[1:]),
                    _view(records, (1, 1)).targets([0]),
                )
            batch[name] = {"known": known, "target": target}
        return batch

    def of_part(self, name: str) -> Records | None:
        """A part's samples of the images that are here; None where it has none of them."""
        if name not in self.names:
            return None
        number = self.names.index(name)
        rows = np.sort(self.rows[self.rows[:, number] != NONE, number])
        records = self.parts[number]
        return None if not len(rows) else records if len(rows) == len(records) else records.subset(rows)

    def extended(self, more: int) -> MultitaskTargets:
        """See :class:`Targets`: images of which no part knows anything."""
        unknown = np.full((more, len(self.parts)), NONE, dtype=np.int64)
        return MultitaskTargets(dict(zip(self.names, self.parts, strict=True)), np.concatenate([self.rows, unknown]))

    def shares(self, name: str) -> bool:
        """Whether another part has any of a part's images, too."""
        there = self.rows != NONE
        return bool((there[:, self.names.index(name)] & (there.sum(axis=1) > 1)).any())

    def rows_without(self, idle: Collection[str]) -> Rows:
        """The images, int64 [n], that not only ``idle`` parts know; those that no part knows are among them."""
        there = self.rows != NONE
        learning = [number for number, name in enumerate(self.names) if name not in idle]
        return np.flatnonzero(there[:, learning].any(axis=1) | ~there.any(axis=1))

    @property
    def sizes(self) -> dict[str, int]:
        """How many of the images each part knows."""
        return dict(zip(self.names, (self.rows != NONE).sum(axis=0).tolist(), strict=True))


def _view(records: Records, resolution: tuple[int, int]) -> View:
    return View(records, channels=3, resolution=resolution)  # targets only: channels are those of pixels


def _with_blanks(target: Any, known: Tensor) -> Any:
    """Targets of the known images of a batch at their places, zeros at the others."""
    if bool(known.all()):
        return target

    def spread(values: Tensor) -> Tensor:
        rows = values.new_zeros(len(known), *values.shape[1:])
        rows[known] = values
        return rows

    return tree_map_only(Tensor, spread, target)


@final
class MultitaskRecords(RecordsAround):
    """The images of a split that any part has, each once.

    Args:
        targets: what every part knows of them.
    """

    targets: MultitaskTargets

    def __init__(self, targets: MultitaskTargets) -> None:
        self.targets = targets

    def source(self, index: int) -> tuple[Records, int]:
        """Where the first part that has the image has it."""
        _, records, row = next(self.targets.known(index))
        return records, row

    def scale(self, white_level: float) -> None:
        """Of every part."""
        for records in self.targets.parts:
            records.scale(white_level)


def joined(parts: Mapping[str, Records], images: Images | None = None) -> MultitaskRecords | None:
    """One split of all parts as one; None where no part has it.

    A part's second sample of one image is an image of its own, so that none is lost.

    Args:
        parts: by name; those without this split, or without a sample in it, are left out.
        images: those of all splits; None numbers these alone.
    """
    parts = {name: records for name, records in parts.items() if len(records)}
    if not parts:
        return None
    images = images or Images()
    shown = [images.of(records) for records in parts.values()]
    sizes = [len(each) for each in shown]
    image, part = np.concatenate(shown), np.repeat(np.arange(len(parts)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    again = np.concatenate([_occurrences(each) for each in shown])
    each = image + images.count * again
    _, first, sample = np.unique(each, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as the parts have them, one after the other
    table = np.full((len(order), len(parts)), NONE, dtype=np.int64)
    table[np.argsort(order)[sample], part] = row
    found = MultitaskRecords(MultitaskTargets(parts, table))
    if again.any() or any(records.groups is not None for records in parts.values()):
        found.groups = images.groups(parts.values())[image[first[order]]]
    return found


def _occurrences(numbers: Rows) -> Rows:
    """For each entry, how many before it are equal."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    found = np.empty_like(numbers)
    found[order] = np.arange(len(numbers)) - np.repeat(starts, np.diff(starts, append=len(numbers)))
    return found


@final
class Multitask(DataFormat):
    """The data of all parts as one set.

    Args:
        parts: by name, the data module of each part.
        sampling: how often an image of each part is shown: ``size``, each image once an epoch; ``even``, each part
            equally often; or a weight a part, such as ``{cars: 2, weather: 1}``. An epoch has as many images as there
            are in all; of a part that is shown more often than it has images, some come again, drawn anew.
        kept: names of parts that a model has learnt already, in lists of those that came together: each list is cut as
            it was without the later ones, and none of its images is lost to these.

    Attributes:
        modules: the same as ``parts``; set up once this was read.

    Raises:
        UserError: a weight that is no number above 0, or a kept part that there is not.
    """

    kinds: ClassVar[tuple[str, ...]] = ("multitask",)

    @check_ranges("data.format")
    def __init__(
        self, *, parts: Mapping[str, PartData], sampling: Sampling = "size", kept: Sequence[Sequence[str]] = ()
    ) -> None:
        self.modules, self.sampling = dict(parts), sampling
        known = [name for names in kept for name in names]
        if unknown := set(known) - set(parts):
            raise UserError(f"data.format.kept: there is no part {min(unknown)} among {', '.join(parts)}")
        self.kept = [*kept, [name for name in parts if name not in known]]

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`; classes are ``part/class``."""
        del root, kind, channels
        splits, images = {name: _read(name, module) for name, module in self.modules.items()}, Images()
        there: dict[str, Splits] = {}
        for together in self.kept:
            learnt, there = list(there), {**there, **{name: splits[name] for name in together}}
            cut_alike(there, self.modules, images, seed)
            leave_out_tested(there, images, learnt)
        for name, module in self.modules.items():
            try:
                module.setup_data(alone=False)
            except UserError as error:
                raise UserError(f"parts.{name}: {error}") from error
        all_parts = {split: _of(splits, split, images) for split in SPLITS}
        both = [records for records in all_parts.values() if records is not None]
        shared = sum(int(((each.targets.rows != NONE).sum(axis=1) > 1).sum()) for each in both)
        notes = [f"{shared:,} of {sum(map(len, both)):,} images belong to several parts"] if shared else []
        notes += [f"{name}: {note}" for name, each in splits.items() for note in each.notes]
        return Splits(
            all_parts["train"],
            all_parts["val"],
            all_parts["test"],
            classes=tuple(f"{name}/{label}" for name, each in splits.items() for label in each.classes),
            notes=notes,
            problems=[
                Problem(f"{name}: {each.where}", each.what, each.fix)
                for name, one in splits.items()
                for each in one.problems
            ],
        )

    def weights(self) -> dict[str, float] | None:
        """How often each part is to be shown, as weights; None where each image is shown once.

        Raises:
            UserError: weights of parts that there are not, or not of all of them.
        """
        if self.sampling == "size":
            return None
        if self.sampling == "even":
            return dict.fromkeys(self.modules, 1.0)
        assert isinstance(self.sampling, dict)
        if wrong := set(self.sampling) ^ set(self.modules):
            raise UserError(
                f"data.format.sampling: give each part a weight ({', '.join(self.modules)}); wrong or missing:"
                f" {', '.join(sorted(wrong))}"
            )
        return {name: float(weight) for name, weight in self.sampling.items()}


def _read(name: str, module: PartData) -> Splits:
    try:
        return module.read_splits()
    except UserError as error:
        raise UserError(f"parts.{name}: {error}") from error


def _of(splits: Mapping[str, Splits], split: str, images: Images) -> MultitaskRecords | None:
    found = {name: records for name, each in splits.items() if (records := getattr(each, split)) is not None}
    return joined(found, images)


def lies_in_image(targets: Any) -> bool:
    """Whether targets have a place in the image, so that they move with a crop."""
    return isinstance(targets, BoxTargets | Targets)


@final
class MultitaskAugment:
    """The augmentation of each part: an image is drawn by that of the first part with boxes in it, else the first.

    Args:
        parts: by name; None for a part whose images stay as an evaluation sees them.
    """

    kinds: ClassVar[tuple[str, ...] | None] = ("multitask",)

    def __init__(self, parts: Mapping[str, Augmentation | None]) -> None:
        self.parts = dict(parts)
        self.coloured = any(each is not None and each.coloured for each in parts.values())
        self._first: tuple[Records, WithUnlabelled] | None = None

    @property
    def mixes(self) -> bool:
        """Whether images are mixed: never, as their targets are of several kinds."""
        return False

    def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
        """See :class:`~mobilevision.data.view.Augmentation`."""
        known = list(view.records.targets.known(index))
        if known:
            name, records, row = next((each for each in known if lies_in_image(each[1].targets)), known[0])
        else:
            name, records, row = self._without_labels(view.records, index)
        own = View(records, channels=view.channels, resolution=view.resolution, fit=view.fit, crop=view.crop)
        augment = self.parts[name]
        drawn = own.sample(row) if augment is None else augment.sample(own, row, rng)
        target = {}
        for part, others, place in known:
            if part == name or not lies_in_image(others.targets):
                target[part] = place, drawn.target if part == name else None
                continue
            if drawn.placement is not None:
                where, mirrored, training = drawn.placement.frame, drawn.placement.mirrored, True
            elif augment is None:
                where, mirrored, training = own.frame(row), False, False
            else:
                raise UserError(
                    f"parts.{name} and parts.{part} both look for places in {view.records.name(index)}, and"
                    f" {type(augment).__name__}, which draws it, does not say how the image lies then: take another"
                    f" parts.{name}.augment, or none"
                )
            target[part] = (
                place,
                _view(others, view.resolution).placed(place, where, mirrored=mirrored, training=training),
            )
        return Sample(drawn.pixels, target)

    def _without_labels(self, around: Records, index: int) -> tuple[str, Records, int]:
        """An image without labels as one of the first part's: that part, its samples and such images, the row there."""
        assert isinstance(around, WithUnlabelled)
        if self._first is None or self._first[0] is not around:
            self._first = around, WithUnlabelled(around.targets.parts[0], around.others)
        records = self._first[1]
        return around.targets.names[0], records, len(records.labelled) + index - len(around.labelled)

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Nothing is mixed."""
        del num_classes, generator
        return images, targets


@final
class MultitaskSampler(BatchSampler):
    """Shuffled batches in which each part is shown in proportion to a weight, for one of several processes.

    An epoch has as many images as the split. Each part's images come in turn, so that none is shown twice before all
    were; which come is a function of ``seed`` and epoch.

    Args:
        rows: int64 [n, P], as of :class:`MultitaskTargets`.
        weights: by part, in the order of the columns, how often each is shown; an image of several parts may be drawn
            for each of them.
        batch_size: samples a batch and process.
        seed: of the order.
        rank: this process.
        world: number of processes.
        drop_last: leave an incomplete last batch out (unless it is the only one).

    Raises:
        UserError: a weight so small beside the others that no image of the part would be shown.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        weights: Mapping[str, float],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.images = [np.flatnonzero(rows[:, part] != NONE) for part in range(rows.shape[1])]
        self.n = int((rows != NONE).any(axis=1).sum())
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        given = np.array(list(weights.values()), dtype=np.float64)
        shares = given / given.max() * [len(each) > 0 for each in self.images]
        ends = np.round(np.cumsum(shares / shares.sum()) * self.n).astype(np.int64)
        self.counts = np.diff(ends, prepend=0)
        for name, share, images, count in zip(weights, shares, self.images, self.counts, strict=True):
            if len(images) and not count and share < shares.max():
                raise UserError(
                    f"data.format.sampling.{name}={weights[name]:g}: beside the other weights, an epoch of {self.n:,}"
                    f" images would have none of {name}: give it a greater one"
                )
        self.drop_last = drop_last and self.n >= batch_size * world

    def __len__(self) -> int:
        share = self.n // self.world if self.drop_last else -(-self.n // self.world)
        full, rest = divmod(share, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def batches(self, epoch: int, start: int) -> Iterator[list[Key]]:
        """See :class:`BatchSampler`."""
        order = np.resize(self._order(epoch), (-(-self.n // self.world) * self.world, 2))[self.rank :: self.world]
        for batch in range(start, len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(of_epoch, index) for of_epoch, index in rows.tolist()]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """(epoch, index) of the epoch's images, int64 [n, 2].

        A second showing, also one for another part, has another epoch, and so is drawn anew.
        """
        drawn = [np.zeros((0, 2), np.int64)]
        for part, (images, count) in enumerate(zip(self.images, self.counts.tolist(), strict=True)):
            turns = epoch * count + np.arange(count)  # of the part's endless series of shuffled rounds
            for round_number in np.unique(turns // max(len(images), 1)).tolist():
                order = stream(ORDER, self.seed, part + 1, round_number).permutation(images)
                chosen = order[turns[turns // len(images) == round_number] % len(images)]
                showing = round_number * len(self.images) + part  # a number for each round of each part
                drawn.append(np.stack([np.full(len(chosen), epoch + (showing + 1) * AGAIN), chosen], axis=1))
        return stream(ORDER, self.seed, epoch).permutation(np.concatenate(drawn))
