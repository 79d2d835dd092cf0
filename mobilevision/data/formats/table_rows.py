"""The rows of a table: which column is which, and what is wrong with a row."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, final

from mobilevision.data.formats.scan import split_of
from mobilevision.data.formats.text import cells, is_missing
from mobilevision.data.records import Problem
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix

FOLDS = ("fold", "kfold", "folds", "k_fold", "cv_fold", "fold_id")  # numbers of a cross-validation
USUAL = {
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "image", "image_path", "image_id", "img_id", "img"),
        *("name", "file_path", "filepaths", "filenames", "img_path", "image_name", "image_file", "image_index"),
        *("images", "files", "picture", "photo", "imageid", "image_filename", "id_code", "id", "fname"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "category", "target", "species", "breed", "y", "identity"),
        *("person", "subject", "classes", "class_label", "label_name", "category_name", "class_id", "category_id"),
        *("diagnosis", "dx", "finding_labels"),
    ),
    "split": ("split", "subset", "partition", "set", "data_set", "dataset", *FOLDS),
    "group": (),
}
FLAGS = {"is_train": "train", "is_valid": "val", "is_val": "val", "is_test": "test"}
_YES = ("1", "1.0", "true", "yes", "t", "y")
_NO = ("0", "0.0", "false", "no", "f", "n")
_SHOWN = 8


Column = str | int | None
"""A column by header name or number from 0; None is to be found, or need not be there."""


class Columns(NamedTuple):
    """The columns wanted.

    Attributes:
        path: of the image, or its id.
        label: its class.
        split: train, val or test; or numbers of the folds of a cross-validation.
        group: what must not be torn apart when a split is cut off, such as a person or an author; ``folder`` for the
            path's.
        latitude: degrees north.
        longitude: degrees east.
        attributes: what to learn, by header name; None takes all other columns.
        fold: the number of the fold that is val; None takes the lowest.
    """

    path: Column = None
    label: Column = None
    split: Column = None
    group: Column = None
    latitude: Column = None
    longitude: Column = None
    attributes: Sequence[str] | None = None
    fold: int | None = None


class Row(NamedTuple):
    """One row; ``where`` is ``file:line``, ``split`` is None where it is not known; the label may not be UTF-8."""

    path: bytes
    label: str
    split: str | None
    where: str


@final
class SplitColumn:
    """Which split a row belongs to, by the table's own column, where it has one.

    The column may hold names of splits, the numbers of a cross-validation's folds (one of them is val, the others
    train), or say yes or no as ``is_valid`` does.

    Args:
        table: the file.
        head: its header, empty where it has none.
        wanted: the column that the user named, or None.
        fold: number of the fold that is val; None takes the lowest.
        notes: where it is said which fold is val.

    Raises:
        UserError: no such column, or no such fold.
    """

    def __init__(self, table: Path, head: Sequence[str], wanted: Column, fold: int | None, notes: list[str]) -> None:
        self.at = column_index("split", wanted, head, table)
        self._fold: int | None = None
        names = list(map(_plain, head))
        self._flags = {names.index(flag): split for flag, split in FLAGS.items() if flag in names and self.at is None}
        if self.at is None:
            if fold is not None:
                raise UserError(
                    f"data.format.fold={fold}: {table.name} has no column of folds; name it, data.format.split="
                )
            return
        called = head[self.at].strip() if head else str(self.at)
        if head and _plain(called) not in FOLDS and fold is None:
            return
        numbers = self._numbers(table, bool(head))
        if len(numbers) < 2:
            return
        self._fold = min(numbers) if fold is None else fold
        if self._fold not in numbers:
            have = ", ".join(map(str, sorted(numbers)[:_SHOWN]))
            raise UserError(f"data.format.fold={fold}: the column {called} of {table.name} has the folds {have}")
        notes.append(
            f"column {called} holds {len(numbers)} folds: {self._fold} is val, the others train"
            " (data.format.fold=NUMBER takes another)"
        )

    @property
    def there(self) -> bool:
        """Whether the table says anything of splits."""
        return self.at is not None or bool(self._flags)

    @property
    def columns(self) -> set[int]:
        """The numbers of its columns."""
        return set(self._flags) if self.at is None else {self.at}

    def of(self, row: Sequence[str], default: str) -> str | None:
        """The split of a row, ``default`` where the row leaves it open, None for a word that is no split's."""
        if self._flags:
            chosen = [split for at, split in self._flags.items() if at < len(row) and row[at].strip().lower() in _YES]
            return chosen[-1] if chosen else "train"
        said = self.said(row)
        if not said:
            return default
        if self._fold is not None and _is_fold(said):
            return "val" if int(float(said)) == self._fold else "train"
        return split_of(said)

    def said(self, row: Sequence[str]) -> str:
        """What the row has in the column."""
        return "" if self.at is None or self.at >= len(row) else row[self.at].strip()

    def problem(self, row: Sequence[str], where: str) -> Problem:
        """For a word that is no split's."""
        fix = "write train, val or test, or name another column with data.format.split"
        return Problem(where, f"unknown split {self.said(row)!r}", fix)

    def _numbers(self, table: Path, header: bool) -> set[int]:
        """The folds, empty where anything but small whole numbers stands in the column."""
        found: set[int] = set()
        for number, (_, row) in enumerate(cells(table)):
            said = self.said(row)
            if (header and number == 0) or not said:
                continue
            if not _is_fold(said):
                return set()
            found.add(int(float(said)))
        return found


