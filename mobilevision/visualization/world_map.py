"""Maps to draw on: land, a grid of degrees, and on them places, shapes with values, and lines from truth to answer."""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilevision.visualization import coast
from mobilevision.visualization.charts import blank
from mobilevision.visualization.map_outlines import copies, great_circle, shapes

SEA, LAND, SHORE, GRID = "#eef3f7", "#dcd9d0", "#6f6b60", "#c9d2da"
TRUTH, ANSWER, WAY = "#1f8a4c", "#c62f3b", "#5b6570"
_REGION = 40.0  # degrees: a narrower map gets the finer shores


@final
class Window(NamedTuple):
    """The part of Earth that a map shows, in degrees."""

    south: float = -90.0
    north: float = 90.0
    west: float = -180.0
    east: float = 180.0

    @property
    def width(self) -> float:
        """Degrees from west to east."""
        return self.east - self.west


WORLD = Window()


def around(*places: tuple[ArrayLike, ArrayLike]) -> Window:
    """The window that shows all places: the world, or less where they lie close together.

    Args:
        places: pairs of latitudes and longitudes, degrees from -180 to 180.
    """
    north = np.concatenate([np.ravel(latitude) for latitude, _ in places]).astype(np.float64)
    east = np.concatenate([np.ravel(longitude) for _, longitude in places]).astype(np.float64)
    if not len(north) or np.ptp(east) > 120 or np.ptp(north) > 90:
        return WORLD
    middle, centre = (north.max() + north.min()) / 2, (east.max() + east.min()) / 2
    flat = max(np.cos(np.radians(middle)), 0.1)
    high, wide = 0.55 * max(np.ptp(north), 0.5), 0.55 * np.ptp(east) * flat  # half, in degrees at the equator
    wide, high = max(wide, 1.5 * high), max(high, wide / 2)
    window = Window(max(middle - high, -90), min(middle + high, 90), centre - wide / flat, centre + wide / flat)
    return window if window.west >= -180 and window.east <= 180 else WORLD


def base(title: str = "", *, window: Window = WORLD, bar: bool = False, width: float = 11.0) -> tuple[Any, Any]:
    """An empty map: figure and axes, x in degrees east, y in degrees north.

    Land is drawn where ``coast.installed()``; elsewhere the map says in a corner how to get it.

    Args:
        title: above it.
        window: what it shows.
        bar: leave room for a colour bar.
        width: of the image in inches, at 110 pixels an inch.
    """
    middle = np.radians((window.north + window.south) / 2)
    stretch = 1 / max(np.cos(middle), 0.1) if window != WORLD else 1.0
    room = width - (1.5 if bar else 0.5)
    figure, axes = blank(width, room * (window.north - window.south) * stretch / window.width + (0.6 if title else 0.3))
    axes.set(xlim=(window.west, window.east), ylim=(window.south, window.north), title=title, facecolor=SEA)
    axes.set_aspect(stretch)
    _shores(axes, window)
    _grid(axes, window)
    if not coast.installed():
        axes.text(0.01, 0.02, coast.ABSENT, transform=axes.transAxes, fontsize=7, color=WAY, zorder=9)
    return figure, axes


def points(axes: Any, latitude: ArrayLike, longitude: ArrayLike, *, colour: str, label: str = "", **style: Any) -> None:
    """Draw places as dots.

    Args:
        axes: of ``base``.
        latitude: [N] degrees.
        longitude: [N] degrees, -180 to 180.
        colour: of the dots.
        label: for the legend; none where empty.
        style: further ones of Matplotlib's scatter, such as ``s=9`` for the area or ``marker="*"``.
    """
    given = {"s": 9, "linewidths": 0.4, "edgecolors": "white", "zorder": 6} | style
    axes.scatter(np.asarray(longitude), np.asarray(latitude), c=colour, label=label or None, **given)


