"""Places as people hand them over, on their way to becoming splits; what is wrong with one becomes a problem."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final

import numpy as np

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.scan import Listing
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.geo.coordinates import check, numbers, wrapped


@final
class _Row(NamedTuple):
    """A picture with its place as text."""

    split: str
    path: bytes
    latitude: str
    longitude: str
    where: str
    group: str


@final
@dataclass
class CoordinateRows:
    """Collects rows, then checks all their coordinates at once.

    Attributes:
        base: folder that relative paths start from.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    base: Path
    problems: list[Problem]
    source: str
    _rows: list[_Row] = field(default_factory=list)
    _seen: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._there = Listing(self.base)

    def add(self, split: str, path: bytes, latitude: str, longitude: str, where: str, group: str = "") -> None:
        """Take a row, or note why not.

        Args:
            split: train, val or test.
            path: of the picture.
            latitude: as written.
            longitude: likewise.
            where: ``file:line``.
            group: whom or what the picture belongs to, so that it is not torn apart; empty for nothing special.
        """
        name = os.fsdecode(path)
        if path in self._seen:
            what = f"{name} stands in {self._seen[path]} already"
            self.problems.append(Problem(where, what, "keep one of the rows"))
        elif path not in self._there:
            self.problems.append(Problem(where, f"no file {name} in {self.base}", "mend the path or remove the row"))
        else:
            self._seen[path] = where
            self._rows.append(_Row(split, path, latitude, longitude, where, group))

    def into(self, splits: Splits, *, channels: int, grouped: bool = False) -> None:
        """Give the splits their records.

        Args:
            splits: changed in place.
            channels: of a picture.
            grouped: whether the groups say anything.

        Raises:
            UserError: latitudes and longitudes stand in each other's column.
        """
        latitude, bad = numbers([row.latitude for row in self._rows])
        longitude, worse = numbers([row.longitude for row in self._rows])
        found = check(latitude, longitude)
        if found.swapped:
            raise UserError(
                f"{self.source}: {found.swapped}: swap data.format.latitude and data.format.longitude, or the columns"
            )
        told = {trouble.place: trouble for trouble in found.troubles()}
        told |= {trouble.place: trouble for trouble in [*worse, *bad]}  # not a number says more than absent
        for place in sorted(told):
            self.problems.append(Problem(self._rows[place].where, told[place].what, told[place].fix))
        places = np.stack([latitude, wrapped(longitude)], axis=1)
        of = np.array([row.split for row in self._rows])
        number: dict[str, int] = {}
        for split in dict.fromkeys(of.tolist()):
            here = np.flatnonzero((of == split) & found.usable)
            paths = [self._rows[row].path for row in here]
            targets = CoordinateTargets(places[here])
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.base)
            if grouped:
                groups = (self._rows[row].group or os.fsdecode(self._rows[row].path) for row in here)
                numbered = (number.setdefault(group, len(number)) for group in groups)
                records.groups = np.fromiter(numbered, dtype=np.int64, count=len(here))
            setattr(splits, split, records)
