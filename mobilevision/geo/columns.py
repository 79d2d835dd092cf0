"""Which columns of a table hold latitudes and longitudes."""

from __future__ import annotations

import re
from collections.abc import Sequence

LATITUDE = ("latitude", "lat", "gpslatitude", "gpslat", "decimallatitude", "ycoord", "y")
LONGITUDE = ("longitude", "lon", "lng", "long", "gpslongitude", "gpslon", "gpslng", "decimallongitude", "xcoord", "x")

Column = str | int | None


def find(header: Sequence[str], *, latitude: Column = None, longitude: Column = None) -> tuple[int | None, int | None]:
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
