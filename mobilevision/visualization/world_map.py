"""World maps: cells by density, predictions beside the truth; and what they are drawn with. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mobilevision.visualization import coast
from mobilevision.visualization.charts import blank, image

Floats = NDArray[np.float64]
_POLE = 90 - 1e-6  # degrees; from here on a longitude means nothing

SEA, LAND, SHORE, GRID = "#eef3f7", "#dcd9d0", "#6f6b60", "#c9d2da"
TRUTH, ANSWER, WAY = "#1f8a4c", "#c62f3b", "#5b6570"
_WIDTH = 11.0  # of a map in inches, at 110 pixels an inch
_REGION = 40.0  # degrees: a narrower map gets the finer shores
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # degrees between lines of the grid


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

    @property
    def narrowing(self) -> float:
        """Length of a degree east over that of a degree north, in the middle; 1 for the world."""
        return 1.0 if self == Window() else max(float(np.cos(np.radians((self.north + self.south) / 2))), 0.1)

    def degrees(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Longitudes and latitudes of the lines of a grid, some six of them across."""
        step = next((each for each in _STEPS if self.width / each <= 12), 30)
        east = np.arange(np.ceil(self.west / step), np.floor(self.east / step) + 1) * step
        north = np.arange(np.ceil(self.south / step), np.floor(self.north / step) + 1) * step
        return east, north

    def outlines(self) -> tuple[coast.Outline, ...]:
        """Shores from the outside in, finer ones of a narrow window."""
        fine = self.width < _REGION
        return coast.outlines(fine, 20.0 if fine else 500.0)


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


def base(title: str = "", *, window: Window = WORLD, bar: bool = False) -> tuple[Any, Any]:
    """An empty map: figure and axes, x in degrees east, y in degrees north.

    Land is drawn where ``coast.installed()``; elsewhere the map says in a corner how to get it.

    Args:
        title: above it.
        window: what it shows.
        bar: leave room for a colour bar.
    """
    stretch = 1 / window.narrowing
    room = _WIDTH - (1.5 if bar else 0.5)
    figure, axes = blank(
        _WIDTH, room * (window.north - window.south) * stretch / window.width + (0.6 if title else 0.3)
    )
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

    least = 500.0 if window == WORLD else (window.width / 100) ** 2 * 500  # smaller ones are less than a pixel or two
    found = [each for each in window.outlines() if each.area >= least]
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
    """Lines of degrees, named by hemisphere."""
    east, north = window.degrees()
    axes.set_xticks(east, [_named(each, "W", "E") for each in east], fontsize=7)
    axes.set_yticks(north, [_named(each, "S", "N") for each in north], fontsize=7)
    axes.grid(color=GRID, linewidth=0.4, zorder=2)
    axes.set_axisbelow(False)
    axes.tick_params(length=0)


def _named(degrees: float, below: str, above: str) -> str:
    side = "" if degrees == 0 else (above if degrees > 0 else below)
    return f"{abs(degrees):g}°{side}"


# Closed shapes and lines on a sphere, made ready for a flat map: across the antimeridian and around the poles.


def shapes(latitude: Floats, longitude: Floats) -> tuple[list[Floats], NDArray[np.int64]]:
    """Polygons as a map from 180 west to 180 east draws them; clip what is further out.

    A shape across the antimeridian comes twice, once at each side. One with a corner on a pole gets the map's upper or
    lower edge instead, and one around a pole is closed along that edge.

    Args:
        latitude: [N, P] degrees, corners in order.
        longitude: [N, P] degrees.

    Returns:
        M >= N polygons, float64 [corners, 2] of (longitude, latitude), and the row that each comes from, int64 [M].
    """
    found: list[Floats] = []
    rows: list[int] = []
    pairs = zip(np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64), strict=True)
    for row, (north, east) in enumerate(pairs):
        here = copies(_closed(*_without_poles(north, east)))
        found += here
        rows += [row] * len(here)
    return found, np.array(rows, dtype=np.int64)


def copies(shape: Floats) -> list[Floats]:
    """A shape or line [P, 2] of unwrapped longitudes, and itself a turn away where that reaches into the map."""
    low, high = shape[:, 0].min(), shape[:, 0].max()
    turns = [turn for turn in (-720, -360, 0, 360, 720) if high + turn > -180 and low + turn < 180]
    return [shape + np.array([turn, 0.0]) for turn in turns]


