"""CSV: a row an image, with its path and its label."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.image_lookup import named_folder
from mobilevision.data.formats.boxes_csv import BoxesCsv, looks_like_boxes, several_boxes
from mobilevision.data.formats.image_rows import read_attributes, read_coordinates, value
from mobilevision.data.formats.scan import entries, folders, images, in_class_order, named_file, split_folders, split_of
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.formats.table_rows import Columns, Row, column_index, label_index, rows, single_labels
from mobilevision.data.formats.text import as_text, cells, decoded_names
from mobilevision.data.identities import adopt
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.geo.coordinates import find_columns
from mobilevision.ranges import NonNegativeInt, check_ranges

TABLES = (".csv", ".tsv", ".txt")
_GLANCE = 100  # rows that tell whether a table labels the images of a folder


class _Sample(NamedTuple):
    """A row that can be used."""

    path: bytes
    label: str
    where: str


@final
class Csv(DataFormat):
    """Reads rows of image path and label; for ``kind=boxes``, what :class:`BoxesCsv` reads.

    ``data.root`` is the table, or the folder in which it lies. Columns are found by their usual names (path, file,
    filename, image ...; label, class, category ...; split, subset ...) or, in a table without a header, by position.
    Without a ``split`` column, tables of their own can hold val and test; without either, the rows are one split.

    Args:
        path: column of the path, by header name or number from 0; None finds it.
        label: column of the label, likewise.
        split: column with train, val or test, likewise; a table needs none.
        train: the training table's name in ``data.root``; None finds it.
        val: the validation table's name; None takes val.csv where there is one.
        test: the test table's name; None takes test.csv where there is one.
        images: folder that relative paths start from; None takes the table's folder.
        attributes: for ``kind=attributes``, the columns to learn; None takes all but path, split and group.
        latitude: for ``kind=coordinate``, column of the degrees north, likewise.
        longitude: for ``kind=coordinate``, column of the degrees east, likewise.
        group: for ``kind=attributes`` and ``coordinate``, the column with whom or what an image shows (or ``folder``:
            the image's), which then does not come to lie in two splits when one is cut off another.
        fold: where the split column holds the folds of a cross-validation, the number of the one that is val; None
            takes the lowest.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "attributes", "boxes", "identity", "coordinate")
    expected: ClassVar[str] = (
        "a CSV file with the columns path,label (or path,latitude,longitude, or path and a column an attribute;"
        " perhaps split), or a folder with train.csv"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        path: str | NonNegativeInt | None = None,
        label: str | NonNegativeInt | None = None,
        split: str | NonNegativeInt | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        attributes: Sequence[str] | None = None,
        latitude: str | NonNegativeInt | None = None,
        longitude: str | NonNegativeInt | None = None,
        group: str | NonNegativeInt | None = None,
        fold: NonNegativeInt | None = None,
    ) -> None:
        self.columns = Columns(path, label, split, group, latitude, longitude, attributes, fold)
        self.tables = {"train": train, "val": val, "test": test}
        self.images = images
        self.boxes = BoxesCsv(path=path, label=label, split=split, train=train, val=val, test=test, images=images)

    def claims(self, root: Path) -> bool:
        """Whether the root is a table or a folder with one."""
        return root.suffix.lower() in TABLES if root.is_file() else bool(split_tables(root))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        if self.columns.group is not None and kind not in ("attributes", "coordinate"):
            raise UserError(
                f"data.format.group={self.columns.group}: it is for attributes and coordinates; images that belong"
                " together are kept so by a column split with train, val and test"
            )
        if kind == "boxes":
            return self.boxes.read(root=root, kind=kind, channels=channels, seed=seed)
        tables = self._find(root)
        base = self._base(root)
        named = self.columns.label is not None or self.columns.attributes is not None
        boxed = None if kind == "coordinate" or named else next(filter(several_boxes, tables.values()), None)
        if boxed is not None:
            raise UserError(f"{boxed}: these are boxes, several in one image: task=detection learns from them")
        if kind == "attributes":
            return read_attributes(tables, self.columns, base=base, channels=channels)
        if kind == "coordinate":
            return read_coordinates(tables, self.columns, base=base, channels=channels)
        splits = self.read_labels(root, channels, "identity" if kind == "identity" else "label")
        return adopt(splits) if kind == "identity" else splits

    def read_labels(self, root: Path, channels: int, key: str) -> Splits:
        """The images with a class each.

        Args:
            root: the table, or the folder of the tables.
            channels: of an image.
            key: what is called a class, ``label`` or ``identity``.

        Raises:
            UserError: no table, one without the columns, or labels that are lists.
        """
        tables, base = self._find(root), self._base(root)
        splits = Splits(whole=len(tables) == 1)
        samples = self._samples(tables, base, splits, key)
        found = TableImages(base, (sample.path for chosen in samples.values() for sample in chosen))
        samples = _usable(samples, found, splits.problems)
        first: dict[str, str] = {}
        for each in (sample for chosen in samples.values() for sample in chosen):
            first.setdefault(each.label, each.where)
        texts = decoded_names(first, splits.notes)
        known = single_labels(
            {texts[label]: where for label, where in first.items()}, f"data.root={root}", splits.notes
        )
        single = {label: known[texts[label]] for label in first}
        labels = in_class_order(set(single.values()))
        splits.classes = tuple(labels)
        number = {label: i for i, label in enumerate(labels)}
        for split, chosen in samples.items():
            targets = np.fromiter((number[single[s.label]] for s in chosen), dtype=np.int64, count=len(chosen))
            records = FileRecords(paths=(s.path for s in chosen), targets=targets, channels=channels, root=base)
            setattr(splits, split, records)
        splits.notes.append("CSV: " + ", ".join(f"{split} {len(chosen)} rows" for split, chosen in samples.items()))
        splits.notes += found.notes()
        return splits

    def describes(self, root: Path) -> Path | None:
        """The training table of a folder, where its rows name images there and another class than their folder does.

        Its folders then are no classes, whatever they hold.
        """
        tables = split_tables(root)
        if "train" not in tables or split_folders(root):
            return None
        base, splits = self._base(root), Splits()
        try:
            given = list(islice(self._rows(tables["train"], "train", base, splits), _GLANCE))
        except UserError:
            return None
        found = TableImages(base, (row.path for row in given))
        there = [(found.find(row.path, row.split or "train"), row.label) for row in given]
        named = [(path, label) for path, label in there if path is not None]
        if not named or 2 * len(named) < len(given):
            few = sum(1 for name in folders(root) if next(images(os.path.join(os.fsencode(root), name), b""), None))
            return tables["train"] if given and few < 2 else None
        above = [as_text(os.fsdecode(os.path.basename(os.path.dirname(path)))) for path, _ in named]
        same = sum(folder == as_text(label) for folder, (_, label) in zip(above, named, strict=True))
        return tables["train"] if 2 * same < len(named) else None

    def _base(self, root: Path) -> Path:
        top = root if root.is_dir() else root.parent
        return named_folder(self.images, top) if self.images else top

    def _rows(self, table: Path, default: str, base: Path, splits: Splits, key: str = "label") -> Iterator[Row]:
        def is_file(cell: str) -> bool:
            return TableImages(base, [b"\0"]).find(os.fsencode(cell), default) is not None

        return rows(table, self.columns, splits.problems, splits.notes, default=default, is_file=is_file, key=key)

    def _samples(self, tables: dict[str, Path], base: Path, splits: Splits, key: str) -> dict[str, list[_Sample]]:
        samples: dict[str, list[_Sample]] = {}
        for default, table in tables.items():
            try:
                for row in self._rows(table, default, base, splits, key):
                    splits.whole &= row.split is None
                    samples.setdefault(row.split or default, []).append(_Sample(row.path, row.label, row.where))
            except UserError as error:
                if default == "train" or "no column for the label" not in str(error):
                    raise
                splits.notes.append(f"{table.name} has no labels: not used")
        return samples

    def _find(self, root: Path) -> dict[str, Path]:
        if root.is_file():
            return {"train": root}
        found = split_tables(root)
        for split, name in self.tables.items():
            if name is not None:
                found[split] = named_file(split, name, root)
        if "train" not in found:
            raise UserError(f"data.root={root}: no table found; it should be {self.expected}, or set data.format.train")
        return found


