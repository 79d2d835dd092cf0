"""Charts of a classifier's results as images: confusion matrix and reliability diagram. Pure functions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_BLUE, _AMBER, _GREY = "#2f6fde", "#e08a1e", "#8a929c"
_NAMED = 40  # more classes than this have no room for their names
_COUNTED = 16  # more classes than this have no room for the counts in the cells


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
    if size <= _COUNTED:
        _write_counts(axes, table, shares)
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


def blank(width: float, height: float, rows: tuple[float, ...] = (1,), columns: int = 1) -> tuple[Any, Any]:
    """A figure without pyplot, so without a window, a global state or a leak, and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, height_ratios=rows)
    return figure, axes


def _write_counts(axes: Any, table: Any, shares: Any) -> None:
    """The number of images in every cell that is not empty, in the ink that can be read on its colour."""
    for row, column in np.argwhere(table > 0):
        ink = "white" if shares[row, column] > 0.55 else "#1d2733"
        axes.text(column, row, f"{table[row, column]:g}", ha="center", va="center", color=ink, fontsize=8)


def short(name: str) -> str:
    """A name that fits beside a chart."""
    return name if len(name) <= 18 else name[:17] + "…"


def image(figure: Any) -> Image.Image:
    """The figure as RGB."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return Image.open(buffer).convert("RGB")