def _without_poles(north: Floats, east: Floats) -> tuple[Floats, Floats]:
    """A corner on a pole becomes two on the map's edge, at the longitudes of its neighbours."""
    at_pole = np.abs(north) >= _POLE
    if not at_pole.any():
        return north, east
    corners = []
    for index in range(len(north)):
        beside = (index - 1, (index + 1) % len(north)) if at_pole[index] else (index,)
        corners += [(north[index], east[neighbour]) for neighbour in beside]
    return np.array([each[0] for each in corners]), np.array([each[1] for each in corners])


def _closed(north: Floats, east: Floats) -> Floats:
    """Unwrapped; around a pole it ends a turn from where it began, and goes back along the edge of the map."""
    turned = np.unwrap(np.append(east, east[0]), period=360)
    shape = np.stack([turned, np.append(north, north[0])], axis=1)
    if abs(turned[-1] - turned[0]) < 180:
        return shape[:-1]
    edge = np.copysign(90, north.mean())
    return np.concatenate([shape, [(turned[-1], edge), (turned[0], edge)]])


def great_circle(start: Floats, end: Floats) -> Floats:
    """The shortest way between two places, float64 [40, 2] of (unwrapped longitude, latitude).

    Args:
        start: (latitude, longitude) in degrees.
        end: likewise; for the opposite end of the Earth any way is the shortest.
    """
    phi, theta = np.radians(np.stack([start, end])).T
    first, last = np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1)
    angle = np.arccos(np.clip(first @ last, -1, 1))
    share = np.linspace(0, 1, 40)[:, None]
    if 1e-9 < angle < np.pi - 1e-9:
        x, y, z = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last).T
    else:  # the same place, or its opposite
        x, y, z = ((1 - share) * first + share * last).T
    east = np.unwrap(np.degrees(np.arctan2(y, x)), period=360)
    return np.stack([east, np.degrees(np.arctan2(z, np.hypot(x, y)))], axis=1)


# Charts of geolocation.

_EDGES = 4_000  # more cells than this are drawn without their outlines, which would hide the colours


def cell_map(latitude: Floats, longitude: Floats, density: ArrayLike, *, title: str = "") -> Image.Image:
    """Draw cells coloured by their density of photos.

    Args:
        latitude: float64 [N, P] degrees, the corners of each cell in order.
        longitude: likewise.
        density: [N], photos per km^2, above 0.
        title: above the map.
    """
    figure, axes = base(title, window=around((latitude, longitude)), bar=True)
    edges = len(latitude) <= _EDGES
    areas(axes, latitude, longitude, density, label="photos per km²", logarithmic=True, edges=edges)
    return image(figure)


def prediction_map(truth: tuple[ArrayLike, ArrayLike], answer: tuple[ArrayLike, ArrayLike]) -> Image.Image:
    """Draw where images were taken, where a model puts them, and the way between as part of a great circle.

    Args:
        truth: latitudes and longitudes, [N] degrees both.
        answer: likewise.
    """
    figure, axes = base(window=around(truth, answer))
    ways(axes, truth, answer)
    points(axes, *truth, colour=TRUTH, label="truth", s=22)
    points(axes, *answer, colour=ANSWER, label="prediction", s=22, marker="X")
    axes.legend(loc="lower left", fontsize=8, framealpha=0.9)
    return image(figure)


_SERIES = (("right_cell", "#8a929c"), ("model", "#2f6fde"), ("prior", "#e08a1e"), ("chance", "#c6ccd3"))


def shares(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw the share of images found within each radius, by the model and by those who see no images.

    Args:
        rows: ``radius_km``, and the shares ``model``, ``prior``, ``chance`` and ``right_cell``, 0 to 1.
    """
    figure, axes = blank(6.0, 3.4)
    width = 0.8 / len(_SERIES)
    for number, (name, colour) in enumerate(_SERIES):
        places = np.arange(len(rows)) + (number - (len(_SERIES) - 1) / 2) * width
        axes.bar(places, [row[name] for row in rows], width, color=colour, label=name.replace("_", " "))
    axes.set_xticks(range(len(rows)), [f"{row['radius_km']:,} km" for row in rows])
    axes.set(ylim=(0, 1), ylabel="share found within")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return image(figure)
