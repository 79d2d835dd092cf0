"""Checks before training: enough samples and classes, and no silent loss of either."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobilevision.data.boxes import BoxTargets, boxes_a_class
from mobilevision.data.records import Problem, Splits
from mobilevision.data.skipped import SkipLog
from mobilevision.data.targets import are_classes
from mobilevision.errors import UserError

SHOWN = 8
FIRST = 3  # problems that are shown where nothing can be used


def refuse_or_skip(problems: Sequence[Problem], on_error: str, log: SkipLog | None) -> None:
    """Raise for problems found while reading, or list them in the run folder when ``on_error`` is ``skip``.

    Raises:
        UserError: naming the first few problems and counting the rest.
    """
    if on_error not in ("raise", "skip"):
        raise UserError(f"data.on_error={on_error}: must be raise or skip")
    if log is not None:
        log.extend((problem.where, problem.what) for problem in problems)
    elif problems:
        raise UserError(message(problems))


def message(problems: Sequence[Problem]) -> str:
    """The problems as lines, the rest counted."""
    lines = [f"{len(problems)} problem(s) in the data:"]
    lines += [f"  {problem}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"  ... and {len(problems) - SHOWN} more; `mobilevision check-data` lists all")
    return "\n".join([*lines, "Mend them, or leave these out with data.on_error=skip"])


def letters(name: str) -> str:
    """A class name without case and blanks."""
    return "".join(name.split()).casefold()


def alike_classes(splits: Splits) -> None:
    """Note classes whose names differ in upper and lower case or in blanks only, whatever format they come from."""
    by_letters: dict[str, list[str]] = {}
    for name in sorted(splits.classes):
        by_letters.setdefault(letters(name), []).append(name)
    same = [names for names in by_letters.values() if len(names) > 1]
    splits.notes += [
        f"classes {' and '.join(map(repr, names))} differ in case or blanks only: if they are one, write them alike"
        for names in same[:SHOWN]
    ]
    if len(same) > SHOWN:
        splits.notes.append(f"... and {len(same) - SHOWN} more such groups of classes")


def unseen_classes(splits: Splits) -> None:
    """Take classes that train lacks out of val and test, as problems; and unused classes out of the list.

    Only for targets that are class numbers. ``splits`` is changed in place.
    """
    if splits.train is None or not len(splits.train) or not are_classes(splits.train.targets):
        return
    seen = np.isin(np.arange(len(splits.classes)), splits.train.targets)
    if seen.all():
        return
    numbers = np.cumsum(seen) - 1
    for name, records in list(splits.items()):
        known = seen[records.targets]
        for unknown in np.unique(records.targets[~known]):
            count = int((records.targets == unknown).sum())
            what = f"class {splits.classes[unknown]!r} ({count} images) has none in train"
            splits.problems.append(Problem(name, what, "add training images of it or remove it"))
        kept = records.subset(np.flatnonzero(known))
        kept.targets = numbers[kept.targets]
        setattr(splits, name, kept)
    splits.classes = tuple(c for c, s in zip(splits.classes, seen, strict=True) if s)


def classes_without_boxes(splits: Splits) -> None:
    """Note the classes that no training image shows; they stay, so that numbers and outputs are those of the set."""
    if splits.train is None or not isinstance(splits.train.targets, BoxTargets):
        return
    counts = boxes_a_class(splits.train.targets, len(splits.classes))
    if lacking := [name for name, count in zip(splits.classes, counts, strict=True) if not count]:
        listed = ", ".join(lacking[:SHOWN]) + (", ..." if len(lacking) > SHOWN else "")
        splits.notes.append(f"{len(lacking)} of {len(splits.classes)} classes have no training box: {listed}")


def enough(splits: Splits, root: object, kind: str) -> None:
    """Check that there is something to learn or to judge by.

    Raises:
        UserError: no images, fewer than two classes, or a train without a box.
    """
    if not any(len(records) for _, records in splits.items()):
        if not splits.problems:
            raise UserError(f"data.root={root}: no images found")
        lines = [f"data.root={root}: no image can be used; {len(splits.problems)} problem(s), the first:"]
        raise UserError("\n".join([*lines, *(f"  {problem}" for problem in splits.problems[:FIRST])]))
    if len(splits.classes) < 2 and kind == "class":
        raise UserError(
            f"data.root={root}: found {len(splits.classes)} class ({', '.join(splits.classes)}); at least two are"
            " needed, as folders root/CLASS/image or a CSV with columns path,label"
        )
    if kind == "boxes" and splits.train is not None and isinstance(splits.train.targets, BoxTargets):
        boxes = splits.train.targets.all
        if not len(boxes):
            raise UserError(f"data.root={root}: none of the {len(splits.train)} training images has a box")
        if boxes.crowd.all():
            raise UserError(
                f"data.root={root}: nothing can be learnt: all {len(boxes)} training boxes are marked as crowds"
                " (iscrowd, isgroupof), which are left out of training; set the mark to 0 where a box is one object"
            )


_RARE, _FREQUENT = 2, 10  # samples in train of what may be a slip of the pen, and of what may be meant


def likely_misspelt(classes: Sequence[str], counts: Sequence[int]) -> list[str]:
    """A note for each class of one or two samples whose name is one letter from that of a frequent one.

    Args:
        classes: names.
        counts: training samples of each.
    """
    frequent = [(name, count) for name, count in zip(classes, counts, strict=True) if count >= _FREQUENT]
    return [
        f"class {rare!r} ({count} in train) is one letter from {name!r} ({many}): if they are one, write them alike"
        for rare, count in zip(classes, counts, strict=True)
        if 0 < count <= _RARE
        for name, many in frequent
        if _one_letter_apart(rare, name)
    ]


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether a letter was left out, added or changed; digits, which number things, are no slip."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    if len(long) - len(short) > 1 or len(long) < 3:
        return False
    at = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest = short[at + 1 :] if len(short) == len(long) else short[at:]
    letters = long[at : at + 1] + (short[at : at + 1] if len(short) == len(long) else "")
    return long[at + 1 :] == rest and letters.isalpha()
