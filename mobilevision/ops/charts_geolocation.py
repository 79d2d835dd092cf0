"""Charts of how many places were found, beside what is found without looking. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.ops.charts import blank, picture

_SERIES = (("right_cell", "#8a929c"), ("model", "#2f6fde"), ("prior", "#e08a1e"), ("chance", "#c6ccd3"))


def shares(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw the share of pictures found within each radius, by the model and by those who see no pictures.

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
    return picture(figure)
