"""CSV of boxes: a row a box, with the image it is in, its class and its sides."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.image_lookup import (
    annotation_files,
    one_a_split,
    unused_lists,
    with_paths,
)
from mobilevision.data.formats.annotations.raw import ROTATIONS, Collector, Raw, degrees_of, flag, join, many
from mobilevision.data.formats.annotations.splits import checked, make_splits
from mobilevision.data.formats.scan import ALIASES, named_file
from mobilevision.data.formats.table_rows import (
    NO_CLASS,
    USUAL,
    Column,
    chosen_class,
    may_be_class,
    single_labels,
    surplus,
)
from mobilevision.data.formats.text import cells, filled, is_missing, is_text, suspicious_names
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix
from mobilevision.ranges import Items, NonNegativeInt, check_ranges

# Which column of a box table is which.

# Sides as they are written; what they hold is in the second entry of each.
SIDES = (
    (("xmin", "ymin", "xmax", "ymax"), "corners"),
    (("left", "top", "right", "bottom"), "corners"),
    (("x0", "y0", "x1", "y1"), "corners"),
    (("x1", "y1", "x2", "y2"), "corners"),
    (("x", "y", "w", "h"), "size"),
    (("x", "y", "width", "height"), "size"),
    (("left", "top", "width", "height"), "size"),
    (("xmin", "ymin", "width", "height"), "size"),
    (("xcenter", "ycenter", "width", "height"), "centre"),
    (("xcenter", "ycenter", "w", "h"), "centre"),
    (("cx", "cy", "w", "h"), "centre"),
    (("cx", "cy", "width", "height"), "centre"),
    (("xc", "yc", "w", "h"), "centre"),
    (("xc", "yc", "width", "height"), "centre"),
    (("minx", "miny", "maxx", "maxy"), "corners"),
    (("xtl", "ytl", "xbr", "ybr"), "corners"),
    (("colmin", "rowmin", "colmax", "rowmax"), "corners"),
    (("mincol", "minrow", "maxcol", "maxrow"), "corners"),
)
PREFIXES = ("bbox", "box", "")
CELLS = {
    **dict.fromkeys(("bbox", "box", "boundingbox", "bboxxywh", "boxxywh"), "size"),
    **dict.fromkeys(("bboxxyxy", "boxxyxy"), "corners"),
    **dict.fromkeys(("bboxcxcywh", "boxcxcywh"), "centre"),
}
"""Columns with the four numbers of a box in one cell."""
MEANING = {
    "size": "left, top, width, height",
    "corners": "left, top, right, bottom",
    "centre": "centre x, centre y, width, height",
}
TEXTS = ("predictionstring", "annotations", "boxes", "bboxes", "regions", "objects")  # several boxes in one cell
SIDE_NAME = re.compile(
    r"(bbox|box)?(x|y|w|h|(cx|cy|xc|yc|width|height|left|top|right|bottom|row|col|min|max|cent(er|re)|radius|[xywh\d])+)"
)
"""What columns with the sides of boxes are called, not all of which are known."""
SIDE_NAME_LENGTH = 24  # letters at most
PATH = (*USUAL["path"], "imageid", "imagename", "imgpath", "imagefilename")
LABEL = (
    *USUAL["label"],
    *("labelname", "classname", "categoryname", "classlabel", "objectclass", "objecttype", "objectname", "object"),
    *("celltype", "kind", "type", "tag", "tags", "tagname", "defect", "defecttype", "symbol", "disease"),
    *("classid", "categoryid", "labelid", "name"),
)
ROTATION = (*ROTATIONS, "rot", "rotationangle", "rotationdeg", "angledeg", "anglerad", "degrees")
NO_BOX_CLASS = (*ROTATION, *NO_CLASS)
NONE = "none"  # as the label: all boxes are of one class
SPLIT = USUAL["split"]
IMAGE_SIZES = (("imageheight", "imagewidth"), ("imgheight", "imgwidth"), ("height", "width"))
FLAGS = {"crowd": ("iscrowd", "crowd", "isgroupof"), "difficult": ("difficult", "isdifficult"), "area": ("area",)}

# Without a header: as keras-retinanet and as TensorFlow's tutorials write it.
BARE = {
    6: ("path", "xmin", "ymin", "xmax", "ymax", "label"),
    8: ("path", "width", "height", "label", "xmin", "ymin", "xmax", "ymax"),
}
SIZE_LAST = ("path", "xmin", "ymin", "xmax", "ymax", "label", "width", "height")  # SKU-110K


def bare_names(first: Sequence[str]) -> tuple[str, ...]:
    """What the columns of a table without a header are taken for, by its first row."""
    size_last = len(first) == 8 and bool(first[5].strip()) and math.isnan(_number(first[5]))
    return SIZE_LAST if size_last and not math.isnan(_number(first[3])) else BARE[len(first)]


def in_words(names: Sequence[str]) -> str:
    """An order of columns as messages say it."""
    words = {"path": "image", "label": "class", "xmin": "left", "ymin": "top", "xmax": "right", "ymax": "bottom"}
    return ", ".join(words.get(name, name) for name in names)


@final
class BoxTableError(UserError):
    """A table of boxes all right, but one that cannot be read as it is."""


class Wanted(NamedTuple):
    """Columns a user named, by header name or number from 0; None is to be found."""

    path: Column = None
    label: Column = None
    split: Column = None
    box: Sequence[str | int] | None = None


@final
class Layout(NamedTuple):
    """The numbers of the columns; None for those that a table has not.

    ``form`` says what the sides hold: ``corners`` (left, top, right, bottom), ``size`` (left, top, width, height),
    ``centre`` (centre x and y, width, height) or ``points`` (x and y of three or more); all in a cell where ``sides``
    is one column. ``size`` is (height, width) of the image; ``rotation`` may turn the box; ``others`` are
    columns that might be the class, too.
    """

    path: int
    label: int | None
    split: int | None
    sides: tuple[int, ...]
    form: str
    size: tuple[int, int] | None
    crowd: int | None
    difficult: int | None
    area: int | None
    rotation: int | None
    header: bool
    others: tuple[str, ...]


def layout_of(head: Sequence[str], table: Path, wanted: Wanted) -> Layout:
    """The columns by a table's first row.

    Raises:
        UserError: a column that is needed is not found.
    """
    header = not any(has_image_suffix(cell.strip()) for cell in head)
    if not header and len(head) not in BARE:
        raise UserError(f"{table}: {len(head)} columns and no header: add one, say filename,class,xmin,ymin,xmax,ymax")
    names = [_plain(cell) for cell in (head if header else bare_names(head))]
    sides, form = _sides(names, head, table, wanted.box)
    path = _column(names, head, "path", wanted.path, PATH, table)
    if path is None:
        raise _lacking("images", "path=COLUMN", head, table)
    taken = {*sides, path}
    size = next((pair for pair in IMAGE_SIZES if all(name in names for name in pair)), None)
    numbers = tuple(names.index(name) for name in size) if size else ()
    flags = {key: next((names.index(name) for name in usual if name in names), None) for key, usual in FLAGS.items()}
    split = _column(names, head, "split", wanted.split, SPLIT, table, taken)
    label = None if wanted.label == NONE else _column(names, head, "label", wanted.label, LABEL, table, taken)
    known = {*taken, *numbers, split, label, *flags.values()}
    rest = [
        head[i].strip()
        for i, name in enumerate(names)
        if i not in known and may_be_class(name, NO_BOX_CLASS) and not _is_side(name)
    ]
    if label is None and wanted.label != NONE and rest and header:
        raise BoxTableError(
            f"{table}: which of the columns {', '.join(rest)} is the class? Name it with data=boxes_csv"
            f" data.format.label=COLUMN; data.format.label={NONE} where all boxes are of one class"
        )
    turns = {prefix + name for prefix in PREFIXES for name in ROTATION}
    rotation = next((at for at, name in enumerate(names) if name in turns and at not in {*taken, split, label}), None)
    return Layout(
        rotation=rotation,
        path=path,
        label=label,
        split=split,
        sides=sides,
        form=form,
        size=(numbers[0], numbers[1]) if numbers and not taken & set(numbers) else None,
        header=header,
        others=tuple(rest) if header and wanted.label is None else (),
        **flags,
    )


def _sides(
    names: list[str], head: Sequence[str], table: Path, wanted: Sequence[str | int] | None
) -> tuple[tuple[int, ...], str]:
    if wanted is not None:
        if len(wanted) != 4:
            raise UserError(f"data.format.box={list(wanted)}: name four columns, left, top, right, bottom")
        found = [_named(names, head, "box", column, table) for column in wanted]
        return tuple(found), "corners"
    if "regionshapeattributes" in names:
        raise BoxTableError(f"{table}: this is VIA's CSV, which is not read: export as json or COCO")
    for prefix in PREFIXES:
        if points := _points(names, prefix):
            return points, "points"
        for sides, form in SIDES:
            if all(prefix + side in names for side in sides):
                return tuple(names.index(prefix + side) for side in sides), form
    for name, form in CELLS.items():
        if name in names:
            return (names.index(name),), form
    if {"annotationid", "annotator"} <= set(names):
        raise UserError(f"{table}: this is Label Studio's CSV, of which no boxes are read: export as JSON or COCO")
    if held := [head[at].strip() for at, name in enumerate(names) if name in TEXTS]:
        raise UserError(
            f"{table}: no columns for the boxes; several in the cells of {held[0]} are not read: give each a row of its"
            " own, filename,class,xmin,ymin,xmax,ymax"
        )
    raise _lacking("boxes", "box=[LEFT,TOP,RIGHT,BOTTOM]", head, table)


def _points(names: list[str], prefix: str) -> tuple[int, ...]:
    """The columns of x1, y1, x2, y2, x3, y3 ..., of three points or more; counted from 0 or 1."""
    first = 0 if {prefix + "x0", prefix + "y0"} <= set(names) else 1
    found: list[int] = []
    for number in range(first, len(names)):
        if not {f"{prefix}x{number}", f"{prefix}y{number}"} <= set(names):
            break
        found += [names.index(f"{prefix}x{number}"), names.index(f"{prefix}y{number}")]
    return tuple(found) if len(found) > 4 else ()


def _column(
    names: list[str],
    head: Sequence[str],
    key: str,
    wanted: Column,
    usual: Sequence[str],
    table: Path,
    taken: Collection[int] = (),
) -> int | None:
    if wanted is not None:
        return _named(names, head, key, wanted, table)
    found = (names.index(_plain(name)) for name in usual if _plain(name) in names)
    return next((number for number in found if number not in taken), None)


def _named(names: list[str], head: Sequence[str], key: str, column: str | int, table: Path) -> int:
    number = column if isinstance(column, int) else next((i for i, n in enumerate(names) if n == _plain(column)), -1)
    if not 0 <= number < len(head):
        raise UserError(f"{table}: data.format.{key} names the column {column}, but it has {', '.join(head)}")
    return number


def _lacking(what: str, fix: str, head: Sequence[str], table: Path) -> UserError:
    return UserError(
        f"{table}: no columns for the {what}; it has {', '.join(head)}: name them with data=boxes_csv data.format.{fix}"
    )


def _is_side(name: str) -> bool:
    return len(name) <= SIDE_NAME_LENGTH and SIDE_NAME.fullmatch(name) is not None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


MULTI = "a box has one class: keep one, or give each class a row of its own"


@final
class HeaderlessOrder:
    """Whether the columns of a table without a header can be in the order that is assumed.

    ``xmin, xmax, ymin, ymax`` and a class in front are usual, too, and mostly give four numbers as well.
    """

    def __init__(self) -> None:
        self.rows = self.impossible = 0
        self.class_first = self.by_axis = True
        self.eight = self.size_last = 0

    def add(self, numbers: Sequence[float], last: str) -> None:
        """A row: the four numbers behind the image, and what stands behind them."""
        a, b, c, d = numbers
        self.rows += 1
        self.impossible += c < a or d < b
        self.by_axis &= b > a and d > c
        self.class_first &= a >= 0 and a.is_integer() and d > b and _number(last) > c

    def add_with_size(self, row: Sequence[str]) -> None:
        """A row of eight columns: image, then seven numbers, of which one is the class."""
        a, b, c, d, _, width, height = map(_number, row[1:8])
        self.eight += 1
        beyond = _number(row[6]) > a or _number(row[7]) > b  # a and b would be the width and height
        self.size_last += beyond and 0 <= a < c <= width and 0 <= b < d <= height

    def refused(self) -> str:
        """Why the order cannot be told; empty where it can."""
        if self.eight and self.size_last == self.eight:
            return f"no box would lie in its image, so that it may be {in_words(SIZE_LAST)}"
        if not self.rows:
            return ""
        if self.class_first:
            return "the last column holds numbers and may be the bottom of a box whose class stands in front"
        wrong = f"{self.impossible} of {many(self.rows, 'box')} had left > right or top > bottom, so that it may be "
        if self.impossible and self.by_axis:
            return wrong + "xmin, xmax, ymin, ymax"
        return wrong + "x, y, width, height" if 2 * self.impossible > self.rows else ""


@final
class BoxTable:
    """One table, read split by split.

    Args:
        table: the file; comma, semicolon, tab or bar between columns.
        called: what messages call it.
        wanted: the columns that the user named.
        problems: added to.

    Raises:
        UserError: an empty table, or one without the columns.
    """

    def __init__(self, table: Path, called: str, wanted: Wanted, problems: list[Problem]) -> None:
        self.table, self.called, self.problems = table, called, problems
        head = next(cells(table))[1]
        self.layout, self._head = layout_of(head, Path(called), wanted), head
        self._width = filled(head) if self.layout.header else len(head)
        self._named = wanted.box is not None
        if self._named:  # a user who names the sides knows what they are
            self.layout = self.layout._replace(rotation=None)
        self.notes: list[str] = []
        self._order = HeaderlessOrder()
        self._labels: dict[str, str] = {}
        self._parts: dict[str, Collector] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def read(self, default: str) -> dict[str, Raw]:
        """The splits in it, by the split column where there is one, else all of it as ``default``."""
        for line, row in islice(cells(self.table), int(self.layout.header), None):
            self._row(line, row, default)
        layout = self.layout
        if not layout.header and not self._named:
            order = in_words(bare_names(self._head))
            fix = "add a header, say filename,xmin,ymin,xmax,ymax,class, with the columns in their order"
            if why := self._order.refused():
                raise UserError(f"{self.called}: no header; the order would be {order}, but {why}: {fix}")
            self.notes.append(f"{self.called} has no header: its columns are taken for {order}")
        if layout.others and layout.label is not None:
            self.notes.append(chosen_class(self.called, self._head[layout.label], layout.others, "boxes_csv"))
        if len(layout.sides) == 1:
            self.notes.append(f"{self.called}: four numbers in a cell are taken for {MEANING[layout.form]}")
        if layout.form == "points":
            self.notes.append(f"{self.called}: the box around {len(layout.sides) // 2} points a row is taken")
        single = single_labels(self._labels, f"data.root={self.table.parent}", self.notes, MULTI, blanks=False)
        self.notes += suspicious_names(self._labels)
        raws = {split: collector.done() for split, collector in self._parts.items()}
        return {
            split: replace(raw, names=tuple(single.get(name, name) for name in raw.names))
            for split, raw in raws.items()
        }

    def _row(self, line: int, row: list[str], default: str) -> None:
        at, layout = (self.called, line), self.layout
        if filled(row) > self._width:
            self.problems.append(surplus(row, self._width, f"{self.called}:{line}"))
            return
        needed = max(layout.path, *layout.sides) + 1
        if len(row) < needed or not row[layout.path].strip():
            self._wrong(line, f"{len(row)} cells where {needed} are needed, or no image named", "complete the row")
            return
        row = [cell.strip() for cell in row]
        named = _cell(row, layout.split)
        split = ALIASES.get(named.lower()) if named else default
        if split is None:
            self._wrong(line, f"unknown split {named!r}", "write train, val or test")
            return
        collector = self._parts.setdefault(split, Collector())
        key = split, row[layout.path]
        if key not in self._numbers:
            self._numbers[key] = collector.image(os.fsencode(key[1]), at, _size(row, layout))
        self._box(line, row, collector, self._numbers[key])

    def _box(self, line: int, row: list[str], collector: Collector, image: int) -> None:
        layout = self.layout
        label = _cell(row, layout.label) if layout.label is not None else "object"
        texts = [row[side] for side in layout.sides]
        if len(layout.sides) == 1:
            inner = texts[0].strip("[](){} ")
            texts = [text.strip() for text in inner.replace(",", " ").split()] if not _is_empty(inner) else [""]
        unlabelled = layout.label is not None and _is_empty(label)
        zero = ("0", "0.0") if unlabelled else ()
        if (unlabelled or layout.label is None) and all(_is_empty(text) or text in zero for text in texts):
            return  # an image without objects
        if unlabelled:
            self._wrong(line, "a box without a class", "name its class, or empty its numbers for an image without any")
            return
        if not is_text(label):
            self._wrong(line, "the class is not text in UTF-8", "save the table as UTF-8")
            return
        if layout.form == "points":  # polygons of several lengths end in empty cells
            texts = [text for pair in zip(texts[::2], texts[1::2], strict=True) if "".join(pair) for text in pair]
        try:
            numbers = [float(text) for text in texts]
            if len(numbers) < 6 if layout.form == "points" else len(numbers) != 4:
                raise ValueError
        except ValueError:
            wanted = "the x and y of three points or more" if layout.form == "points" else "four numbers"
            fix = "mend or remove the row"
            if not layout.header and not self._named:
                fix += f"; without a header, its columns are taken for {in_words(bare_names(self._head))}"
            self._wrong(line, f"the box is {', '.join(map(repr, texts))}, not {wanted}", fix)
            return
        self._labels.setdefault(label, f"{self.called}:{line}")
        if degrees := degrees_of(_cell(row, layout.rotation)):
            raise UserError(
                f"{self.called}:{line}: {self._head[layout.rotation or 0].strip()} is {degrees:g}, so that the box is"
                " turned, and tools differ in the point and the direction: write the sides of the box around it, or"
                " remove the column if it says something else"
            )
        if layout.form == "points":
            numbers = [min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])]
        a, b, c, d = numbers
        if not layout.header and not self._named:
            if self._width == len(BARE[6]):
                self._order.add(numbers, label)
            elif layout.label == BARE[8].index("label"):
                self._order.add_with_size(row)
        corners = {
            "corners": (a, b, c, d),
            "points": (a, b, c, d),
            "size": (a, b, a + c, b + d),
        }.get(layout.form, (a - c / 2, b - d / 2, a + c / 2, b + d / 2))
        collector.box(
            image,
            corners,
            collector.label(label),
            (self.called, line),
            crowd=bool(flag(_cell(row, layout.crowd))),
            difficult=bool(flag(_cell(row, layout.difficult))),
            area=_number(_cell(row, layout.area)),
        )

    def _wrong(self, line: int, what: str, fix: str) -> None:
        self.problems.append(Problem(f"{self.called}:{line}", what, fix))


def _is_empty(cell: str) -> bool:
    return is_missing(cell) or cell.lower() == "none"


def _cell(row: list[str], number: int | None) -> str:
    return row[number] if number is not None and number < len(row) else ""


def _size(row: list[str], layout: Layout) -> tuple[int, int]:
    if layout.size is None:
        return 0, 0
    height, width = (_number(_cell(row, number)) for number in layout.size)
    return (int(height), int(width)) if 0 < height < 1e9 and 0 < width < 1e9 else (0, 0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


TABLES = (".csv", ".tsv")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
GLANCE = 100  # rows that tell whether a table holds boxes


@final
class BoxesCsv(DataFormat):
    """Reads rows of image, class, left, top, right and bottom, in pixels or in fractions of the image.

    Columns are found by their usual names in any order (filename, image ...; class, label ...; xmin ymin xmax ymax,
    x1 y1 x2 y2, left top right bottom, x y w h ...; width, height of the image, split, difficult, iscrowd, area where
    there are such). A row with neither class nor box is an image without objects.

    ``data.root`` is the table or its folder. Splits come from a ``split`` column or from the tables' names:
    ``train_labels.csv``, ``val.csv``, ``test/_annotations.csv``; a table of all rows beside those is not read.

    Args:
        path: column of the image, by header name or number from 0; None finds it.
        label: column of the class, likewise; ``none``: all boxes are of one class.
        split: column with train, val or test, likewise; a table needs none.
        box: the four columns left, top, right, bottom, likewise.
        train: the training table's name in ``data.root``; None finds it.
        val: the validation table's name, likewise.
        test: the test table's name, likewise.
        images: the folder of the images; None looks beside the table and in images/ and JPEGImages/ near it.
        units: ``pixels``, ``fractions`` or ``percent`` of the images; None recognises it for the set as a whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "a CSV with the columns filename,class,xmin,ymin,xmax,ymax, or a folder with train*.csv (and val*.csv,"
        " test*.csv)"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        path: str | NonNegativeInt | None = None,
        label: str | NonNegativeInt | None = None,
        split: str | NonNegativeInt | None = None,
        box: Annotated[Sequence[str | NonNegativeInt], Items(4, 4)] | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        units: str | None = None,
    ) -> None:
        self.wanted = Wanted(path, label, split, box)
        self.tables = {"train": train, "val": val, "test": test}
        self.images, self.units = images, checked(units)

    def claims(self, root: Path) -> bool:
        """Whether there is a table with columns for boxes."""
        return any(self._fits(file) for _, file in annotation_files(root, TABLES) if file.suffix.lower() in TABLES)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        top = root if root.is_dir() else root.parent
        splits = Splits()
        tables, alone = self._find(root, top, splits.notes)
        parts: dict[str, Raw] = {}
        columned = False
        for split, file in tables.items():
            table = BoxTable(file, os.path.relpath(file, top), self.wanted, splits.problems)
            columned |= table.layout.split is not None
            if table.layout.label is None:
                splits.notes.append(f"{table.called} has no column of classes: all boxes are of the class object")
            read = table.read(split)
            splits.notes += table.notes
            for inner, raw in read.items():
                where = inner if not alone or table.layout.split is not None else None
                found = with_paths(raw, file, top, where, self.images, "boxes_csv")
                parts[inner] = _both(parts[inner], found) if inner in parts else found
        splits.whole = alone and not columned
        splits.notes += unused_lists(top) if splits.whole else []
        splits.notes.append("box CSV: " + ", ".join(os.path.relpath(file, top) for file in tables.values()))
        return make_splits(parts, splits, root=root, channels=channels, units=self.units)

    def _find(self, root: Path, top: Path, notes: list[str]) -> tuple[dict[str, Path], bool]:
        given = {split: named_file(split, name, top) for split, name in self.tables.items() if name is not None}
        if "train" in given:
            return given, False
        if root.is_file():
            return {"train": root}, True
        found = list(annotation_files(root, TABLES))
        if not found:
            raise UserError(f"data.root={root}: no table in it; it should be {self.expected}")
        fitting = [each for each in found if self._fits(each[1])] or found[:1]
        tables, alone = one_a_split(fitting, top, notes)
        return {**tables, **given}, alone and not given

    def _fits(self, file: Path) -> bool:
        try:
            BoxTable(file, file.name, self.wanted, [])
        except BoxTableError:
            return True  # what is in its way is said when it is read
        except (UserError, OSError, UnicodeError):
            return False
        return True


