"""Splits completed: a part cut off, class by class; folds for cross-validation; wrong labels on purpose."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilevision.data import attributes
from mobilevision.data.boxes import BoxTargets
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Records, Splits
from mobilevision.data.sampling import LABEL_NOISE, SPLIT, stream
from mobilevision.data.targets import are_classes
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.geo.s2 import cell_ids

_REGION = 4  # level of S2: some 600 km across


def complete(splits: Splits, *, val_fraction: float, test_fraction: float, seed: int) -> None:
    """Cut the missing val, and where the data came without any split also test, from train; say so in the notes.

    A split without a sample counts as missing; what is too small to be cut stays whole. The second call does nothing.

    Args:
        splits: what was read; changed in place.
        val_fraction: share of the training samples that become val; 0 cuts none.
        test_fraction: share that becomes test, only of data without any split.
        seed: of the choice.

    Raises:
        UserError: a fraction outside [0, 1).
    """
    for key, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"data.{key}={fraction}: must be at least 0 and below 1")
    if splits.completed:
        return
    splits.completed = True
    splits.val = splits.val if splits.val is not None and len(splits.val) else None
    splits.test = splits.test if splits.test is not None and len(splits.test) else None
    if splits.train is None or not len(splits.train):
        return
    for name, fraction, part, wanted in (
        ("test", test_fraction, 1, splits.whole and splits.test is None),
        ("val", val_fraction, 0, splits.val is None),
    ):
        if not wanted or not fraction:
            continue
        rest, taken = cut(splits.train, fraction, seed, part=part)
        if len(taken):
            splits.train = rest
            setattr(splits, name, taken)
            splits.notes.append(_note(name, fraction, seed, taken))
        else:
            splits.notes.append(f"no {name}: of {len(splits.train)} training images none can be spared")


def cut(records: Records, fraction: float, seed: int, part: int) -> tuple[Records, Records]:
    """Split in two, taking ``fraction`` of every class (to the nearest sample) where targets are classes.

    A class of one sample stays in the first part, any other gives at least one and keeps at least one. An image with
    boxes goes by the rarest of its classes, see :func:`_rarest`, one with attributes by the rarest that it has, one
    with a place by the region; one with targets of any other kind at random. Where samples have groups, whole groups
    are taken, whatever their classes.

    Args:
        records: what to split.
        fraction: share of the second part.
        seed: of the choice.
        part: another number, another choice.

    Returns:
        The rest and the part, each in the order of ``records``.
    """
    rng, targets = stream(SPLIT, seed, part), records.targets
    chosen = np.zeros(len(records), dtype=bool)
    rows: NDArray[np.int64] = np.arange(len(records))
    if records.groups is not None:
        least = 2 if isinstance(targets, IdentityTargets) else 1  # one person cannot be told from others
        chosen[np.isin(records.groups, _some_groups(records.groups, fraction, rng, least))] = True
        return records.subset(rows[~chosen]), records.subset(rows[chosen])
    if isinstance(targets, BoxTargets | CoordinateTargets) or attributes.is_table(targets):
        chosen[_spread(strata(targets), fraction, rng)] = True
        return records.subset(rows[~chosen]), records.subset(rows[chosen])
    classes = strata(targets)
    order = rng.permutation(len(records))
    grouped = order[np.argsort(classes[order], kind="stable")]
    counts = np.unique(classes, return_counts=True)[1]
    for start, count in zip(np.cumsum(counts) - counts, counts, strict=True):
        chosen[grouped[start : start + _take(int(count), fraction)]] = True
    return records.subset(rows[~chosen]), records.subset(rows[chosen])


def _take(count: int, fraction: float) -> int:
    return min(max(round(count * fraction), 1), count - 1)


def _some_groups(groups: NDArray[np.int64], fraction: float, rng: np.random.Generator, least: int) -> NDArray[np.int64]:
    """Groups drawn at random that hold about ``fraction`` of the samples; at least so many, and not all."""
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    total = np.cumsum(sizes[order])
    number = int(np.abs(total - fraction * len(groups)).argmin()) + 1
    return names[order[: min(max(number, least), len(names) - 1)]]


def strata(targets: Any) -> NDArray[np.int64]:
    """A number for each sample, int64 [n], of what should have its share in both parts; 0 where nothing is known."""
    if isinstance(targets, BoxTargets):
        return _rarest(targets)
    if are_classes(targets):
        return np.asarray(targets, dtype=np.int64)
    if isinstance(targets, CoordinateTargets):  # neighbours on the curve of S2's cells are neighbours on Earth
        regions = cell_ids(targets.places[:, 0], targets.places[:, 1], _REGION)
        return np.unique(regions, return_inverse=True)[1].astype(np.int64)
    return attributes.rarest(targets) if attributes.is_table(targets) else np.zeros(len(targets), dtype=np.int64)


def _rarest(targets: BoxTargets) -> NDArray[np.int64]:
    """For each image the class that fewest boxes have; a number beyond all classes where it has no box."""
    labels = targets.all.labels
    rank = np.argsort(np.argsort(np.bincount(labels, minlength=1), kind="stable"))
    rarest = np.full(len(targets), len(rank), dtype=np.int64)
    image = np.repeat(np.arange(len(targets)), np.diff(targets.offsets))
    np.minimum.at(rarest, image, rank[labels])
    return rarest


def _spread(strata: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows at equal distances in the order of the strata: many small strata give their share together.

    The only row of a stratum is not among them, so that no class leaves the first part for that.
    """
    order = rng.permutation(len(strata))
    grouped = order[np.argsort(strata[order], kind="stable")]
    pool = grouped[np.bincount(strata, minlength=1)[strata[grouped]] > 1]
    count = min(max(round(len(strata) * fraction), 1), len(pool) - 1)
    if count < 1:
        return pool[:0]
    first = rng.uniform(0, len(pool) / count)
    return pool[np.floor(first + np.arange(count) * len(pool) / count).astype(np.int64)]


