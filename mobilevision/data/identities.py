"""Whom or what each image shows: targets of ``kind=identity``, and what must hold between the splits.

A model of identities is judged on identities that it never saw. So a part is cut off train by identity
(:attr:`Records.groups` does that), and what train knows is refused in val and test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.io.printable_text import listed
from mobilevision.ops.pairs import Pairs

Numbers = NDArray[np.int64]
UNKNOWN = -1
"""Identity of an image of which only pairs are known."""


@final
class IdentityTargets:
    """The identities of a split.

    Args:
        identities: int64 [n], numbers of ``Splits.classes``; -1 where nobody knows.
        images: int64 [n], a number of its own for each image, which stays its own in a subset.
        pairs: the pairs of images, by those numbers, that an evaluation compares; None compares all with all.
    """

    ndim = 2  # no class a sample: whoever asks arrays for their dimensions asks this too

    def __init__(self, identities: Numbers, images: Numbers, pairs: Pairs | None = None) -> None:
        self.identities, self.images, self.pairs = identities, images, pairs

    def __len__(self) -> int:
        return len(self.identities)

    def __getitem__(self, index: Any) -> Any:
        """The identity of one sample, or the :class:`IdentityTargets` of an array of them."""
        if isinstance(index, int | np.integer):
            return self.identities[index]
        rows = np.asarray(index)
        return IdentityTargets(self.identities[rows], self.images[rows], self.pairs)

    def tensor(self, indices: Sequence[int]) -> Tensor:
        """The target of a batch, int64 [B, 2]: identity and image number."""
        rows = np.asarray(indices)
        return torch.from_numpy(np.stack([self.identities[rows], self.images[rows]], axis=1))

    def renumbered(self, numbers: Numbers) -> IdentityTargets:
        """The same with identity ``numbers[i]`` instead of ``i``; unknown ones stay unknown."""
        known = np.where(self.identities >= 0, numbers[self.identities], UNKNOWN) if len(numbers) else self.identities
        return IdentityTargets(known, self.images, self.pairs)


def adopt(splits: Splits) -> Splits:
    """Take the classes of a format for identities; ``splits`` is changed in place and given back."""
    for _, records in splits.items():
        records.targets = IdentityTargets(records.targets, np.arange(len(records)), None)
        records.groups = records.targets.identities
    return splits


def counted(targets: IdentityTargets, classes: int) -> tuple[int, ...]:
    """Samples of each identity."""
    return tuple(np.bincount(targets.identities[targets.identities >= 0], minlength=classes).tolist())


def separate(splits: Splits, *, per_identity: int) -> None:
    """Keep the identities of train out of val and test, and number those of train first.

    Args:
        splits: after they were completed; changed in place. What train knows is taken out of val and test, as
            problems.
        per_identity: images of an identity in a training batch. With two and more, identities of one image leave
            train, with a note: they have nothing to be like.
    """
    if splits.train is not None:
        for name in ("val", "test"):
            _apart(splits, name)
        if per_identity > 1:
            _without_singles(splits)
    _number(splits)
    for name, records in splits.items():
        _describe(splits, name, records)


def comparable(splits: Splits) -> None:
    """Check that every split has identities to tell apart.

    Raises:
        UserError: fewer than two identities in a split, or none with two images in val or test.
    """
    if splits.train is not None and len(np.unique(splits.train.targets.identities)) < 2:
        raise UserError(
            "data.root: fewer than two identities in train have two images, so there is nothing to tell apart; it"
            " should be a folder for each identity, or a CSV path,identity"
        )
    for name, records in splits.items():
        targets: IdentityTargets = records.targets
        counts = np.unique(targets.identities, return_counts=True)[1]
        if name != "train" and targets.pairs is None and (len(counts) < 2 or counts.max() < 2):
            raise UserError(
                f"{name} shows {len(counts)} identities with at most {max(counts, default=0)} images each: to"
                f" compare, two and two are needed; another data.{name}_fraction or data.seed, or a list of pairs"
            )


def _apart(splits: Splits, name: str) -> None:
    records: Records | None = getattr(splits, name)
    if records is None or splits.train is None:
        return
    known = np.isin(records.targets.identities, splits.train.targets.identities)
    for number, count in zip(*np.unique(records.targets.identities[known], return_counts=True), strict=True):
        what = f"{splits.classes[number]!r} ({count} images) is in train too"
        splits.problems.append(Problem(name, what, "an identity belongs to one split: data.format.split=identity"))
    if known.any():
        setattr(splits, name, records.subset(np.flatnonzero(~known)))


def _without_singles(splits: Splits) -> None:
    assert splits.train is not None
    identities = splits.train.targets.identities
    counts = np.bincount(identities, minlength=len(splits.classes))
    alone = np.flatnonzero(counts == 1)
    if len(alone):
        names = listed([splits.classes[number] for number in alone], 6)
        splits.notes.append(f"train: {len(alone)} identities with one image are left out, no two to compare: {names}")
        splits.train = splits.train.subset(np.flatnonzero(counts[identities] > 1))


def _number(splits: Splits) -> None:
    """Identities of train first, in the order of their names; then those of val and test; the others are dropped."""
    learnt = np.unique(splits.train.targets.identities) if splits.train is not None else np.zeros(0, np.int64)
    used = [np.unique(records.targets.identities) for _, records in splits.items()]
    met = np.unique(np.concatenate(used)) if used else learnt
    order = np.concatenate([learnt, np.setdiff1d(met[met >= 0], learnt)])
    numbers = np.full(len(splits.classes), UNKNOWN, dtype=np.int64)
    numbers[order] = np.arange(len(order))
    for name, records in list(splits.items()):
        again = records.subset(np.arange(len(records)))
        again.targets = records.targets.renumbered(numbers)
        again.groups = again.targets.identities
        setattr(splits, name, again)
    splits.classes = tuple(splits.classes[number] for number in order)


def _describe(splits: Splits, name: str, records: Records) -> None:
    targets: IdentityTargets = records.targets
    numbers, counts = np.unique(targets.identities[targets.identities >= 0], return_counts=True)
    compared = f", judged by {len(targets.pairs):,} listed pairs" if targets.pairs is not None else ""
    splits.notes.append(f"{name}: {len(numbers):,} identities, {len(records):,} images{compared}")
    alone = numbers[counts == 1]
    if len(alone) and name != "train" and targets.pairs is None:
        names = listed([splits.classes[number] for number in alone], 6)
        splits.notes.append(f"{name}: {len(alone)} identities have one image, so only differ from others: {names}")
