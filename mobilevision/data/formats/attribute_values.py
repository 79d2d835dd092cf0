"""Attributes as people write them: words, signs, probabilities, and nothing where nobody knows."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.table_pictures import TablePictures
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError

_NAN = float("nan")
_WORDS = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}
_WORDS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "?"), _NAN)
_USUAL = {"1": 1.0, "-1": -1.0, "0": 0.0, "": _NAN}  # asked first: a hundred million cells are read in minutes
_ALLOWED = "write 0 or 1, -1 or 1, true or false, a probability, or nothing where nobody knows"


def value(cell: str) -> float | None:
    """A cell as a number from 0 to 1, -1.0 for ``-1``, NaN where it is missing; None where it is none of these."""
    word = cell.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        number = float(word)
    except ValueError:
        return None
    return number if 0 <= number <= 1 or number == -1 else None


def chosen(names: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[int]:
    """Places of the attributes ``wanted``, in that order; of all of them for None.

    Raises:
        UserError: a name that is not there, or one twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{where}: the column {twice[0]!r} stands there twice; give each attribute its own name")
    if wanted is None:
        return list(range(len(names)))
    if missing := [name for name in wanted if name not in names]:
        has = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise UserError(f"data.format.attributes: {where} has no attribute {missing[0]!r}; it has {has}")
    return [names.index(name) for name in dict.fromkeys(wanted)]


@dataclass
class _Part:
    """The rows of one split."""

    paths: list[bytes] = field(default_factory=list)
    groups: list[bytes] = field(default_factory=list)
    values: array[float] = field(default_factory=lambda: array("f"))


@final
class AttributeRows:
    """Rows of attribute values on their way to becoming splits; what is wrong with a row becomes a problem.

    Args:
        names: the attributes.
        pictures: where the files are.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    def __init__(self, names: Sequence[str], pictures: TablePictures, problems: list[Problem], source: str) -> None:
        self.names, self.pictures, self._problems, self._source = tuple(names), pictures, problems, source
        self._parts: dict[str, _Part] = {}
        self._seen: dict[bytes, str] = {}
        self._words: dict[int, list[str]] = {}
        self._rows = 0

    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """Take a row, or note why not.

        Args:
            split: train, val or test.
            path: of the picture.
            cells: a value an attribute, as written.
            where: ``file:line``.
            group: whom or what the picture shows, so that it is not torn apart; empty for nothing special.
        """
        self._rows += 1
        numbers = [_USUAL[cell] if cell in _USUAL else value(cell) for cell in cells]
        given, path = path, self.pictures.find(path, split) or b""
        if not path:
            self._note(where, self.pictures.missing(given), "mend the path or remove the row")
        elif path in self._seen:
            self._note(where, f"{os.fsdecode(path)} stands in {self._seen[path]} already", "keep one of the rows")
        elif None in numbers:
            at = numbers.index(None)
            self._words.setdefault(at, []).append(cells[at])
            self._note(where, f"{self.names[at]} is {cells[at].strip()!r}", _ALLOWED)
        else:
            part = self._parts.setdefault(split, _Part())
            part.paths.append(path)
            part.groups.append(os.fsencode(group) or path)
            part.values.extend(number for number in numbers if number is not None)
            self._seen[path] = where

    def into(self, splits: Splits, *, channels: int, grouped: bool) -> None:
        """Give the splits their records and classes.

        Args:
            splits: changed in place.
            channels: of a picture.
            grouped: whether the groups say anything.

        Raises:
            UserError: a column that holds no attribute, or one in which signs and other numbers are mixed.
        """
        for at, words in self._words.items():
            if len(words) == self._rows:
                raise UserError(
                    f"{self._source}: the column {self.names[at]!r} holds no attribute but words such as"
                    f" {words[0].strip()!r}; name the attributes with data.format.attributes=[...]"
                )
        tables = {name: self._table(part) for name, part in self._parts.items()}
        self._check_signs(tables.values())
        number: dict[bytes, int] = {}
        for name, part in self._parts.items():
            targets = np.where(tables[name] == -1, np.float32(0), tables[name])
            records: Records = FileRecords(
                paths=part.paths, targets=targets, channels=channels, root=self.pictures.base
            )
            if grouped:
                numbers = (number.setdefault(group, len(number)) for group in part.groups)
                records.groups = np.fromiter(numbers, dtype=np.int64, count=len(part.groups))
            setattr(splits, name, records)
        splits.classes = self.names

    def paths(self, split: str) -> list[bytes]:
        """The paths of a split in the order of its records."""
        return self._parts[split].paths if split in self._parts else []

    def _table(self, part: _Part) -> NDArray[np.float32]:
        return np.frombuffer(part.values, dtype=np.float32).reshape(-1, len(self.names))

    def _check_signs(self, tables: Iterable[NDArray[np.float32]]) -> None:
        signed = np.zeros(len(self.names), dtype=bool)
        other = np.zeros(len(self.names), dtype=bool)
        for table in tables:
            signed |= (table == -1).any(axis=0)
            other |= ((table >= 0) & (table < 1)).any(axis=0)
        if (signed & other).any():
            name = self.names[int(np.flatnonzero(signed & other)[0])]
            raise UserError(
                f"{self._source}: {name!r} holds -1 as well as values from 0 up: write no as -1 or as 0, not as both,"
                " and nothing where nobody knows"
            )

    def _note(self, where: str, what: str, fix: str) -> None:
        self._problems.append(Problem(where, what, fix))