def holds_unknown_boxes(root: Path) -> bool:
    """Whether the training table of a data set holds boxes in columns that are not known, or as text."""
    table = root if root.is_file() else split_tables(root).get("train")
    return table is not None and table.suffix.lower() in TABLES and looks_like_boxes(table)


def table_kind(root: Path) -> tuple[str, str]:
    """What the training table of a data set holds and the kind that is learnt from it, by the names of its columns.

    Args:
        root: a table, or a folder with tables.

    Returns:
        The kind (boxes, coordinate, attributes or class) and the table with the columns that say so; empty where
        there is no table, or its columns do not tell.
    """
    table = root if root.is_file() else split_tables(root).get("train")
    if table is None or table.suffix.lower() not in TABLES:
        return "", ""
    if BoxesCsv().claims(table):
        return "boxes", table.name
    try:
        head = next(cells(table))[1]
        path = column_index("path", None, head, table)
    except UserError:
        return "", ""
    aside = {at for at in (path, column_index("split", None, head, table)) if at is not None}
    north, east = find_columns(head)
    if north is not None and east is not None and len(head[north].strip()) > 1:  # x and y may be anything
        return "coordinate", f"the columns {head[north]} and {head[east]} of {table.name}"
    try:
        label = label_index(None, head, table, aside, key="label", notes=[])
    except UserError:
        return ("attributes", f"the columns of {table.name}") if _holds_values(table, head, aside) else ("", "")
    return "class", table.name if label is None else f"the column {head[label]} of {table.name}"