def several_boxes(table: Path) -> bool:
    """Whether a table has columns for boxes, and two different ones of an image: it cannot be a table of classes."""
    try:
        lines = (row for _, row in cells(table))
        head = next(lines)
        layout = layout_of(head, table, Wanted())
        first: dict[str, list[str]] = {}
        for row in chain([] if layout.header else [head], lines):
            if max(layout.path, *layout.sides) < len(row):
                box = [row[at].strip() for at in layout.sides]
                if first.setdefault(row[layout.path].strip(), box) != box:
                    return True
    except (UserError, OSError, UnicodeError):
        return False  # what is in its way is said when it is read
    return False


def looks_like_boxes(table: Path) -> bool:
    """Whether a table without the usual columns of boxes seems to hold some all the same, in others or as text."""
    try:
        first = [[cell.strip() for cell in row] for _, row in islice(cells(table), GLANCE)]
    except UserError:
        return False
    names = list(map(_plain, first[0]))
    if {"annotationid", "annotator"} <= set(names) or set(TEXTS) & set(names):
        return True
    sizes = {name for pair in IMAGE_SIZES for name in pair}
    if sum(_is_side(name) and name not in sizes for name in names) > 2:
        return True
    below = zip(*first[1:], strict=False)
    columns = [column for name, column in zip(names, below, strict=False) if name not in NO_CLASS]
    if any(cell[:1] in ("[", "{", "(") and len(NUMBER.findall(cell)) > 3 for column in columns for cell in column):
        return True
    numbers = [[_number(cell) for cell in column if cell] for column in columns]
    return sum(bool(column) and all(map(math.isfinite, column)) and max(column) > 1 for column in numbers) > 3


def _both(first: Raw, second: Raw) -> Raw:
    """Two tables with rows of one split, numbered by the same classes."""
    names = tuple(dict.fromkeys((*first.names, *second.names)))
    return join(first.named(names), second.named(names))