def _is_fold(said: str) -> bool:
    return re.fullmatch(r"\d{1,3}(\.0)?", said, re.ASCII) is not None


def rows(
    table: Path,
    wanted: Columns,
    problems: list[Problem],
    notes: list[str],
    *,
    default: str,
    is_file: Callable[[str], bool],
) -> Iterator[Row]:
    """The rows of a table.

    Args:
        table: the file, see :func:`cells`; with or without a header. In place of a column of labels it may have one of
            0 and 1 for each class.
        wanted: which columns to read.
        problems: where rows that cannot be read are noted.
        notes: where it is said what was taken for what.
        default: the split of rows that name none.
        is_file: whether an image is called so; asked of the first line, to know whether it is a header.

    Raises:
        UserError: a column that the table has not, or an empty table.
    """
    first = next(cells(table))[1]
    header = _is_header(first, is_file)
    head = first if header else []
    path = column_index("path", wanted.path, head, table)
    assert path is not None
    splits = SplitColumn(table, head, wanted.split, wanted.fold, notes)
    hot: dict[int, str] = {}
    try:
        label = column_index("label", wanted.label, head, table)
    except UserError:
        label, hot = None, _one_hot(table, head, {path, *splits.columns}) if wanted.label is None else {}
        if not hot:
            raise
        notes.append(f"{table.name}: a column a class, {len(hot)} classes")
    for number, (line, row) in enumerate(cells(table)):
        if header and number == 0:
            continue
        where = f"{table.name}:{line}"
        if path >= len(row) or not row[path].strip():
            problems.append(Problem(where, "the path is missing", "complete the row or remove it"))
            continue
        if hot:
            on = [name for at, name in hot.items() if at < len(row) and row[at].strip().lower() in _YES]
            if len(on) > 1:
                raise UserError(f"{table}:{line}: the image has {len(on)} classes ({', '.join(on[:3])}); {MULTI}")
            said = on[0] if on else ""
        else:
            said = row[label].strip() if label is not None and label < len(row) else ""
        if is_missing(said):
            fix = "label it or remove the row" + (f"; {said} says nothing: call a class otherwise" if said else "")
            problems.append(Problem(where, f"no label for {row[path].strip()}", fix))
            continue
        split = splits.of(row, default)
        if split is None:
            problems.append(splits.problem(row, where))
            continue
        yield Row(os.fsencode(row[path].strip()), said, split if splits.there else None, where)


MULTI = (
    "this task gives an image one class: keep one label an image, or give each label a column of 0 and 1 and take"
    " task=face_attributes"
)


