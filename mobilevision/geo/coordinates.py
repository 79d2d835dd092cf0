"""Coordinates as people hand them over: their columns in a table, text that is no number, places not on Earth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Which columns of a table hold latitudes and longitudes.

LATITUDE = ("latitude", "lat", "gpslatitude", "gpslat", "decimallatitude", "ycoord", "y")
LONGITUDE = ("longitude", "lon", "lng", "long", "gpslongitude", "gpslon", "gpslng", "decimallongitude", "xcoord", "x")

Column = str | int | None


def find_columns(
    header: Sequence[str], *, latitude: Column = None, longitude: Column = None
) -> tuple[int | None, int | None]:
    """The numbers of the two columns, from 0; None for one that the header has not.

    Args:
        header: the names of the columns. Case, blanks, ``_``, ``-``, ``.`` and what stands in brackets do not count.
        latitude: the column's name or number; None looks for the usual names.
        longitude: likewise.
    """
    return _find(header, latitude, LATITUDE), _find(header, longitude, LONGITUDE)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row holds names: one of the usual ones, or no number at all."""
    if any(_plain(cell) in (*LATITUDE, *LONGITUDE) for cell in cells):
        return True
    return not any(re.fullmatch(r"\s*[-+]?\d+([.,]\d*)?\s*", cell) for cell in cells)


def _find(header: Sequence[str], given: Column, usual: Sequence[str]) -> int | None:
    if isinstance(given, int):
        return given if 0 <= given < len(header) else None
    names = [_plain(name) for name in header]
    return next((names.index(name) for name in ([_plain(given)] if given else usual) if name in names), None)


def _plain(name: str) -> str:
    return re.sub(r"\(.*?\)|\[.*?\]|[\s_.-]", "", name).lower()


_ABSENT = {"", "-", "na", "n/a", "nan", "none", "null"}
_MANY, _FEW = 0.1, 3  # share and number of latitudes beyond a pole from which on they are not slips any more


@final
class Trouble(NamedTuple):
    """One coordinate that cannot be used.

    Attributes:
        position: of the coordinate, from 0.
        what: is wrong, for a message.
        fix: what to do about it.
    """

    position: int
    what: str
    fix: str


def numbers(texts: Sequence[str]) -> tuple[NDArray[np.float64], list[Trouble]]:
    """Coordinates out of a column of text.

    Args:
        texts: such as ``"48.8583"``. Empty ones, ``NA``, ``NaN`` and their like are absent, and no trouble here.

    Returns:
        Degrees, float64 [N], NaN where there is none; and the texts that are no number, such as ``"48,8583"``.
    """
    try:
        return np.array(texts, dtype=np.float64), []
    except ValueError:
        pass
    values, troubles = np.full(len(texts), np.nan), []
    for index, text in enumerate(texts):
        if text.strip().lower() in _ABSENT:
            continue
        try:
            values[index] = float(text)
        except ValueError:
            troubles.append(Trouble(index, *_not_a_number(text.strip())))
    return values, troubles


def _not_a_number(text: str) -> tuple[str, str]:
    point = text.replace(",", ".")
    try:
        float(point)
    except ValueError:
        return f"{text!r} is not a number of degrees", "write decimal degrees, south and west negative: -33.8568"
    return f"{text!r} has a decimal comma", f"write {point}"


@final
@dataclass(frozen=True, eq=False)
class Findings:
    """What ``check`` found: every place is in one of the arrays of indices, or usable.

    Attributes:
        usable: bool [N].
        absent: int64, indices of places without a latitude or a longitude (NaN or infinite).
        origin: int64, of those at exactly (0, 0): what a camera without GPS writes.
        beyond: int64, of those with a latitude outside -90 to 90 or a longitude outside -180 to 360.
        swapped: that latitudes and longitudes seem to be the other way round, as a sentence; empty when they do not.
        places: float64 [2, N], what was checked.
    """

    usable: NDArray[np.bool_]
    absent: NDArray[np.int64]
    origin: NDArray[np.int64]
    beyond: NDArray[np.int64]
    swapped: str
    places: NDArray[np.float64]

    def troubles(self) -> Iterator[Trouble]:
        """Each place that is not usable, in order."""
        absent, origin = set(self.absent.tolist()), set(self.origin.tolist())
        for index in np.flatnonzero(~self.usable).tolist():
            latitude, longitude = self.places[:, index].tolist()
            if index in absent:
                yield Trouble(index, "no coordinates", "give its latitude and longitude")
            elif index in origin:
                yield Trouble(index, "coordinates 0, 0", "this is what cameras write that do not know the place")
            elif abs(latitude) > 90:
                yield Trouble(index, f"latitude {latitude:g}", "latitudes go from -90 to 90")
            else:
                yield Trouble(index, f"longitude {longitude:g}", "longitudes go from -180 to 180")

    def counted(self) -> list[str]:
        """What was found, as lines; none when all is well."""
        kinds = (
            (self.absent, "without coordinates"),
            (self.origin, "at 0, 0 (no GPS)"),
            (self.beyond, "with a latitude beyond 90 or a longitude beyond 180 degrees"),
        )
        return [f"{len(indices):,} {words}" for indices, words in kinds if len(indices)]


def check(latitude: ArrayLike, longitude: ArrayLike) -> Findings:
    """Look for places that cannot be used, and for columns that were swapped.

    Args:
        latitude: [N] degrees as given, NaN where absent.
        longitude: [N] degrees; 0 to 360 is as good as -180 to 180.
    """
    places = np.stack([np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)])
    present = np.isfinite(places).all(axis=0)
    origin = present & (places == 0).all(axis=0)
    beyond = present & _beyond(*places)
    absent, null, off = (np.flatnonzero(mask) for mask in (~present, origin, beyond))
    swapped = _swapped(*places[:, present & ~origin])
    return Findings(present & ~origin & ~beyond, absent, null, off, swapped, places)


def wrapped(longitude: ArrayLike) -> NDArray[np.float64]:
    """Longitudes between -180 and 180; those already there stay as they are, to the last bit."""
    values = np.asarray(longitude, dtype=np.float64)
    return np.where(np.abs(values) <= 180, values, (values + 180) % 360 - 180)


def _beyond(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.abs(latitude) > 90) | (longitude < -180) | (longitude > 360)


def _swapped(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> str:
    """Said when many fall outside as they are and next to none the other way round.

    Not "most": of photos from all over the world a third lie beyond 90 degrees east or west, so no more than that fall
    outside when swapped. A few latitudes mistyped are no swap.
    """
    if not len(latitude):
        return ""
    outside, otherwise = (int(_beyond(*pair).sum()) for pair in ((latitude, longitude), (longitude, latitude)))
    if outside < max(_MANY * len(latitude), _FEW) or otherwise > _MANY * outside:
        return ""
    return (
        f"latitude and longitude seem swapped: {outside / len(latitude):.0%} of the latitudes lie beyond 90 degrees,"
        f" {'none' if not otherwise else f'{otherwise:,}'} would the other way round"
    )
