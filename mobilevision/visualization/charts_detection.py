"""Charts of detection: precision and recall, errors, and a data set's boxes with the anchors that reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.visualization.charts import blank, image, short

# Charts of a detector's results as images: precision over recall, and what its mistakes are. Pure functions.

_RIGHT, _WRONG = "#1f8a4c", "#c62f3b"
_FAINT, _INK = "#c5ccd4", "#39424e"
_COLOURS = (
    "#2f6fde",
    "#e08a1e",
    "#1f8a4c",
    "#c62f3b",
    "#8a4fc7",
    "#0f8a8a",
    "#b5541c",
    "#5b6b1f",
    "#c22f72",
    "#3d7ea6",
)
_TOGETHER = len(_COLOURS)  # more curves than this cannot be told apart
_PANELS = 6  # of the best classes, and of the worst
_KINDS = {
    "correct": ("correct", _RIGHT),
    "other_class": ("other class", "#8a4fc7"),
    "location": ("location", "#2f6fde"),
    "duplicate": ("duplicate", "#0f8a8a"),
    "background": ("background", _WRONG),
    "missed": ("missed", "#e08a1e"),
}


def pr_curves(points: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw precision over recall at an overlap of one half.

    Up to 10 classes lie in one chart. Of more, the 6 best and the 6 worst have one each, beside the mean of all,
    which is drawn behind each of them. A dot marks the threshold with the best F1.

    Args:
        points: class, recall and precision; a class's rows in the order of recall.
        classes: class, boxes, ap_50, precision and recall at the threshold; of classes without boxes ap_50 is None.
    """
    known = [row for row in classes if row["ap_50"] is not None]
    lines: dict[str, list[tuple[float, float]]] = {row["class"]: [] for row in known}
    for point in points:
        lines.setdefault(point["class"], []).append((point["recall"], point["precision"]))
    ranked = sorted(known, key=lambda row: (-row["ap_50"], row["boxes"]))  # of equals, many boxes are the worse
    return _together(ranked, lines) if len(ranked) <= _TOGETHER else _apart(ranked, lines)


def _together(ranked: Sequence[Mapping[str, Any]], lines: Mapping[str, Sequence[tuple[float, float]]]) -> Image.Image:
    figure, axes = blank(5.8, 4.6)
    for row, colour in zip(ranked, _COLOURS, strict=False):
        axes.plot(*_stairs(lines[row["class"]]), color=colour, linewidth=1.8, label=_named(row))
        _dot(axes, row, colour)
    _frame(axes, "recall", "precision")
    title = f"AP at overlap 0.5: {_mean(ranked):.3f}" if ranked else "no true boxes"
    axes.set_title(title)
    if ranked:
        axes.legend(loc="lower left", fontsize=8, framealpha=0.85, edgecolor="none")
    return image(figure)


def _apart(ranked: Sequence[Mapping[str, Any]], lines: Mapping[str, Sequence[tuple[float, float]]]) -> Image.Image:
    figure, panels = blank(11.0, 4.4, rows=(1, 1), columns=_PANELS)
    mean = _average([lines[row["class"]] for row in ranked])
    chosen = (ranked[:_PANELS], ranked[-_PANELS:])
    for row_of_axes, rows, colour in zip(panels, chosen, (_RIGHT, _WRONG), strict=True):
        for axes, row in zip(row_of_axes, rows, strict=True):
            axes.plot(*mean, color=_FAINT, linewidth=1.4)
            axes.plot(*_stairs(lines[row["class"]]), color=colour, linewidth=1.8)
            _dot(axes, row, colour)
            _frame(axes, "", "")
            axes.set_title(_named(row), fontsize=9)
        row_of_axes[0].set_ylabel("precision")
    for axes in panels[1]:
        axes.set_xlabel("recall")
    figure.suptitle(
        f"AP at overlap 0.5: {_mean(ranked):.3f}, the mean of {len(ranked)} classes (grey); "
        f"the {_PANELS} best and the {_PANELS} worst",
        fontsize=11,
    )
    return image(figure)