def single_labels(labels: Mapping[str, str], source: str, notes: list[str], multi: str = MULTI) -> dict[str, str]:
    """What each label is as one class; ``['daisy']`` is daisy.

    Args:
        labels: each label with the ``file:line`` where it stands first.
        source: what errors call the table.
        notes: where it is said that names with a separator are taken as they stand.
        multi: what errors say is to be done.

    Raises:
        UserError: labels that are lists of several classes.
    """
    single: dict[str, str] = {}
    for label, where in labels.items():
        parts = _listed(label)
        if parts is not None and len(parts) != 1:
            raise UserError(f"{source}: {where}: the label is a list, {label}; {multi}")
        single[label] = label if parts is None else parts[0]
    for separator in "|;,":
        several = {label: [part.strip() for part in label.split(separator)] for label in labels if separator in label}
        alone = {label for label in labels if separator not in label}
        count: Counter[str] = Counter(part for parts in several.values() for part in set(parts))
        count.update(alone)
        known = [label for label, parts in several.items() if all(count[part] > 1 for part in parts)]
        # A list for certain: its parts are classes themselves, or one stands in it twice.
        lists = [label for label in known if alone.issuperset(several[label]) or len(set(several[label])) == 1]
        if not lists and 2 * len(known) >= len(several):
            lists = known
        if lists:
            raise UserError(f"{source}: {labels[lists[0]]}: the label is a list, {lists[0]}; {multi}")
        names = [label for label in several if _listed(label) is None]
        if names:
            notes.append(
                f"names with {separator!r} are taken for one class each ({len(names)}, such as {names[0]!r}): lists of"
                " several classes need a column of 0 and 1 for each, and task=face_attributes"
            )
    return single


def _listed(label: str) -> list[str] | None:
    """The names in a list as Python or JSON writes it, None for any other text."""
    if len(label) > 4096 or (label[:1], label[-1:]) not in (("[", "]"), ("(", ")"), ("{", "}")):
        return None
    try:
        found = ast.literal_eval(label)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(found, list | tuple | set) or not all(isinstance(each, str | int) for each in found):
        return None
    return sorted(map(str, found))


def _is_header(first: Sequence[str], is_file: Callable[[str], bool]) -> bool:
    if any(has_image_suffix(cell.strip()) for cell in first):
        return False
    usual = {name for names in USUAL.values() for name in names}
    return bool(usual & set(map(_plain, first))) or not any(cell.strip() and is_file(cell.strip()) for cell in first)


def _one_hot(table: Path, head: Sequence[str], others: set[int]) -> dict[int, str]:
    """Column -> class, where all columns but ``others`` hold yes or no; empty where they do not."""
    columns = {at: name.strip() for at, name in enumerate(head) if at not in others and name.strip()}
    ones: Counter[int] = Counter()
    for number, (_, row) in enumerate(cells(table)):
        if number:
            said = {at: row[at].strip().lower() if at < len(row) else "" for at in columns}
            columns = {at: name for at, name in columns.items() if said[at] in (*_YES, *_NO)}
            ones.update(at for at in columns if said[at] in _YES)
    return columns if len(columns) > 1 and any(ones[at] for at in columns) else {}


def _plain(name: str) -> str:
    """A column's name without case, blanks and signs."""
    return re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_")


def column_index(key: str, column: Column, head: Sequence[str], table: Path) -> int | None:
    """Number of a column, or None for a split column that there need not be.

    Args:
        key: what the column holds, a key of ``USUAL``.
        column: its name or number; None looks for the usual names.
        head: the table's header, empty where it has none.
        table: the file.

    Raises:
        UserError: no such column.
    """
    if isinstance(column, int):
        return column
    names, plain = [cell.strip().lower() for cell in head], list(map(_plain, head))
    for name in USUAL[key] if column is None else (column.strip().lower(),):
        for there in (names, plain):
            if name in there:
                return there.index(name)
    if column is None and key in ("split", "group"):
        return None
    if column is None and (not head or len(head) == 2):
        return ("path", "label").index(key)
    raise UserError(
        f"{table}: no column for the {key}{f' named {column}' if column else ''}; it has"
        f" {', '.join(head) or 'no header'}: name one with data.format.{key}=COLUMN (or its number, from 0)"
    )
