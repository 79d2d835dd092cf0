"""CSV: a row a picture, with its path and its label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.attribute_table import AttributeColumns, read_attributes
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.boxes_csv import BoxesCsv
from mobilevision.data.formats.coordinate_table import CoordinateColumns, read_coordinates
from mobilevision.data.formats.scan import Listing, entries
from mobilevision.data.formats.table_rows import ALIASES, Columns, rows
from mobilevision.data.identities import adopt
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

TABLES = (".csv", ".tsv", ".txt")


class _Sample(NamedTuple):
    """A row that can be used."""

    path: bytes
    label: str
    where: str


@final
class Csv(DataFormat):
    """Reads rows of picture path and label; for ``kind=boxes``, what :class:`BoxesCsv` reads.

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
        group: for ``kind=attributes`` and ``coordinate``, the column with whom or what a picture shows (or ``folder``:
            the picture's), which then does not come to lie in two splits when one is cut off another.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "attributes", "boxes", "identity", "coordinate")
    expected: ClassVar[str] = (
        "a CSV file with the columns path,label (or path,latitude,longitude, or path and a column an attribute;"
        " perhaps split), or a folder with train.csv"
    )

    def __init__(
        self,
        *,
        path: str | int | None = None,
        label: str | int | None = None,
        split: str | int | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        attributes: Sequence[str] | None = None,
        latitude: str | int | None = None,
        longitude: str | int | None = None,
        group: str | int | None = None,
    ) -> None:
        self.columns = Columns(path, label, split)
        self.attributes = AttributeColumns(path, split, group, attributes)
        self.coordinates = CoordinateColumns(path, latitude, longitude, split, group)
        self.tables = {"train": train, "val": val, "test": test}
        self.images = images
        self.boxes = BoxesCsv(path=path, label=label, split=split, train=train, val=val, test=test, images=images)

    def claims(self, root: Path) -> bool:
        """Whether the root is a table or a folder with one."""
        return root.suffix.lower() in TABLES if root.is_file() else bool(_tables(root))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        if kind == "boxes":
            return self.boxes.read(root=root, kind=kind, channels=channels, seed=seed)
        tables = self._find(root)
        base = Path(self.images).expanduser() if self.images else (root if root.is_dir() else root.parent)
        if kind == "attributes":
            return read_attributes(tables, self.attributes, base=base, channels=channels)
        if kind == "coordinate":
            return read_coordinates(tables, self.coordinates, base=base, channels=channels)
        splits = Splits(whole=len(tables) == 1)
        samples: dict[str, list[_Sample]] = {}
        for default, table in tables.items():
            for row in rows(table, self.columns, splits.problems):
                split = ALIASES.get(row.split.strip().lower()) if row.split else default
                splits.whole &= not row.split
                if split is None:
                    splits.problems.append(
                        Problem(row.where, f"unknown split {row.split!r}", "write train, val or test")
                    )
                else:
                    samples.setdefault(split, []).append(_Sample(row.path, row.label, row.where))
        samples = _usable(samples, base, splits.problems)
        labels = _in_order({sample.label for chosen in samples.values() for sample in chosen})
        splits.classes = tuple(labels)
        number = {label: i for i, label in enumerate(labels)}
        for split, chosen in samples.items():
            targets = np.fromiter((number[s.label] for s in chosen), dtype=np.int64, count=len(chosen))
            records = FileRecords(paths=(s.path for s in chosen), targets=targets, channels=channels, root=base)
            setattr(splits, split, records)
        splits.notes.append("CSV: " + ", ".join(f"{split} {len(chosen)} rows" for split, chosen in samples.items()))
        return adopt(splits) if kind == "identity" else splits

    def _find(self, root: Path) -> dict[str, Path]:
        if root.is_file():
            return {"train": root}
        found = _tables(root)
        for split, name in self.tables.items():
            if name is not None:
                found[split] = root / name
                if not found[split].is_file():
                    raise UserError(f"data.format.{split}={name}: no such file in {root}")
        if "train" not in found:
            raise UserError(f"data.root={root}: no table found; it should be {self.expected}, or set data.format.train")
        return found


def _tables(root: Path) -> dict[str, Path]:
    """The tables of a folder by split; one table under any name is the training table."""
    if not root.is_dir():
        return {}
    found = [root / os.fsdecode(e.name) for e in entries(os.fsencode(root)) if e.is_file()]
    tables = [path for path in found if path.suffix.lower() in TABLES[:2]]
    named = {ALIASES[path.stem.lower()]: path for path in tables if path.stem.lower() in ALIASES}
    return named or ({"train": tables[0]} if len(tables) == 1 else {})


def _usable(samples: dict[str, list[_Sample]], base: Path, problems: list[Problem]) -> dict[str, list[_Sample]]:
    """Leave out rows whose file is missing and rows that repeat a file; each is a problem."""
    there = Listing(base)
    seen: dict[bytes, tuple[str, _Sample]] = {}
    usable: dict[str, list[_Sample]] = {}
    for split, given in samples.items():
        for sample in given:
            name = os.fsdecode(sample.path)
            if sample.path in seen:
                where, first = seen[sample.path]
                what = f"{name} stands in {first.where} ({where}) already"
                what += f", as {first.label!r} not {sample.label!r}" if first.label != sample.label else ""
                problems.append(Problem(sample.where, what, "keep one of the rows"))
            elif sample.path not in there:
                problems.append(Problem(sample.where, f"no file {name}", "mend the path or remove the row"))
            else:
                seen[sample.path] = (split, sample)
                usable.setdefault(split, []).append(sample)
    return usable


def _in_order(labels: set[str]) -> Sequence[str]:
    """Numbers by value, words by letter."""
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)
