"""Images that several data sets have: numbered, cut into splits alike, and left out where another is tested on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Records, Splits, Subset
from mobilevision.data.splitting import complete
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.io.printable_text import listed

Numbers = NDArray[np.int64]
SPLITS = ("train", "val", "test")
"""From the one that gives way to the one that an image stays in."""
_SHOWN = 4  # splits that a line names
_NOWHERE = -1  # place of what has none yet


class Fractions(Protocol):
    """What is cut from a train that comes without val or test."""

    val_fraction: float
    test_fraction: float


@final
class Images:
    """A number for each image, the same wherever several data sets have the same one.

    Attributes:
        count: how many there are; those of records that were not asked for yet come on top.
    """

    def __init__(self) -> None:
        self.count = 0
        self._by_key: dict[str, int] = {}
        self._of: dict[int, tuple[Records, Numbers]] = {}  # with the records, so that no other gets their id

    def of(self, records: Records) -> Numbers:
        """The number of each sample's image, int64 [n]."""
        if isinstance(records, Subset):
            return self.of(records.records)[records.rows]
        if id(records) not in self._of:
            numbers = np.fromiter((self._number(records, row) for row in range(len(records))), dtype=np.int64)
            self._of[id(records)] = (records, numbers)
        return self._of[id(records)][1]

    def _number(self, records: Records, row: int) -> int:
        try:
            key = records.image_key(row)
        except UnreadableImageError:  # told where it is read to be learnt from
            key = None
        number = self.count if key is None else self._by_key.setdefault(key, self.count)
        self.count += number == self.count
        return number

    def groups(self, sets: Iterable[Records]) -> Numbers:
        """The group of each image, int64 [count]: what a group of any of these sets has together is in one.

        Args:
            sets: each with groups of its own, or with none.
        """
        sets = list(sets)
        numbers = [self.of(records) for records in sets]
        if all(records.groups is None for records in sets):
            return np.arange(self.count)
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        nodes, ends = self.count, [np.zeros((2, 0), dtype=np.int64)]
        for records, images in zip(sets, numbers, strict=True):
            if records.groups is not None:
                names, own = np.unique(records.groups, return_inverse=True)
                ends.append(np.stack([images, nodes + own]))
                nodes += len(names)
        rows, columns = np.concatenate(ends, axis=1)
        graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(nodes, nodes))
        found: Numbers = connected_components(graph, directed=False)[1][: self.count].astype(np.int64)
        return found


def cut_alike(splits: Mapping[str, Splits], fractions: Mapping[str, Fractions], images: Images, seed: int) -> None:
    """Cut what the data of parts came without, so that an image, and a group, has one place in all that are cut.

    Data with splits of its own, or cut before, decides first. Then come the parts without any, those with groups first,
    then in their order: what has a place already gets it again, a group the strictest of its images'; the rest is cut
    as the part alone would be.

    Args:
        splits: by part, as read; changed in place, with notes.
        fractions: by part, what is cut.
        images: all of them.
        seed: of the choice.

    Raises:
        UserError: a fraction outside [0, 1), naming the part.
    """
    open_ones = {name: one for name, one in splits.items() if one.whole and not one.completed}
    without = {name: one.train for name, one in open_ones.items() if one.train is not None}
    for records in (records for one in splits.values() for _, records in one.items()):
        images.of(records)
    group = images.groups(without.values())
    place = np.full(images.count, _NOWHERE, dtype=np.int64)  # of each group
    for name, one in splits.items():
        if name not in without:
            _complete(one, name, fractions[name], seed)
            for split, records in one.items():
                np.maximum.at(place, group[images.of(records)], SPLITS.index(split))
    for name in sorted(without, key=lambda name: without[name].groups is None):
        one, train = splits[name], without[name]
        shown = images.of(train)
        own = group[shown]
        lies = place[own]
        known = lies != _NOWHERE
        cut = _cut_alone(one, np.flatnonzero(~known), shown, own, name, fractions[name], seed)
        for split, rows in cut.items():
            lies[rows] = SPLITS.index(split)
        np.maximum.at(place, own, lies)
        lies = place[own]
        for number, split in enumerate(SPLITS):
            rows = np.flatnonzero(lies == number)
            setattr(one, split, train.subset(rows) if len(rows) else None)
        one.completed = True
        if known.any():
            counts = ", ".join(f"{(lies == number).sum():,} {split}" for number, split in enumerate(SPLITS))
            one.notes.append(f"cut as the parts that have the same images: {counts}, data.seed={seed}")


