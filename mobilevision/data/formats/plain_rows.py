"""Tables as plugins read them: a row an image, with its file and the cells of some columns as they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, final

from mobilevision.data.formats.image_rows import Head, ImageRows, read_tables
from mobilevision.data.formats.table import split_tables
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.formats.table_rows import Column, SplitColumn, column_index
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError


@final
class TableRow(NamedTuple):
    """A row whose image is there.

    Attributes:
        where: ``file:line``, for messages.
        split: train, val or test.
        path: of the image.
        cells: of the columns that were asked for, in their order.
    """

    where: str
    split: str
    path: bytes
    cells: list[str]


@final
class _PlainRows(ImageRows):
    """Collects rows as they are."""

    def __init__(self, images: TableImages, problems: list[Problem], source: str) -> None:
        super().__init__(images, problems, source)
        self.rows: list[TableRow] = []

    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """See :class:`ImageRows`."""
        found = self.find(split, path, where)
        if found is not None:
            self._seen[found] = where
            self.rows.append(TableRow(where, split, os.path.join(os.fsencode(self.images.base), found), list(cells)))


def table_rows(
    root: Path,
    splits: Splits,
    *,
    expected: str,
    columns_of: Callable[[list[str], Path], Sequence[int]],
    path: Column = None,
) -> list[TableRow]:
    """The rows of a table with a column ``split`` or none, or of a folder's tables that are named for splits.

    Args:
        root: the table or the folder.
        splits: given problems (images that are missing or named twice, rows of another length) and notes; ``whole``
            says whether no split was named.
        expected: what should lie at ``root``, completing "it should be ...".
        columns_of: by a table's first row, and the table, the numbers of the columns that are wanted.
        path: column of the images' files, a name or a number from 0; None finds it by its usual names.

    Raises:
        UserError: no table, or one without the column of the images.
    """
    tables = {"train": root} if root.is_file() else split_tables(root)
    if "train" not in tables:
        raise UserError(f"data.root={root}: no table found; it should be {expected}")
    splits.whole = len(tables) == 1

    def head_of(first: list[str], table: Path) -> Head:
        wanted, at = list(columns_of(first, table)), column_index("path", path, first, table)
        assert at is not None
        split = SplitColumn(table, first, None, None, splits.notes)
        return Head(len(first), at, split, None, wanted, header=True)

    def rows_of(images: TableImages) -> _PlainRows:
        return _PlainRows(images, splits.problems, str(tables["train"]))

    base = root if root.is_dir() else root.parent
    rows = read_tables(tables, splits, base=base, head_of=head_of, rows_of=rows_of)
    splits.notes += rows.images.notes()
    return rows.rows
