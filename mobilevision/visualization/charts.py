"""Charts of classes, attributes and verification as images, and what all charts share. Pure functions."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

_BLUE, _AMBER, _GREY = "#2f6fde", "#e08a1e", "#8a929c"
_NAMED = 40  # more classes than this have no room for their names
_COUNTED = 16  # more classes than this have no room for the counts in the cells
_NAMED_ATTRIBUTES = 60  # more attributes than this have no room for their names


def confusion_matrix(counts: ArrayLike, classes: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix: a row a true class, a column a predicted one, coloured by the row's fraction.

    Args:
        counts: [classes, classes], how often the row's class was taken for the column's.
        classes: the names, in the order of the rows. They are drawn up to 40 classes, counts up to 16.

    Raises:
        ValueError: the counts are not square, or not as many as the names.
    """
    table = np.asarray(counts, dtype=np.float64)
    size = len(classes)
    if table.shape != (size, size):
        raise ValueError(f"{size} classes need counts of shape {(size, size)}, not {table.shape}")
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    inches = 3.0 + 0.27 * min(size, _NAMED)
    figure, axes = blank(inches + 1.0, inches)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest" if size <= 400 else "antialiased")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if size <= _NAMED:
        names = [short(name) for name in classes]
        axes.set_xticks(range(size), names, rotation=55, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(size), names, fontsize=8)
    for row, column in np.argwhere(table > 0) if size <= _COUNTED else ():  # in ink that can be read on its colour
        ink = "white" if shares[row, column] > 0.55 else "#1d2733"
        axes.text(column, row, f"{table[row, column]:g}", ha="center", va="center", color=ink, fontsize=8)
    figure.colorbar(axes.images[0], ax=axes, fraction=0.04, pad=0.03, label="share of the true class")
    return image(figure)


def reliability_diagram(counts: ArrayLike, confidence: ArrayLike, accuracy: ArrayLike) -> Image.Image:
    """Draw how often a model is right against how sure it says it is, over bins of equal width in [0, 1].

    A calibrated model's bars end on the diagonal; above it the model is too modest, below it too sure. The bars'
    shade and the small histogram say how many predictions a bin holds. The title gives the expected calibration
    error, sum over bins of (share of the bin) * |accuracy - confidence| (Guo et al. 2017, arXiv:1706.04599).

    Args:
        counts: [bins], predictions in the bin.
        confidence: [bins], mean top-1 probability in the bin, 0 to 1 (any value where the bin is empty).
        accuracy: [bins], fraction of the bin's predictions that are right (any value where the bin is empty).
    """
    number = np.asarray(counts, dtype=np.float64)
    filled = number > 0
    sure = np.where(filled, np.nan_to_num(np.asarray(confidence, dtype=np.float64)), 0)
    right = np.where(filled, np.nan_to_num(np.asarray(accuracy, dtype=np.float64)), 0)
    share = number / max(number.sum(), 1)
    error = float((share * np.abs(right - sure)).sum())
    width = 1 / len(number)
    middle = (np.arange(len(number)) + 0.5) * width
    figure, (axes, below) = blank(4.6, 5.0, rows=(4, 1))
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="perfectly calibrated")
    axes.bar(middle[filled], right[filled], width * 0.92, color=_BLUE, alpha=0.85, label="fraction right")
    axes.plot(sure[filled], right[filled], "o", color=_AMBER, markersize=4, label="at the mean confidence")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=f"expected calibration error {error:.3f}")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    below.bar(middle, share, width * 0.92, color=_GREY)
    below.set(xlim=(0, 1), xlabel="confidence", ylabel="share")
    return image(figure)


def average_precisions(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw the average precision of each attribute, the best on top, with the base rate that a coin would reach.

    Args:
        rows: ``attribute``, ``ap`` (None where it cannot be told; left out), ``samples`` and ``positives``.
    """
    told = sorted((row for row in rows if row["ap"] is not None), key=lambda row: float(row["ap"]))[-_NAMED_ATTRIBUTES:]
    figure, axes = blank(6.0, 1.4 + 0.22 * len(told))
    rows_at = np.arange(len(told))
    base = [row["positives"] / max(row["samples"], 1) for row in told]
    axes.barh(rows_at, [row["ap"] for row in told], color=_BLUE, alpha=0.85, height=0.75, label="average precision")
    axes.plot(base, rows_at, "|", color=_AMBER, markersize=9, markeredgewidth=2, label="share that has it")
    axes.set_yticks(rows_at, [str(row["attribute"])[:24] for row in told], fontsize=8)
    axes.set(xlim=(0, 1), ylim=(-0.6, max(len(told), 1) - 0.4), xlabel="average precision")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return image(figure)


def attribute_reliability(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw true shares over predicted probabilities, in bins of probability, before and after calibration.

    Points on the diagonal are right; above it the model says too little, below it too much. Their area is the share of
    answers in the bin.

    Args:
        rows: a row a bin with ``samples``, ``probability`` and ``share``, and likewise ``raw_...``.
    """
    figure, axes = blank(4.8, 4.6)
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    for prefix, colour, name in (("raw_", _AMBER, "before"), ("", _BLUE, "after")):
        count, predicted, actual = (
            np.array([row[f"{prefix}{key}"] for row in rows], dtype=np.float64)
            for key in ("samples", "probability", "share")
        )
        error = float((count * np.abs(predicted - actual)).sum() / max(count.sum(), 1))
        filled = count > 0
        area = 12 + 500 * count[filled] / max(count.sum(), 1)
        axes.plot(
            predicted[filled], actual[filled], "-", color=colour, linewidth=1.2, label=f"{name}: off by {error:.3f}"
        )
        axes.scatter(predicted[filled], actual[filled], s=area, color=colour, alpha=0.6, linewidths=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability said", ylabel="share that is so")
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return image(figure)


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


def blank(width: float, height: float, rows: tuple[float, ...] = (1,), columns: int = 1) -> tuple[Any, Any]:
    """A figure without pyplot, so without a window, a global state or a leak, and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, height_ratios=rows)
    return figure, axes


def short(name: str) -> str:
    """A name that fits beside a chart."""
    return name if len(name) <= 18 else name[:17] + "…"


def image(figure: Any) -> Image.Image:
    """The figure as RGB."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")  # of a script that the font lacks: nobody can mend it
        figure.savefig(buffer, format="png", facecolor="white")
    return Image.open(buffer).convert("RGB")
