"""Charts of many attributes as images: precision against base rate, and calibration. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.visualization.charts import blank, image

BLUE, AMBER, GREY = "#2f6fde", "#e08a1e", "#8a929c"
_SHOWN = 60  # more attributes than this have no room for their names


def average_precisions(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw the average precision of each attribute, the best on top, with the base rate that a coin would reach.

    Args:
        rows: ``attribute``, ``ap`` (None where it cannot be told; left out), ``samples`` and ``positives``.
    """
    told = sorted((row for row in rows if row["ap"] is not None), key=lambda row: float(row["ap"]))[-_SHOWN:]
    figure, axes = blank(6.0, 1.4 + 0.22 * len(told))
    places = np.arange(len(told))
    base = [row["positives"] / max(row["samples"], 1) for row in told]
    axes.barh(places, [row["ap"] for row in told], color=BLUE, alpha=0.85, height=0.75, label="average precision")
    axes.plot(base, places, "|", color=AMBER, markersize=9, markeredgewidth=2, label="share that has it")
    axes.set_yticks(places, [str(row["attribute"])[:24] for row in told], fontsize=8)
    axes.set(xlim=(0, 1), ylim=(-0.6, max(len(told), 1) - 0.4), xlabel="average precision")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return image(figure)


def reliability(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw what was so against what was said, over bins of probability, before and after calibration.

    Points on the diagonal are right; above it the model says too little, below it too much. Their area is the share of
    answers in the bin.

    Args:
        rows: a row a bin with ``samples``, ``probability`` and ``share``, and likewise ``raw_...``.
    """
    figure, axes = blank(4.8, 4.6)
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1)
    for prefix, colour, name in (("raw_", AMBER, "before"), ("", BLUE, "after")):
        count, said, true = (
            np.array([row[f"{prefix}{key}"] for row in rows], dtype=np.float64)
            for key in ("samples", "probability", "share")
        )
        error = float((count * np.abs(said - true)).sum() / max(count.sum(), 1))
        filled = count > 0
        area = 12 + 500 * count[filled] / max(count.sum(), 1)
        axes.plot(said[filled], true[filled], "-", color=colour, linewidth=1.2, label=f"{name}: off by {error:.3f}")
        axes.scatter(said[filled], true[filled], s=area, color=colour, alpha=0.6, linewidths=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability said", ylabel="share that is so")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return image(figure)
