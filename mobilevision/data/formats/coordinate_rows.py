"""Places as people hand them over, on their way to becoming splits; what is wrong with one becomes a problem."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple, final

import numpy as np

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.table_pictures import TablePictures
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
        pictures: where the files are.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    pictures: TablePictures
    problems: list[Problem]
    source: str
    _rows: list[_Row] = field(default_factory=list)
    _seen: dict[bytes, str] = field(default_factory=dict)

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
        given, path = path, self.pictures.find(path, split) or b""
        if not path:
            self.problems.append(Problem(where, self.pictures.missing(given), "mend the path or remove the row"))
        elif path in self._seen:
            what = f"{os.fsdecode(path)} stands in {self._seen[path]} already"
            self.problems.append(Problem(where, what, "keep one of the rows"))
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
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.pictures.base)
            if grouped:
                groups = (self._rows[row].group or os.fsdecode(self._rows[row].path) for row in here)
                numbered = (number.setdefault(group, len(number)) for group in groups)
                records.groups = np.fromiter(numbered, dtype=np.int64, count=len(here))
            setattr(splits, split, records)
