"""Charts of how many places were found, beside what is found without looking. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mobilevision.visualization import world_map
from mobilevision.visualization.charts import blank, image

# World maps of cells, of predictions beside the truth, and of where a model thinks an image was taken.

Floats = NDArray[np.float64]
_EDGES = 4_000  # more cells than this are drawn without their outlines, which would hide the colours


def cell_map(latitude: Floats, longitude: Floats, density: ArrayLike, *, title: str = "") -> Image.Image:
    """Draw cells coloured by their density of photos.

    Args:
        latitude: float64 [N, P] degrees, the corners of each cell in order.
        longitude: likewise.
        density: [N], photos per km^2, above 0.
        title: above the map.
    """
    figure, axes = world_map.base(title, window=_window(latitude, longitude), bar=True)
    edges = len(latitude) <= _EDGES
    world_map.areas(axes, latitude, longitude, density, label="photos per km²", logarithmic=True, edges=edges)
    return image(figure)


def prediction_map(
    truth: tuple[ArrayLike, ArrayLike], answer: tuple[ArrayLike, ArrayLike], *, title: str = ""
) -> Image.Image:
    """Draw where images were taken, where a model puts them, and the way between as part of a great circle.

    Args:
        truth: latitudes and longitudes, [N] degrees both.
        answer: likewise.
        title: above the map.
    """
    figure, axes = world_map.base(title, window=world_map.around(truth, answer))
    world_map.ways(axes, truth, answer)
    world_map.points(axes, *truth, colour=world_map.TRUTH, label="truth", s=22)
    world_map.points(axes, *answer, colour=world_map.ANSWER, label="prediction", s=22, marker="X")
    _legend(axes)
    return image(figure)


def probability_map(
    latitude: Floats,
    longitude: Floats,
    probabilities: ArrayLike,
    *,
    answer: tuple[float, float] | None = None,
    truth: tuple[float, float] | None = None,
    title: str = "",
    whole: bool = True,
) -> Image.Image:
    """Draw how probable each cell is.

    Args:
        latitude: float64 [N, P] degrees, the corners of each cell in order.
        longitude: likewise.
        probabilities: [N], 0 to 1. Cells of less than a thousandth of the highest are left out.
        answer: latitude and longitude of the model's answer, drawn as a cross.
        truth: of the true place, drawn as a star.
        title: above the map.
        whole: show all of the world; False shows the part with the cells that are left.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    likely = chances >= max(chances.max(initial=0.0) / 1000, 1e-12)
    north, east = latitude[likely], longitude[likely]
    window = world_map.WORLD if whole else _window(north, east)
    figure, axes = world_map.base(title, window=window, bar=True)
    world_map.areas(axes, north, east, chances[likely], label="probability", edges=False)
    for place, label, colour, marker in (
        (truth, "truth", world_map.TRUTH, "*"),
        (answer, "prediction", world_map.ANSWER, "X"),
    ):
        if place is not None:
            world_map.points(axes, [place[0]], [place[1]], colour=colour, label=label, s=110, marker=marker)
    if truth is not None or answer is not None:
        _legend(axes)
    return image(figure)


def _window(latitude: Floats, longitude: Floats) -> world_map.Window:
    return world_map.around((latitude, longitude))


def _legend(axes: object) -> None:
    axes.legend(loc="lower left", fontsize=8, framealpha=0.9)  # type: ignore[attr-defined]


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
