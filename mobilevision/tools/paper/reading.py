"""The tables as the paper prints them: a yaml file each, read into plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mobilevision.errors import UserError

FOLDER = Path(__file__).with_name("tables")
_COUNTED = ("mult_adds", "parameters", "weights", "mult_adds_share", "weights_share", "stride", "filter", "input")
SOURCES = ("given", "metric", *_COUNTED)
UNITS = {"": 1.0, "M": 1e6, "G": 1e9}
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Column:
    """One of the figures that a table tells of each row.

    Attributes:
        key: by which rows hold it.
        name: its heading.
        source: where ours is from: one of ``SOURCES``; ``given`` has none, ``metric`` is a run's.
        unit: M or G; what both figures are divided by.
    """

    key: str
    name: str
    source: str
    unit: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: as the paper calls it.
        paper: figures by column, digit for digit as they are printed.
        config: overrides that compose the model, after the table's own.
        model: or the name of a model in :data:`mobilevision.tools.paper.ours.OTHERS`.
        layer: or the number of a layer that computes, of the table's own model.
        kind: or a kind of layer (:func:`mobilevision.cost.layers.kind_of`) of it.
        within: of the row's model, only layers with this in their name.
        sources: sources that differ from the column's.
        metric: that of the row, where the table's rows differ.
        unit: likewise.
        note: what to say of it.
    """

    name: str
    paper: Mapping[str, str]
    config: tuple[str, ...] = ()
    model: str | None = None
    layer: int | None = None
    kind: str | None = None
    within: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    unit: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes:
        number: 1 to 14.
        title: what it shows, in our words.
        columns: its figures.
        rows: its lines.
        config: overrides that all of its models share.
        outputs: class scores of their heads.
        data: class of the data format that a run of ours must have been measured on.
        metric: what is read of such a run, without its stage.
        notes: what to say of the whole table.
    """

    number: int
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    config: tuple[str, ...] = ()
    outputs: int | None = None
    data: str | None = None
    metric: str | None = None
    notes: tuple[str, ...] = ()

    def source(self, row: Row, column: Column) -> str:
        """Where our figure of a cell is from."""
        return row.sources.get(column.key, column.source)


@cache
def tables() -> tuple[Table, ...]:
    """All of them, in their order."""
    return tuple(_table(path) for path in sorted(FOLDER.glob("*.yaml")))


def table(number: int) -> Table:
    """One of them.

    Raises:
        UserError: the paper has none of that number.
    """
    found = next((each for each in tables() if each.number == number), None)
    if found is None:
        raise UserError(f"--table {number}: the paper has tables 1 to {len(tables())}")
    return found


def _table(path: Path) -> Table:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["columns"] = tuple(_record(Column, each) for each in values["columns"])
    values["rows"] = tuple(_record(Row, each) for each in values["rows"])
    return _record(Table, values)


def _record(cls: type[_Record], values: Mapping[str, Any]) -> _Record:
    """A record of these values; a key that it does not have is a mistake in the file."""
    known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
    assert set(values) <= known, f"{cls.__name__} has no {sorted(set(values) - known)}"
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
