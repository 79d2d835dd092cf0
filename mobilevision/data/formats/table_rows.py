"""The rows of a table: which column is which, and what is wrong with a row."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, final

from mobilevision.data.formats.scan import split_of
from mobilevision.data.formats.text import cells, filled, is_missing
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
        *("label", "labels", "class", "class_name", "category", "target", "species", "breed", "y", "classes"),
        *("class_label", "label_name", "category_name", "class_id", "category_id", "label_id"),
        *("diagnosis", "dx", "finding_labels", "choice"),
    ),
    "split": ("split", "subset", "partition", "set", "data_set", "dataset", *FOLDS),
    "group": (),
}
IDENTITIES = ("identity", "person", "subject", "individual", "patient", "driver")
"""Columns with whom an image shows: what it shows is in another one, where there is one."""
USUAL["identity"] = (*IDENTITIES[:3], *USUAL["label"])
NO_CLASS = (
    *("id", "index", "boxid", "bboxid", "annotationid", "objectid", "no", "number", "source", "confidence", "score"),
    *("isoccluded", "istruncated", "isdepiction", "isinside", "occluded", "truncated", "pose", "depth", "fold", "url"),
    *("filesize", "size", "date", "time", "timestamp", "frame", "video", "videoid", "channels"),
    *("height", "width", "imageheight", "imagewidth", "imgheight", "imgwidth", "aspectratio", "format", "area"),
    *("dataset", "annotator", "createdat", "updatedat", "leadtime", "patientid"),
)
"""What a column that is not the class may be called, without signs; one called otherwise may well be it."""
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
    key: str = "label",
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
        key: what the label is, ``label`` or ``identity``.

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
        label = label_index(wanted.label, head, table, {path, *splits.columns}, key=key, notes=notes)
    except UserError:
        label, hot = None, _one_hot(table, head, {path, *splits.columns}) if wanted.label is None else {}
        if not hot:
            raise
        left = [
            name.strip() for at, name in enumerate(head) if at not in {path, *splits.columns, *hot} and name.strip()
        ]
        unused = f"; not of 0 and 1, so not used: {', '.join(left[:_SHOWN])}" if left else ""
        notes.append(f"{table.name}: a column a class, {len(hot)} classes{unused}")
    width = filled(head) if header else _usual_width(table)
    for number, (line, row) in enumerate(cells(table)):
        if header and number == 0:
            continue
        where = f"{table.name}:{line}"
        if filled(row) > width:
            problems.append(surplus(row, width, where))
            continue
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


def _usual_width(table: Path) -> int:
    """The number of cells that most rows of a table without a header have, empty ones at the end apart."""
    widths = Counter(filled(row) for _, row in cells(table))
    return min(widths, key=lambda width: (-widths[width], width))


def surplus(row: Sequence[str], width: int, where: str) -> Problem:
    """For a row with more cells than the header names, or than other rows have."""
    last = ", ".join(repr(cell.strip()) for cell in row[max(width - 1, 0) : filled(row)])
    what = f"{filled(row)} cells where {width} are expected, the last ones {last}"
    return Problem(where, what, "put quotes around a text that has the separator in it, or complete the header")


MULTI = (
    "this task gives an image one class: keep one label an image, or give each label a column of 0 and 1 and take"
    " task=face_attributes"
)


def single_labels(
    labels: Mapping[str, str], source: str, notes: list[str], multi: str = MULTI, *, blanks: bool = True
) -> dict[str, str]:
    """What each label is as one class; ``['daisy']`` is daisy.

    Args:
        labels: each label with the ``file:line`` where it stands first.
        source: what errors call the table.
        notes: where it is said that names with a separator are taken as they stand.
        multi: what errors say is to be done.
        blanks: whether names between blanks that are labels themselves make a list (``street light`` with ``street``
            and ``light``), as they do rather in a list of an image's labels than in the class of a box.

    Raises:
        UserError: labels that are lists of several classes.
    """
    single: dict[str, str] = {}
    for label, where in labels.items():
        parts = _listed(label)
        if parts is not None and len(parts) != 1:
            raise UserError(f"{source}: {where}: the label is a list, {label}; {multi}")
        if _holds_boxes(label):
            raise UserError(
                f"{source}: {where}: the label {label[:60]!r} is no name but holds boxes: for task=detection give each"
                " a row of its own (filename,class,xmin,ymin,xmax,ymax), or name another column with data.format.label"
            )
        single[label] = label if parts is None else parts[0]
    for separator in "|;, ":
        several = {label: _parts(label, separator) for label in labels if len(_parts(label, separator)) > 1}
        alone = {label for label in labels if label not in several}
        count: Counter[str] = Counter(part for parts in several.values() for part in set(parts))
        count.update(alone)
        known = [label for label, parts in several.items() if all(count[part] > 1 for part in parts)]
        # A list for certain: its parts are classes themselves, or one stands in it twice.
        lists = [label for label in known if alone.issuperset(several[label]) or len(set(several[label])) == 1]
        mostly = bool(known) and 2 * len(known) >= len(several)
        numbers = [label for label, parts in several.items() if all(map(_is_number, parts))]
        lists = lists or [label for label in numbers if not _ONE_NUMBER.fullmatch(label)]
        if separator == " ":  # many names have blanks; few words that make many names of any length are in lists
            lengths = {len(parts) for parts in several.values()}
            lists = lists if blanks else [label for label in lists if label in numbers]
            if blanks and mostly and len(lengths) > 2 and 2 * len(count) <= len(labels):
                lists = lists or known
        elif not lists and mostly:
            lists = known
        if lists:
            one = f" (one name? write {'_'.join(several[lists[0]])})" if separator == " " else ""
            raise UserError(f"{source}: {labels[lists[0]]}: the label is a list, {lists[0]}; {multi}{one}")
        names = [label for label in several if _listed(label) is None]
        if separator == " ":  # said where it may be a list: words of it are classes, or its words stand in others
            names = [label for label in names if alone & set(several[label])] or (names if mostly else [])
        if names:
            notes.append(
                f"names with {separator!r} are taken for one class each ({len(names)}, such as {names[0]!r}): lists of"
                " several classes need a column of 0 and 1 for each, and task=face_attributes"
            )
    return single


_ONE_NUMBER = re.compile(r"\d{1,3}(,\d{3})+|\d+,0+")  # thousands apart, or 1.0 with a decimal comma


def _holds_boxes(label: str) -> bool:
    """Whether four numbers stand behind a word, ``cat 10 10 30 30``, or a document of regions does."""
    runs = [(number, len(list(run))) for number, run in groupby(label.split(), key=_is_number)]
    regions = label.lstrip().startswith(("[{", '{"', "{'")) and _listed(label) is None
    return regions or (len(runs) > 1 and not runs[0][0] and any(number and length > 3 for number, length in runs))


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?", word) is not None


def _parts(label: str, separator: str) -> list[str]:
    """What stands between the separators; a blank behind another separator is none of its own."""
    if separator == " ":
        return [] if re.search(r"[|;,]", label) else label.split()
    return [part.strip() for part in label.split(separator)]


def _listed(label: str) -> list[str] | None:
    """The names in a list as Python or JSON writes it, None for any other text."""
    if len(label) > 4096 or (label[:1], label[-1:]) not in (("[", "]"), ("(", ")"), ("{", "}")):
        return None
    try:
        found = ast.literal_eval(label)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("choices"), list):  # Label Studio's CSV
        found = found["choices"]
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


def _squeezed(name: str) -> str:
    """The same without any sign between the words: ClassName and class_name are one."""
    return re.sub(r"[\W_]+", "", name.lower())


def label_index(
    wanted: Column, head: Sequence[str], table: Path, aside: Collection[int], *, key: str, notes: list[str]
) -> int | None:
    """Number of the column with the class of an image.

    Args:
        wanted: its name or number; None looks for the usual names.
        head: the table's header, empty where it has none.
        table: the file.
        aside: the columns of the path and of splits.
        key: ``label`` or ``identity``.
        notes: where it is said which was taken, if others might be meant.

    Raises:
        UserError: no such column, or several of which any may be it.
    """
    if wanted is not None or not head:
        return column_index(key, wanted, head, table)
    others = [at for at, name in enumerate(head) if name.strip() and at not in aside]
    might_be = [at for at in others if may_be_class(_squeezed(head[at]))]
    found = usual_column(key, [name if at in others else "" for at, name in enumerate(head)])
    if found is None and len(might_be) == 1 and (len(head) == 2 or _plain(head[might_be[0]]) in IDENTITIES):
        found = might_be[0]
    if found is None and len(head) == 2 and len(others) == 1:
        found = others[0]
    if found is None:
        raise no_column("label", None, head, table)
    if rest := [head[at].strip() for at in might_be if at != found]:
        notes.append(chosen_class(table.name, head[found], rest, "csv", "identity" if key == "identity" else "class"))
    return found


def may_be_class(name: str, others: Collection[str] = NO_CLASS) -> bool:
    """Whether a column may hold classes, by its name without signs; ``others`` are names of columns that do not."""
    return bool(name) and name not in others and not name.startswith("unnamed")


def chosen_class(table: str, column: str, rest: Sequence[str], option: str, what: str = "class") -> str:
    """A note for the column that was taken for the class, where ``rest`` might be it as well."""
    listed = ", ".join(rest[:_SHOWN]) + (f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else "")
    return (
        f"{table}: the {what} is the column {column.strip()} (it also has {listed}): data={option}"
        " data.format.label=COLUMN takes another"
    )


def usual_column(key: str, head: Sequence[str]) -> int | None:
    """The first column that is called by one of the usual names of what it holds, the most usual name first."""
    spelt = [[name.strip().lower() for name in head], list(map(_plain, head)), list(map(_squeezed, head))]
    for name in USUAL[key]:
        for names, called in zip(spelt, (name, name, _squeezed(name)), strict=True):
            if called in names:
                return names.index(called)
    return None


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
    if column is None:
        found = usual_column(key, head)
    else:
        wanted = column.strip().lower()
        spelt = ([cell.strip().lower() for cell in head], list(map(_plain, head)))
        found = next((names.index(wanted) for names in spelt if wanted in names), None)
    if found is not None:
        return found
    if column is None and key in ("split", "group"):
        return None
    if column is None and key == "path" and len(head) == 2 and usual_column("label", head[:1]) == 0:
        return 1
    if column is None and (not head or len(head) == 2):
        return 0 if key == "path" else 1
    raise no_column(key, column, head, table)


def no_column(key: str, column: Column, head: Sequence[str], table: Path) -> UserError:
    """The error for a column that is not found."""
    return UserError(
        f"{table}: no column for the {key}{f' named {column}' if column else ''}; it has"
        f" {', '.join(head) or 'no header'}: name one with data=csv data.format.{key}=COLUMN (or its number, from 0)"
    )
