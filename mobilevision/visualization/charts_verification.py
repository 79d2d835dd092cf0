"""Charts of a verification as images: the ROC curve over rare mistakes, the similarities of both sorts of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from mobilevision.visualization.charts import blank, image

_BLUE, _AMBER, _GREY = "#2f6fde", "#e08a1e", "#8a929c"


def roc(rows: Sequence[Mapping[str, float]], *, auc: float | None = None) -> Image.Image:
    """Validation rate over false accept rate, the latter logarithmic: rare mistakes are what counts.

    Args:
        rows: along the curve, with ``far`` and ``val``, 0 to 1.
        auc: area under the curve, for the title.
    """
    figure, axes = blank(4.8, 4.2)
    far, val = (np.array([row[key] for row in rows]) for key in ("far", "val"))
    shown = far > 0
    least = float(far[shown].min()) if shown.any() else 1e-4
    axes.plot([least, 1], [least, 1], "--", color=_GREY, linewidth=1, label="chance")
    axes.plot(far[shown], val[shown], color=_BLUE, label="model", drawstyle="steps-post")
    axes.set(xscale="log", xlim=(least, 1), ylim=(0, 1), xlabel="false accept rate", ylabel="validation rate")
    axes.set_title("ROC curve" + (f", area {auc:.3f}" if auc is not None else ""))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return image(figure)


def similarities(rows: Sequence[Mapping[str, float]], *, threshold: float | None = None) -> Image.Image:
    """How similar pairs of the same are, and others.

    Args:
        rows: a bin each, with ``from`` (a cosine) and the shares ``same`` and ``other`` of their pairs.
        threshold: a cosine to mark.
    """
    figure, axes = blank(5.2, 3.6)
    start = np.array([row["from"] for row in rows])
    width = float(start[1] - start[0]) if len(start) > 1 else 2.0
    for key, colour, label in (("other", _AMBER, "two identities"), ("same", _BLUE, "the same")):
        shares = np.array([row[key] for row in rows])
        axes.bar(start + width / 2, shares, width, color=colour, alpha=0.6, label=label)
    if threshold is not None:
        axes.axvline(threshold, color=_GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:.2f}")
    axes.set(xlabel="cosine similarity", ylabel="share of the pairs")
    axes.legend(fontsize=8, frameon=False)
    return image(figure)
