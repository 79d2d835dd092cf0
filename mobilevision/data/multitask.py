"""Several data sets as one, for several tasks that share a backbone: each image once, with all that is known of it.

Each part reads its own data with a data module of its own. Images that several parts have (the same file, or the same
drawing) are joined, so that one backbone pass serves all of their targets; what a part does not know of an image is
masked, never taken for a negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from mobilevision.data.sampling import ORDER, SPLIT, BatchSampler, Key, stream
from mobilevision.data.targets import Placement, Targets
from mobilevision.data.view import Augmentation, Sample, View
from mobilevision.errors import UserError
from mobilevision.ranges import PositiveFloat
from mobilevision.spec import DataSpec

Rows = NDArray[np.int64]
SPLITS = ("train", "val", "test")
NONE = -1  # row of a part that does not have the image
KIND = "multitask"


class PartData(Protocol):
    """What is asked of the data module of a part."""

    splits: Splits
    val_fraction: float
    test_fraction: float

    def read_splits(self) -> Splits:
        """What its format reads."""

    def setup_data(self) -> DataSpec:
        """Cut, check and describe it."""


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


def joined(parts: Mapping[str, Records]) -> MultitaskRecords | None:
    """One split of all parts as one; None where no part has it.

    Args:
        parts: by name; those without this split are left out by the caller.
    """
    if not parts:
        return None
    place: dict[str, int] = {}
    found: list[tuple[int, int, int]] = []
    images = 0
    for number, records in enumerate(parts.values()):
        for row in range(len(records)):
            key = records.image_key(row)
            image = images if key is None else place.setdefault(key, images)
            images += image == images  # a new one
            found.append((image, number, row))
    table = np.full((images, len(parts)), NONE, dtype=np.int64)
    where = np.array(found, dtype=np.int64).reshape(-1, 3)
    table[where[:, 0], where[:, 1]] = where[:, 2]
    return MultitaskRecords(MultitaskTargets(parts, table))


@final
class Multitask(DataFormat):
    """The data of all parts as one set.

    Args:
        parts: by name, the data module of each part.
        sampling: how often an image of each part is shown: ``size``, each image once an epoch; ``even``, each part
            equally often; or a weight a part, such as ``{cars: 2, weather: 1}``. An epoch has as many images as there
            are in all; of a part that is shown more often than it has images, some come again, drawn anew.

    Attributes:
        modules: the same as ``parts``; set up once this was read.
    """

    kinds: ClassVar[tuple[str, ...]] = (KIND,)

    def __init__(self, *, parts: Mapping[str, PartData], sampling: Sampling = "size") -> None:
        self.modules, self.sampling = dict(parts), sampling

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`; classes are ``part/class``."""
        del root, kind, channels
        for module in self.modules.values():
            module.read_splits()
        _share_splits({name: module.splits for name, module in self.modules.items()}, self.modules, seed)
        for name, module in self.modules.items():
            try:
                module.setup_data()
            except UserError as error:
                raise UserError(f"parts.{name}: {error}") from error
        splits = {name: module.splits for name, module in self.modules.items()}
        notes = _without_leaks(splits)
        all_parts = {split: _of(splits, split) for split in SPLITS}
        _refuse_two_in_one_image(all_parts["train"])
        both = [records for records in all_parts.values() if records is not None]
        shared = sum(int(((each.targets.rows != NONE).sum(axis=1) > 1).sum()) for each in both)
        notes += [f"{shared:,} of {sum(map(len, both)):,} images belong to several parts"] if shared else []
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


def _of(splits: Mapping[str, Splits], split: str) -> MultitaskRecords | None:
    return joined({name: records for name, each in splits.items() if (records := getattr(each, split)) is not None})


def _share_splits(splits: Mapping[str, Splits], modules: Mapping[str, PartData], seed: int) -> None:
    """Let data that came without a split put the images that others have where these have them.

    Data with splits of its own decides first, then the parts in their order. Images that no other part has are then
    drawn at random into val and test, by the part's own fractions.
    """
    place: dict[str, int] = {}
    ordered = sorted(splits, key=lambda name: splits[name].whole)
    for name in ordered:
        one, module = splits[name], modules[name]
        if not one.whole or one.train is None:
            _note_places(one, place)
            continue
        keys = [one.train.image_key(row) for row in range(len(one.train))]
        lies = np.array([NONE if key is None else place.get(key, NONE) for key in keys], dtype=np.int64)
        others = [each for each in ordered if each != name]
        if (lies != NONE).any() or _any_shared(keys, [splits[each] for each in others]):
            open_rows = np.flatnonzero(lies == NONE)
            luck = stream(SPLIT, seed, 2).permutation(len(open_rows)) / max(len(open_rows), 1)
            test, val = module.test_fraction, module.val_fraction
            lies[open_rows] = np.where(luck < test, 2, np.where(luck < test + (1 - test) * val, 1, 0))
            whole = one.train
            for number, split in enumerate(SPLITS):
                rows = np.flatnonzero(lies == number)
                setattr(one, split, whole.subset(rows) if len(rows) else None)
            one.whole = False
            counts = ", ".join(f"{(lies == number).sum():,} {split}" for number, split in enumerate(SPLITS))
            one.notes.append(f"cut as the parts that have the same images: {counts}, data.seed={seed}")
        _note_places(one, place)