def areas(
    axes: Any,
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    values: ArrayLike,
    *,
    label: str,
    logarithmic: bool = False,
    edges: bool = True,
) -> None:
    """Draw polygons filled by a value each, with a colour bar.

    Args:
        axes: of ``base``.
        latitude: [N, P] degrees, the corners of each.
        longitude: [N, P] degrees.
        values: [N]; above 0 where logarithmic.
        label: of the colour bar.
        logarithmic: for values over many magnitudes.
        edges: draw the outlines.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LogNorm, Normalize

    drawn, rows = shapes(latitude, longitude)
    filled = np.asarray(values, dtype=np.float64)[rows]
    low, high = (filled.min(), filled.max()) if len(filled) else (0.1, 1.0)
    norm = LogNorm(max(low, 1e-12), max(high, low * 1.01, 1e-11)) if logarithmic else Normalize(0, max(high, 1e-12))
    line, thick = ("#2b3440", 0.25) if edges else ("face", 0.8)
    collection = PolyCollection(
        drawn, array=filled, cmap="YlOrRd", norm=norm, alpha=0.8, zorder=4, edgecolors=line, linewidths=thick
    )
    axes.add_collection(collection, autolim=False)
    axes.figure.colorbar(collection, ax=axes, fraction=0.025, pad=0.01, label=label)


def ways(axes: Any, truth: tuple[ArrayLike, ArrayLike], answer: tuple[ArrayLike, ArrayLike]) -> None:
    """Draw the shortest way from each true place to the answer, as great circles.

    Args:
        axes: of ``base``.
        truth: latitudes and longitudes, [N] degrees both.
        answer: likewise.
    """
    from matplotlib.collections import LineCollection

    starts, ends = np.stack(truth, axis=-1).astype(np.float64), np.stack(answer, axis=-1).astype(np.float64)
    lines = [line for pair in zip(starts, ends, strict=True) for line in copies(great_circle(*pair))]
    axes.add_collection(LineCollection(lines, colors=WAY, linewidths=0.7, alpha=0.6, zorder=5), autolim=False)


def _shores(axes: Any, window: Window) -> None:
    """Land over sea, lakes over land, islands over lakes: in the order that they come in."""
    from matplotlib.collections import LineCollection, PolyCollection

    fine = window.width < _REGION
    least = 500.0 if window == WORLD else (window.width / 100) ** 2 * 500  # smaller ones are less than a pixel or two
    found = [each for each in coast.outlines(fine, 20.0 if fine else 500.0) if each.area >= least]
    corners = [np.stack([each.longitude, each.latitude], axis=1) for each in found]
    colours = [LAND if each.land else SEA for each in found]
    axes.add_collection(PolyCollection(corners, facecolors=colours, zorder=1), autolim=False)
    lines = LineCollection([_uncut(each) for each in corners], colors=SHORE, linewidths=0.4, zorder=4.5)
    axes.add_collection(lines, autolim=False)  # over what areas are filled with


def _uncut(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """A shore as a line, with gaps where the antimeridian or Greenwich's cuts the land in two."""
    line = np.concatenate([corners, corners[:1]])
    cut = (np.diff(line[:, 0]) == 0) & np.isin(np.abs(line[1:, 0]), (0, 180))
    return np.insert(line, np.flatnonzero(cut) + 1, np.nan, axis=0)


def _grid(axes: Any, window: Window) -> None:
    """Lines of degrees, some six of them across, named by hemisphere."""
    step = next((each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30) if window.width / each <= 12), 30)
    east = np.arange(np.ceil(window.west / step), np.floor(window.east / step) + 1) * step
    north = np.arange(np.ceil(window.south / step), np.floor(window.north / step) + 1) * step
    axes.set_xticks(east, [_named(each, "W", "E") for each in east], fontsize=7)
    axes.set_yticks(north, [_named(each, "S", "N") for each in north], fontsize=7)
    axes.grid(color=GRID, linewidth=0.4, zorder=2)
    axes.set_axisbelow(False)
    axes.tick_params(length=0)


def _named(degrees: float, below: str, above: str) -> str:
    side = "" if degrees == 0 else (above if degrees > 0 else below)
    return f"{abs(degrees):g}°{side}"
