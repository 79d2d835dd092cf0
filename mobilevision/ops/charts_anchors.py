"""A chart of a data set's boxes and of the default boxes that are to reach them. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.ops.charts import blank, picture

_BOXES, _COLOURS = "#c5ccd4", ("#2f6fde", "#e08a1e", "#1f8a4c", "#c62f3b", "#8a4fc7", "#0f8a8a")
_DOTS = 4000


def anchors(
    shapes: NDArray[np.float64],
    plans: Sequence[tuple[str, Sequence[Sequence[tuple[float, float]]]]],
    names: Sequence[str],
) -> Image.Image:
    """Draw boxes as dots, width against height, and on them the default boxes of each map, a panel a plan.

    Args:
        shapes: float64 [n, 2], (width, height) of the boxes as fractions of the input's sides; some of many are drawn.
        plans: title and sizes a map, of each panel.
        names: of the maps.
    """
    figure, panels = blank(4.6 * len(plans), 4.8, columns=len(plans))
    dots = shapes[np.linspace(0, len(shapes) - 1, min(len(shapes), _DOTS)).astype(int)]
    for axes, (title, sizes) in zip(np.atleast_1d(panels), plans, strict=True):
        axes.plot(*dots.T, ".", color=_BOXES, markersize=3, zorder=1)
        for number, (name, each) in enumerate(zip(names, sizes, strict=True)):
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(*np.array(each).T, "o", color=colour, markersize=6, markeredgecolor="white", label=name)
        axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="width of the input", ylabel="height", title=title)
        axes.set_aspect("equal")
    np.atleast_1d(panels)[-1].legend(title="map", loc="lower right", fontsize=8)
    return picture(figure)