def errors(kinds: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]] = ()) -> Image.Image:
    """Draw how many of the detections above the thresholds are right, what the others are, and what is missed.

    Args:
        kinds: kind and count.
        classes: class, and a count by kind; the 12 with the most mistakes get a stacked bar each. None are drawn of
            fewer than two.
    """
    rows = sorted(classes, key=lambda row: -sum(row[kind] for kind in _KINDS if kind != "correct"))[:12]
    if len(rows) < 2:
        figure, axes = blank(6.0, 2.6)
        _bars(axes, kinds)
        return image(figure)
    figure, (axes, below) = blank(6.4, 3.3 + 0.27 * len(rows), rows=(2.0, 0.5 + 0.27 * len(rows)))
    _bars(axes, kinds)
    start = [0] * len(rows)
    for kind, (name, colour) in _KINDS.items():
        counts = [row[kind] for row in rows]
        below.barh(range(len(rows)), counts, left=start, color=colour, label=name)
        start = [base + count for base, count in zip(start, counts, strict=True)]
    below.set_yticks(range(len(rows)), [short(row["class"]) for row in rows], fontsize=8)
    below.invert_yaxis()
    below.set_title("classes with the most mistakes" if len(classes) > len(rows) else "by class", fontsize=9)
    figure.legend(ncols=6, fontsize=7, frameon=False, loc="outside lower center", columnspacing=1)
    _plain(below)
    return image(figure)


def _bars(axes: Any, kinds: Sequence[Mapping[str, Any]]) -> None:
    """A bar a kind, with its count."""
    counts = [row["count"] for row in kinds]
    names, colours = zip(*(_KINDS[row["kind"]] for row in kinds), strict=True)
    axes.barh(range(len(counts)), counts, color=colours, height=0.72)
    axes.set_yticks(range(len(counts)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max([1, *counts]) * 1.12)
    for place, count in enumerate(counts):
        axes.text(count, place, f" {count:,}", va="center", fontsize=9, color=_INK)
    axes.set_title("detections above the thresholds, and boxes they miss", fontsize=10)
    _plain(axes)


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _frame(axes: Any, below: str, beside: str) -> None:
    axes.set(xlim=(0, 1.02), ylim=(0, 1.04), xlabel=below, ylabel=beside)
    axes.grid(color="#e6e9ed", linewidth=0.7)
    axes.set_axisbelow(True)
    if not below:
        axes.set_xticks([0, 0.5, 1], ["0", "", "1"], fontsize=7)
        axes.set_yticks([0, 0.5, 1], ["0", "", "1"], fontsize=7)


def _stairs(line: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The curve, and its fall where recall ends."""
    ended = [*line, (line[-1][0], 0.0)] if line else [(0.0, 0.0)]
    return [recall for recall, _ in ended], [precision for _, precision in ended]


def _average(lines: Sequence[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """Mean precision at each hundredth of recall; a curve that has ended counts as 0."""
    recalls = [place / 100 for place in range(101)]
    values = [{round(recall * 100): precision for recall, precision in line} for line in lines]
    return recalls, [sum(value.get(place, 0.0) for value in values) / len(values) for place in range(101)]


def _dot(axes: Any, row: Mapping[str, Any], colour: str) -> None:
    if row["precision"] is not None and row["recall"]:
        axes.plot(row["recall"], row["precision"], "o", color=colour, markersize=5, markeredgecolor="white")


def _named(row: Mapping[str, Any]) -> str:
    return f"{short(row['class'])} {row['ap_50']:.2f}"


def _mean(rows: Sequence[Mapping[str, Any]]) -> float:
    return float(sum(row["ap_50"] for row in rows)) / max(len(rows), 1)


_DOTS, _MAPS = 4000, 6  # dots at most, and colours of maps


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
        axes.plot(*dots.T, ".", color=_FAINT, markersize=3, zorder=1)
        for number, (name, each) in enumerate(zip(names, sizes, strict=True)):
            colour = _COLOURS[number % _MAPS]
            axes.plot(*np.array(each).T, "o", color=colour, markersize=6, markeredgecolor="white", label=name)
        axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="width of the input", ylabel="height", title=title)
        axes.set_aspect("equal")
    np.atleast_1d(panels)[-1].legend(title="map", loc="lower right", fontsize=8)
    return image(figure)