def _note(split: str, fraction: float, seed: int, records: Records) -> str:
    stratified = isinstance(records.targets, BoxTargets) or are_classes(records.targets)
    how = "class-balanced" if stratified or attributes.is_table(records.targets) else "at random"
    if isinstance(records.targets, CoordinateTargets):
        how = "from all regions"
    if records.groups is not None:
        how = f"{len(np.unique(records.groups))} whole groups"
    return f"no {split}: {fraction * 100:g} % of train ({len(records)}), {how}, data.seed={seed}"


def add_label_noise(splits: Splits, share: float, seed: int, kind: str) -> None:
    """Give a share of the training samples one of the other classes, each as likely; say so in the notes.

    Val and test stay as they are, also a val that was cut from train.

    Args:
        splits: complete and checked; ``train`` is replaced.
        share: of the training samples, to the nearest sample.
        seed: of the choice.
        kind: what is learnt from.

    Raises:
        UserError: a share outside [0, 1), or targets that are no classes.
    """
    if not 0 <= share < 1:
        raise UserError(f"data.label_noise={share:g}: the share of wrong labels is at least 0 and below 1")
    if not share or splits.train is None:
        return
    if kind != "class":
        raise UserError(f"data.label_noise={share:g}: only classes can be made wrong, and the task learns from {kind}")
    rng, number = stream(LABEL_NOISE, seed), len(splits.train)
    rows = rng.permutation(number)[: round(share * number)]
    noisy = splits.train.subset(np.arange(number))
    noisy.targets = noisy.targets.copy()
    noisy.targets[rows] += rng.integers(1, len(splits.classes), len(rows))
    noisy.targets[rows] %= len(splits.classes)
    splits.train = noisy
    said = f"{len(rows):,} of {number:,} training labels made wrong at random"
    splits.notes.append(f"label noise: {said} (data.label_noise={share:g}, data.seed={seed})")


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
    """Group numbers, int64 [n]: samples of one group, or exact duplicates, stay together."""
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