def _complete(splits: Splits, name: str, fractions: Fractions, seed: int) -> None:
    try:
        complete(splits, val_fraction=fractions.val_fraction, test_fraction=fractions.test_fraction, seed=seed)
    except UserError as error:
        raise UserError(f"parts.{name}: {error}") from error


def _cut_alone(
    splits: Splits, rows: Numbers, own: Numbers, groups: Numbers, name: str, fractions: Fractions, seed: int
) -> dict[str, Numbers]:
    """By split, which of these rows of train go there; notes say so where these are all of them.

    ``own`` and ``groups`` are the image of each sample of train, and the group in which that lies.
    """
    assert splits.train is not None
    rest = splits.train.subset(rows)
    if rest.groups is None:
        larger = len(np.unique(groups[rows])) < len(np.unique(own[rows]))
    else:
        larger = not np.array_equal(_firsts(groups[rows]), _firsts(rest.groups))
    if larger:  # than its own: others' groups have some of its images together
        rest.groups = groups[rows]
    cut = Splits(rest, whole=True, classes=splits.classes)
    if len(rows):
        _complete(cut, name, fractions, seed)
    if len(rows) == len(splits.train):
        splits.notes += cut.notes
    return {split: rows[_within(records, rest)] for split, records in cut.items()}


def _firsts(groups: Numbers) -> Numbers:
    """For each sample the first one of its group, so that groups compare whatever they are called."""
    _, first, own = np.unique(groups, return_index=True, return_inverse=True)
    return first[own]


def _within(records: Records, base: Records) -> Numbers:
    """The rows of ``base`` that a subset of it, or one of a subset, has."""
    if records is base:
        return np.arange(len(base), dtype=np.int64)
    assert isinstance(records, Subset)
    return _within(records.records, base)[records.rows]


def leave_out_tested(splits: Mapping[str, Splits], images: Images, learnt: Collection[str] = ()) -> None:
    """Leave out of each part's train what any part's val or test has, and of its val what a test has; say so in notes.

    Args:
        splits: by part; changed in place.
        images: all of them.
        learnt: parts that have learnt from theirs already, which keep them: what such a train has, no val or test has.

    Raises:
        UserError: a part of whose train nothing is left.
    """
    place = np.zeros(images.count, dtype=np.int64)
    found = {(name, split): images.of(each) for name, one in splits.items() for split, each in one.items()}
    for (_, split), numbers in found.items():
        np.maximum.at(place, numbers, SPLITS.index(split))
    for (name, split), numbers in found.items():
        if name in learnt:
            place[numbers] = SPLITS.index(split)
    for (name, split), numbers in found.items():
        stays = place[numbers] == SPLITS.index(split)
        if stays.all():
            continue
        gone, later = numbers[~stays], SPLITS[SPLITS.index(split) + 1 :]
        places = [
            f"{where} of {other}"
            for (other, where), n in found.items()
            if where in (SPLITS if other in learnt else later) and np.isin(gone, n).any()
        ]
        left = f"{len(gone):,} images of its {split}"
        if split == "train" and not stays.any():
            raise UserError(
                f"parts.{name}: no image left to learn from: all {left} are in the {listed(places, _SHOWN)}: give it"
                f" other images, or take it away with ~parts.{name}"
            )
        one = splits[name]
        setattr(one, split, getattr(one, split).subset(np.flatnonzero(stays)) if stays.any() else None)
        one.notes.append(f"{left} are left out: they are in the {listed(places, _SHOWN)}")
