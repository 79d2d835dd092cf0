"""Folds of a data set for cross-validation: every image is in the test of exactly one of them."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Records, Splits
from mobilevision.data.splitting import strata
from mobilevision.data.targets import are_classes
from mobilevision.errors import UnreadableImageError, UserError

Numbers = NDArray[np.int64]

MOST_COMPARED = 50_000
"""Images up to which exact duplicates are looked for: all files are read for that."""


def take_fold(splits: Splits, *, folds: int, fold: int, seed: int) -> None:
    """Make one fold of train the test, and the others train; a val that the data has stays what it is.

    Args:
        splits: what was read; changed in place. A test of its own is left apart, with a note.
        folds: how many there are, the same in every run of a cross-validation.
        fold: which of them is the test, from 1.
        seed: of the choice.

    Raises:
        UserError: a fold that there is not, no train, or more folds than the data can be cut into.
    """
    if not 1 <= fold <= folds:
        raise UserError(f"data.fold={fold}: must be from 1 to data.folds={folds}")
    if splits.train is None:
        raise UserError(f"data.folds={folds}: the data has no train to cut")
    of = cut_folds(splits.train, folds=folds, seed=seed, classes=splits.classes)
    rows: Numbers = np.arange(len(of))
    if splits.test is not None:
        splits.notes.append(f"the data's own test ({len(splits.test):,} images) is left apart")
    whole = splits.train
    splits.train, splits.test = whole.subset(rows[of != fold - 1]), whole.subset(rows[of == fold - 1])
    splits.whole = False
    splits.notes.append(f"test: fold {fold} of {folds} of train ({len(splits.test):,} images), data.seed={seed}")


def cut_folds(records: Records, *, folds: int, seed: int, classes: tuple[str, ...] = ()) -> Numbers:
    """The fold of each sample, int64 [n], from 0.

    Classes, attributes, classes of boxes and regions have about their share in every fold. Samples of one group
    (:attr:`Records.groups`, such as an identity) and exact duplicates come to lie in one fold.

    Args:
        records: what to cut.
        folds: into how many.
        seed: of the choice.
        classes: names, for messages.

    Raises:
        UserError: more folds than groups, or, of classes, than groups of the rarest class.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    groups, wanted = groups_of(records), _strata(records)
    number = len(np.unique(groups))
    _refuse_impossible(records, groups, folds, classes)
    alone = number == len(records)
    common = len(wanted) and np.bincount(wanted).max() >= folds
    if alone:
        splitter = (StratifiedKFold if common else KFold)(folds, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = np.zeros(len(records), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strata with fewer samples than folds, such as regions
        for fold, (_, rows) in enumerate(splitter.split(wanted, wanted, groups)):
            found[rows] = fold
    return found


def groups_of(records: Records) -> Numbers:
    """What must stay together, a number for each sample: the same group, or the very same image."""
    own = np.arange(len(records)) if records.groups is None else np.unique(records.groups, return_inverse=True)[1]
    if len(records) > MOST_COMPARED:
        return own.astype(np.int64)
    first: dict[bytes, int] = {}
    same = list(range(int(own.max(initial=-1)) + 1))  # a forest: group -> one that it was joined with

    def root(group: int) -> int:
        while same[group] != group:
            same[group] = group = same[same[group]]
        return group

    for index, group in enumerate(own.tolist()):
        try:
            seen = hashlib.blake2b(records.content(index), digest_size=16).digest()
        except (UnreadableImageError, OSError):
            continue  # an unreadable file is told where it is read to be learnt from
        same[root(group)] = root(first.setdefault(seen, group))
    return np.array([root(group) for group in own.tolist()], dtype=np.int64)


def _strata(records: Records) -> Numbers:
    targets = records.targets
    if isinstance(targets, IdentityTargets):
        return np.zeros(len(records), dtype=np.int64)  # whole identities move
    return strata(targets)


def _refuse_impossible(records: Records, groups: Numbers, folds: int, classes: tuple[str, ...]) -> None:
    targets, number = records.targets, len(np.unique(groups))
    if not are_classes(targets):
        if folds > number:
            works = f"the largest number that works is data.folds={number}"
            raise UserError(f"data.folds={folds}: there are {number} images, or groups of them: {works}")
        return
    pairs = np.unique(np.stack([np.asarray(targets), groups]), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] >= folds:
        return
    name = classes[int(names[rarest])] if classes else str(names[rarest])
    most = int(counts[rarest])
    works = f"the largest number that works is data.folds={most}" if most > 1 else "no number of folds works with it"
    what = "distinct image" if most == 1 else "distinct images"
    raise UserError(f"data.folds={folds}: class {name} has {most} {what}, and each fold needs one: {works}")
