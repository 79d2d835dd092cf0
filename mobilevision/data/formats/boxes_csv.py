"""CSV of boxes: a row a box, with the image it is in, its class and its sides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.box_table import BoxTable, BoxTableError, Wanted, layout_of
from mobilevision.data.formats.annotations.image_lookup import annotation_files, one_a_split, unused_lists, with_paths
from mobilevision.data.formats.annotations.raw import Raw, join
from mobilevision.data.formats.annotations.splits import make_splits
from mobilevision.data.formats.annotations.units import checked
from mobilevision.data.formats.text import cells
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.ranges import Items, NonNegativeInt, check_ranges

TABLES = (".csv", ".tsv")


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
            for inner, raw in table.read(split).items():
                where = inner if not alone or table.layout.split is not None else None
                found = with_paths(raw, file, top, where, self.images, "boxes_csv")
                parts[inner] = _both(parts[inner], found) if inner in parts else found
        splits.whole = alone and not columned
        splits.notes += unused_lists(top) if splits.whole else []
        splits.notes.append("box CSV: " + ", ".join(os.path.relpath(file, top) for file in tables.values()))
        return make_splits(parts, splits, root=root, channels=channels, units=self.units)

    def _find(self, root: Path, top: Path, notes: list[str]) -> tuple[dict[str, Path], bool]:
        given = {split: top / name for split, name in self.tables.items() if name is not None}
        for split, file in given.items():
            if not file.is_file():
                raise UserError(f"data.format.{split}={self.tables[split]}: no such file in {top}")
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


def _both(first: Raw, second: Raw) -> Raw:
    """Two tables with rows of one split, numbered by the same classes."""
    names = tuple(dict.fromkeys((*first.names, *second.names)))
    return join(first.named(names), second.named(names))
