"""A set of S2 cells with the number and centre of their photos: the classes of geolocalization, and their parents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilevision.errors import UserError
from mobilevision.geo import s2

FORMAT, VERSION = "mobilevision.cells", 1
_CHUNK = 1 << 18  # photos at once


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of S2 that do not overlap, along its curve. They need not cover Earth: where nobody took photos is none.

    Attributes:
        ids: uint64 [K], ascending.
        counts: int64 [K], photos that each was made from.
        latitude: float64 [K], degrees, of the photo centre: the mean of its photos as unit vectors.
        longitude: likewise.

    Raises:
        ValueError: the arrays differ in length, an id is none, or the cells overlap or are not sorted.
    """

    ids: NDArray[np.uint64]
    counts: NDArray[np.int64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len({array.shape for array in (self.ids, self.counts, self.latitude, self.longitude)}) != 1:
            raise ValueError("ids, counts, latitudes and longitudes differ in number")
        if not s2.valid(self.ids).all():
            raise ValueError("an id is not that of an S2 cell")
        if not ((np.abs(self.latitude) <= 90) & (np.abs(self.longitude) <= 180)).all():
            raise ValueError("a photo centre is not on Earth")
        first, last = s2.ranges(self.ids)
        if (first[1:] <= last[:-1]).any():
            raise ValueError("cells overlap, or are not in ascending order")

    def __len__(self) -> int:
        return len(self.ids)

    def assign(self, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.int64]:
        """The cell that each place lies in.

        Args:
            latitude: [N], degrees.
            longitude: [N], degrees.

        Returns:
            int64 [N]: index of the cell, -1 in none.

        Raises:
            ValueError: a coordinate is not a number or a latitude is beyond a pole.
        """
        lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
        found = np.empty(len(lat), dtype=np.int64)
        for start in range(0, len(lat), _CHUNK):
            part = slice(start, start + _CHUNK)
            found[part] = self.locate(s2.cell_ids(lat[part], lon[part]))
        return found

    def locate(self, ids: ArrayLike) -> NDArray[np.int64]:
        """As ``assign``, from the ids of cells, such as leaves: the cell that holds each; -1 where none does."""
        inner, end = s2.ranges(ids)
        if not len(self):
            return np.full(len(inner), -1, dtype=np.int64)
        first, last = s2.ranges(self.ids)
        at = np.searchsorted(first, inner, side="right") - 1
        return np.where((at >= 0) & (end <= last[at]), at, -1)

    def to_dict(self) -> dict[str, Any]:
        """What a JSON file holds; ``from_dict`` reads it. Photo centres keep 7 digits, a centimetre."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "tokens": s2.tokens(self.ids),
            "counts": self.counts.tolist(),
            "latitude": self.latitude.round(7).tolist(),
            "longitude": self.longitude.round(7).tolist(),
        }

    @staticmethod
    def from_dict(content: Any, *, source: str = "cells") -> Cells:
        """Cells from what ``to_dict`` gave.

        Args:
            content: of the JSON file.
            source: its name, for messages.

        Raises:
            UserError: it is something else, of a later version, or damaged.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(f"{source}: not a file of cells; `mobilevision cells --coordinates FILE --out {source}`")
        if content.get("version") != VERSION:
            raise UserError(f"{source}: cells of version {content.get('version')}, this mobilevision reads {VERSION}")
        try:
            return Cells(
                s2.from_tokens(content["tokens"]),
                np.array(content["counts"], dtype=np.int64),
                np.array(content["latitude"], dtype=np.float64),
                np.array(content["longitude"], dtype=np.float64),
            )
        except KeyError as error:
            raise UserError(f"{source}: {error.args[0]!r} is missing; make the file anew") from None
        except (TypeError, ValueError) as error:
            raise UserError(f"{source}: damaged ({error}); make the file anew") from None


@final
class Groups(NamedTuple):
    """Cells that share a parent.

    Attributes:
        of: int64 [K], the group of each cell, from 0.
        number: how many groups there are.
    """

    of: NDArray[np.int64]
    number: int


def groups(cells: Cells, level: int) -> Groups:
    """The cells by their parents at a level of S2; one that is coarser itself is a group of its own.

    Args:
        cells: what a model chooses among.
        level: 0 to 30.

    Raises:
        ValueError: no such level.
    """
    if not 0 <= level <= s2.LEVELS:
        raise ValueError(f"level {level}: S2 has levels 0 to {s2.LEVELS}")
    parents = cells.ids.copy()
    finer = s2.levels(parents) > level
    parents[finer] = s2.parents(parents[finer], level)
    found, of = np.unique(parents, return_inverse=True)
    return Groups(of.astype(np.int64), len(found))