def _any_shared(keys: Sequence[str | None], others: Sequence[Splits]) -> bool:
    own = {key for key in keys if key is not None}
    return any(
        records.image_key(row) in own for each in others for _, records in each.items() for row in range(len(records))
    )


def _note_places(splits: Splits, place: dict[str, int]) -> None:
    for split, records in splits.items():
        for row in range(len(records)):
            if (key := records.image_key(row)) is not None:
                place[key] = max(place.get(key, 0), SPLITS.index(split))


def _without_leaks(splits: Mapping[str, Splits]) -> list[str]:
    """Leave out of each part's train and val what another part's val or test has; notes that say so."""
    place: dict[str, int] = {}
    for one in splits.values():
        _note_places(one, place)
    notes = []
    for name, one in splits.items():
        for split, records in list(one.items()):
            keys = (records.image_key(row) for row in range(len(records)))
            stays = np.array([key is None or place[key] == SPLITS.index(split) for key in keys], dtype=bool)
            if not stays.all():
                setattr(one, split, records.subset(np.flatnonzero(stays)))
                left = int((~stays).sum())
                notes.append(f"{name}: {left:,} images of its {split} are left out: another part tests on them")
    return notes


def lies_in_image(targets: Any) -> bool:
    """Whether targets have a place in the image, so that they move with a crop."""
    return isinstance(targets, BoxTargets | Targets)


def _refuse_two_in_one_image(train: MultitaskRecords | None) -> None:
    """An augmentation follows one part's boxes; two parts' in one image would not lie where the image shows them.

    Raises:
        UserError: naming both parts.
    """
    if train is None:
        return
    targets = train.targets
    lying = [number for number, part in enumerate(targets.parts) if lies_in_image(part.targets)]
    both = (targets.rows[:, lying] != NONE).sum(axis=1) > 1
    if both.any():
        names = [targets.names[number] for number in lying]
        raise UserError(
            f"parts.{' and parts.'.join(names)} annotate places in the same images ({int(both.sum()):,} of them, such"
            f" as {train.name(int(np.flatnonzero(both)[0]))}): make one part of them, with the classes of both"
        )


@final
class MultitaskAugment:
    """The augmentation of each part: an image is drawn by that of the first part with boxes in it, else the first.

    Args:
        parts: by name; None for a part whose images stay as an evaluation sees them.
    """

    kinds: ClassVar[tuple[str, ...] | None] = (KIND,)

    def __init__(self, parts: Mapping[str, Augmentation | None]) -> None:
        self.parts = dict(parts)
        self.coloured = any(each is not None and each.coloured for each in parts.values())

    @property
    def mixes(self) -> bool:
        """Whether images are mixed: never, as their targets are of several kinds."""
        return False

    def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
        """See :class:`~mobilevision.data.view.Augmentation`."""
        known = list(view.records.targets.known(index))
        name, records, row = next((each for each in known if lies_in_image(each[1].targets)), known[0])
        own = View(records, channels=view.channels, resolution=view.resolution, fit=view.fit, crop=view.crop)
        augment = self.parts[name]
        drawn = own.sample(row) if augment is None else augment.sample(own, row, rng)
        target = {part: (place, drawn.target if part == name else None) for part, _, place in known}
        return Sample(drawn.pixels, target)

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
        weights: [P], how often each part is shown; an image of several parts may be drawn for each of them.
        batch_size: samples a batch and process.
        seed: of the order.
        rank: this process.
        world: number of processes.
        drop_last: leave an incomplete last batch out (unless it is the only one).
    """

    def __init__(
        self,
        rows: Rows,
        *,
        weights: Sequence[float],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.images = [np.flatnonzero(rows[:, part] != NONE) for part in range(rows.shape[1])]
        self.n, self.batch_size, self.seed, self.rank, self.world = len(rows), batch_size, seed, rank, world
        shares = np.array(weights, dtype=np.float64) * [len(each) > 0 for each in self.images]
        ends = np.round(np.cumsum(shares / shares.sum()) * self.n).astype(np.int64)
        self.counts = np.diff(ends, prepend=0)
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
        """(epoch, index) of the epoch's images, int64 [n, 2]; a second showing has another epoch, and is drawn anew."""
        drawn = [np.zeros((0, 2), np.int64)]
        for part, (images, count) in enumerate(zip(self.images, self.counts.tolist(), strict=True)):
            turns = epoch * count + np.arange(count)  # of the part's endless series of shuffled rounds
            for round_number in np.unique(turns // max(len(images), 1)).tolist():
                order = stream(ORDER, self.seed, part + 1, round_number).permutation(images)
                chosen = order[turns[turns // len(images) == round_number] % len(images)]
                drawn.append(np.stack([np.full(len(chosen), round_number), chosen], axis=1))
        keys = np.concatenate(drawn)
        keys[:, 0] = epoch + (keys[:, 0] + 1) * _AGAIN
        return stream(ORDER, self.seed, epoch).permutation(keys)


_AGAIN = 1_000_003  # keeps the epochs of keys apart