def _holds_values(table: Path, head: Sequence[str], aside: set[int]) -> bool:
    """Whether half of the other columns at least hold attributes, in the first rows."""
    others = [at for at, name in enumerate(head) if at not in aside and name.strip()]
    first = [row for _, row in islice(cells(table), 1, _GLANCE)]
    held = [at for at in others if all(at < len(row) and value(row[at]) is not None for row in first)]
    return 2 * len(held) >= len(others) > 0


def unread_tables(root: Path) -> str:
    """A note on the tables beside class folders, which are not read; empty without any."""
    named = _table_files(root)
    if not named:
        return ""
    names = ", ".join(path.name for path in named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    said = f"not used: {names}, beside the folders that are the classes"
    how = f"data=csv data.root={named[0]} reads {'it' if len(named) == 1 else 'the first'}"
    kinds = [table_kind(path)[0] for path in named]
    if "attributes" in kinds:
        how = "task=face_attributes learns its columns"
    elif "coordinate" in kinds:
        how = "task=geolocalization learns its places"
    return f"{said} ({how})"


def split_tables(root: Path) -> dict[str, Path]:
    """The tables of a folder by split; one table under any name is the training table."""
    if not root.is_dir():
        return {}
    tables = _table_files(root)
    named: dict[str, Path] = {}
    for path in tables:
        split = split_of(path.stem, ("labels", "label", "annotations"))
        if split is not None:
            named.setdefault(split, path)
    return named or ({"train": tables[0]} if len(tables) == 1 else {})


def _table_files(root: Path) -> list[Path]:
    found = [root / os.fsdecode(e.name) for e in entries(os.fsencode(root)) if e.is_file()]
    return [path for path in found if path.suffix.lower() in TABLES[:2]]


def _usable(samples: dict[str, list[_Sample]], found: TableImages, problems: list[Problem]) -> dict[str, list[_Sample]]:
    """Leave out rows whose file is missing and rows that repeat a file; each is a problem."""
    seen: dict[bytes, tuple[str, _Sample]] = {}
    usable: dict[str, list[_Sample]] = {}
    for split, given in samples.items():
        for sample in given:
            path = found.find(sample.path, split)
            if path is None:
                problems.append(Problem(sample.where, found.missing(sample.path), "mend the path or remove the row"))
            elif path in seen:
                where, first = seen[path]
                what = f"{os.fsdecode(path)} stands in {first.where} ({where}) already"
                what += f", as {first.label!r} not {sample.label!r}" if first.label != sample.label else ""
                problems.append(Problem(sample.where, what, "keep one of the rows"))
            else:
                seen[path] = (split, sample)
                usable.setdefault(split, []).append(sample._replace(path=path))
    return usable
