"""``mobilevision cells``: cut Earth into the cells that a model of places chooses among, and show what they allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from rich.console import Console
from rich.table import Table

from mobilevision.errors import UserError
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import RADII
from mobilevision.geo.partition import FINEST, PLANET, adaptive, fixed, oracle, scaled
from mobilevision.ops import coast
from mobilevision.runs.coordinates_file import Coordinates, read
from mobilevision.runs.folder import write_text

FEATURES = 1024  # that MobileNet V1 of width 1 hands to its last layer
_HELD_OUT = 10  # one photo of so many is kept from the cells that judge unseen ones
_OUTLINE = 40_000  # points to draw all cells with, some four a side where there are few


@final
class Cut(NamedTuple):
    """How to cut; None is chosen by the number of photos.

    Attributes:
        most: a cell with more photos is cut into four.
        least: a cell with fewer is dropped.
        coarsest: level of the largest cells.
        finest: level of the smallest ones.
        level: the one level of all cells; the others but ``least`` then mean nothing.
    """

    most: int | None = None
    least: int | None = None
    coarsest: int | None = None
    finest: int | None = None
    level: int | None = None


def cells(
    coordinates: str | Path,
    *,
    out: str | Path,
    cut: Cut | None = None,
    columns: str | None = None,
    on_error: str = "raise",
) -> Cells:
    """Make cells of a table of coordinates; write them, draw them, and print what they allow.

    Args:
        coordinates: the table, with a latitude and a longitude a row.
        out: the file of cells, JSON; the map lies beside it as PNG.
        cut: how to cut; None chooses everything.
        columns: ``"LATITUDE,LONGITUDE"``, names or numbers; None finds them.
        on_error: ``raise`` refuses rows that cannot be used, ``skip`` leaves them out.

    Raises:
        UserError: a table or settings that cannot be used.
    """
    target = Path(out)
    if target.suffix != ".json":
        raise UserError(f"--out {out}: a file of cells ends with .json, say {target.with_suffix('.json')}")
    places = read(Path(coordinates), wanted=columns, skip=on_error == "skip")
    make, said = _cutter(cut or Cut(), len(places.latitude))
    made = make(places.latitude, places.longitude)
    if not len(made):
        least = make.keywords["least"]
        raise UserError(
            f"no cell has {least} of the {len(places.latitude):,} photos: a lower --least, or coarser cells"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, json.dumps(made.to_dict()) + "\n")
    picture = target.with_suffix(".png")
    _draw(made, picture)
    _say(f"{len(places.latitude):,} coordinates in {coordinates}, columns {places.names[0]} and {places.names[1]}")
    for line in (*places.notes, said):
        _say(line)
    _print(made, len(places.latitude))
    _print_reach(made, make, places)
    if len(made) == 1:
        _say("one cell leaves a model nothing to choose: lower --most, or raise --coarsest")
    if not coast.installed():
        _say(coast.ABSENT)
    _say(f"cells in {target}, drawn in {picture}")
    return made


def _cutter(cut: Cut, photos: int) -> tuple[partial[Cells], str]:
    """What makes cells of latitudes and longitudes, every setting chosen, and a sentence on them.

    Raises:
        UserError: settings that contradict each other.
    """
    if cut.level is not None:
        others = {"most": cut.most, "coarsest": cut.coarsest, "finest": cut.finest}
        if given := [f"--{name}" for name, value in others.items() if value is not None]:
            raise UserError(f"--level {cut.level} makes all cells of one level: leave out {', '.join(given)}")
        least = _or(cut.least, 1)
        return partial(fixed, level=cut.level, least=least), f"cells of level {cut.level} with {least:,} photos or more"
    usual = scaled(photos)
    most = _or(cut.most, max(usual[0], _or(cut.least, 0)))
    least = _or(cut.least, min(usual[1], most))
    coarsest = _or(cut.coarsest, 0)
    finest = _or(cut.finest, max(FINEST, coarsest))
    if coarsest > finest:
        raise UserError(f"--coarsest {coarsest} --finest {finest}: levels grow towards smaller cells")
    if least > most:
        raise UserError(f"--least {least} is more than --most {most}: nearly every cell would be dropped")
    said = f"cells of {most:,} photos at most and {least:,} at least, levels {coarsest} to {finest}"
    if cut.most is None and cut.least is None:
        said += f" (PlaNet's {PLANET[1]:,} and {PLANET[2]} of {PLANET[0] // 10**6} million, by the root of the number)"
    return partial(adaptive, most=most, least=least, coarsest=coarsest, finest=finest), said


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _draw(made: Cells, path: Path) -> None:
    from mobilevision.ops.charts_places import cell_map

    outlines = s2.corners(made.ids, points=int(np.clip(_OUTLINE // len(made), 1, 8)))
    title = f"{len(made):,} cells of {made.counts.sum():,} photos"
    cell_map(*outlines, made.counts / s2.areas(made.ids), title=title).save(path)


def _print(made: Cells, photos: int) -> None:
    kept = int(made.counts.sum())
    low, middle, high = np.quantile(made.counts, (0, 0.5, 1)).astype(int)
    _say(f"{len(made):,} cells with {low:,} to {high:,} photos, half of them with {middle:,} or more")
    _say(f"{kept:,} photos ({kept / photos:.2%}) lie in them, {photos - kept:,} in cells that were dropped")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("level", "cells", "photos", "km across"):
        table.add_column(name, justify="right")
    levels, sizes = s2.levels(made.ids), np.sqrt(s2.areas(made.ids))
    for level in np.unique(levels).tolist():
        here = levels == level
        size = np.median(sizes[here])
        across = f"{size:,.0f}" if size >= 10 else f"{size:.2g}"
        table.add_row(str(level), f"{here.sum():,}", f"{made.counts[here].sum():,}", across)
    Console(highlight=False).print(table)
    head = FEATURES * len(made) + len(made)
    _say(f"a last layer from {FEATURES} features to {len(made):,} cells has {head / 1e6:,.2f} M parameters")


def _print_reach(made: Cells, make: Callable[..., Cells], places: Coordinates) -> None:
    """What the cells allow: for the photos that they were made from, and for others, one photo in ten, by chance."""
    held = np.random.default_rng(0).permutation(len(places.latitude)) % _HELD_OUT == 0
    others = make(places.latitude[~held], places.longitude[~held])
    rows = {
        "these photos": oracle(made, places.latitude, places.longitude),
        f"unseen photos (1 in {_HELD_OUT})": oracle(others, places.latitude[held], places.longitude[held]),
    }
    _say("within reach when the right cell is always found:")
    table = Table("", box=None, pad_edge=False, header_style="bold")
    for radius in RADII:
        table.add_column(f"{radius:,} km", justify="right")
    for name, shares in rows.items():
        table.add_row(name, *(f"{share:.1%}" for share in shares.values()))
    Console(highlight=False).print(table)


def _say(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True, markup=False)
