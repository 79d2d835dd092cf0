"""From what was read of each split to checked splits with one list of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mobilevision.data.boxes import Boxes, BoxTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotated.check_boxes import check_boxes
from mobilevision.data.formats.annotated.pictures import check_pictures
from mobilevision.data.formats.annotated.raw import Raw, many
from mobilevision.data.formats.annotated.units import settled, to_pixels
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

ORDER = ("train", "val", "test")


def make_splits(
    parts: Mapping[str, Raw],
    splits: Splits,
    *,
    root: Path,
    channels: int,
    classes: Sequence[str] | None = None,
    keep_repeats: bool = False,
    units: str | None = None,
) -> Splits:
    """Check every split and make records of it.

    Args:
        parts: split -> what was read.
        splits: problems and notes so far; filled in and returned.
        root: what a user calls the data, for errors.
        channels: channels of a picture.
        classes: the class names, where the format lists them; None takes those of train (of all, without a train),
            numbers by value and words by letter.
        keep_repeats: let boxes stay that repeat another exactly.
        units: ``pixels``, ``fractions`` or ``percent``; None recognises what the boxes are in.

    Raises:
        UserError: no picture is there, or there is not one box.
    """
    learnt = [parts["train"]] if "train" in parts else list(parts.values())
    if classes is None:
        classes = in_order({name for part in learnt for name in part.names})
    splits.classes = tuple(classes)
    splits.notes += alike({*splits.classes, *(name for raw in parts.values() for name in raw.names)})
    parts = settled(parts, splits.notes, units)
    seen: dict[bytes, str] = {}
    for split in (name for name in ORDER if name in parts):
        raw = check_pictures(parts[split], seen, splits.problems, splits.notes)
        raw = _numbered(raw, split, splits.classes, splits.problems)
        raw = check_boxes(to_pixels(raw), splits.problems, splits.notes, keep_repeats=keep_repeats)
        setattr(splits, split, records(raw, channels))
        splits.notes.append(_count(split, raw))
    _not_nothing(splits, root)
    return splits


def records(raw: Raw, channels: int) -> FileRecords:
    """Checked pictures and boxes as records; the boxes of a picture keep their order."""
    order = np.argsort(raw.owner, kind="stable")
    boxes = Boxes(raw.corners[order], raw.labels[order], raw.crowd[order], raw.difficult[order], raw.area[order])
    counts = np.bincount(raw.owner, minlength=len(raw.paths)).astype(np.int64)
    return FileRecords(paths=raw.paths, targets=BoxTargets(counts, boxes), channels=channels)


def in_order(names: Iterable[str]) -> list[str]:
    """Numbers by value, words by letter."""
    found = set(names)
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found)


def alike(names: Iterable[str]) -> list[str]:
    """A note for classes whose names differ in upper and lower case or in blanks only."""
    by_letters: dict[str, list[str]] = {}
    for name in sorted(names):
        by_letters.setdefault("".join(name.split()).casefold(), []).append(name)
    return [
        f"classes {' and '.join(map(repr, same))} differ in case or blanks only: if they are one, write them alike"
        for same in by_letters.values()
        if len(same) > 1
    ]


def _numbered(raw: Raw, split: str, classes: tuple[str, ...], problems: list[Problem]) -> Raw:
    """Labels as places in ``classes``; a class that is not among them is a problem, its boxes are left out."""
    if raw.names == classes:
        return raw
    for unknown in (number for number, name in enumerate(raw.names) if name not in classes):
        rows = np.flatnonzero(raw.labels == unknown)
        if len(rows):
            name = raw.names[unknown]
            what = f"class {name!r} ({many(len(rows), 'box')} in {split}) has none in train"
            same = [known for known in classes if alike((known, name))]
            fix = f"is it {same[0]!r}? Then write it so" if same else "add it to train or remove those boxes"
            problems.append(Problem(raw.box_at(int(rows[0])), what, fix))
    return raw.named(classes)


def _count(split: str, raw: Raw) -> str:
    empty = len(raw.paths) - len(np.unique(raw.owner))
    parts = [many(len(raw.paths), "picture"), many(len(raw.owner), "box")]
    parts += [f"{int(raw.crowd.sum())} of them crowd"] if raw.crowd.any() else []
    parts += [f"{int(raw.difficult.sum())} of them difficult"] if raw.difficult.any() else []
    parts += [many(empty, "picture") + " without any"] if empty else []
    return f"{split}: {', '.join(parts)}"


def _not_nothing(splits: Splits, root: Path) -> None:
    boxes = sum(len(held.targets.all) for _, held in splits.items() if isinstance(held.targets, BoxTargets))
    if not boxes:
        first = (
            f"; the first of {many(len(splits.problems), 'problem')}: {splits.problems[0]}" if splits.problems else ""
        )
        raise UserError(f"data.root={root}: no usable box in it{first}")
