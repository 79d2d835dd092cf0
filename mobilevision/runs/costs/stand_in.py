"""A data set that is not there, as far as a head has to know it to be counted."""

from __future__ import annotations

from typing import Any

from mobilevision.spec import DataSpec

_GOLDEN = (1 + 5**0.5) / 2


def spec_of(
    kind: str, *, classes: int, channels: int, resolution: tuple[int, int], cells: dict[str, Any] | None = None
) -> DataSpec:
    """The spec of a data set with so many classes, whose names are numbers.

    Args:
        kind: what is learnt from.
        classes: how many; cells of Earth, for ``coordinate``.
        channels: of a picture.
        resolution: (height, width) of the input in pixels.
        cells: as a :class:`DataSpec` carries them; None spreads so many over Earth.
    """
    if kind == "coordinate" and cells is None:
        cells = spread_cells(classes)
    return DataSpec(kind, tuple(map(str, range(classes))), channels, resolution, cells=cells)


def spread_cells(count: int) -> dict[str, Any]:
    """So many cells of one level, evenly over Earth: along a spiral from pole to pole."""
    import numpy as np

    from mobilevision.geo import s2
    from mobilevision.geo.cells import Cells

    place = np.arange(count) + 0.5
    latitude = np.degrees(np.arcsin(1 - 2 * place / count))
    longitude = (place * 360 / _GOLDEN) % 360 - 180
    for level in range(s2.LEVELS + 1):
        ids = np.unique(s2.cell_ids(latitude, longitude, level))
        if len(ids) == count:
            break
    return Cells(ids, np.ones(count, dtype=np.int64), *s2.centres(ids)).to_dict()
