"""Charts of costs: layers, accuracy against cost, time against mult-adds, models within a budget. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.visualization.charts import blank, image

# Kinds of layers in the order of their cost; safe for most colour-blind eyes, grey for the rest.
_LAYER_COLOURS = ("#2f6fde", "#e08a1e", "#1f9e89", "#b5449a", "#7a5c3a")
_GREY = "#8a929c"
_GROUP_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_NAMED_TRADEOFFS, _NAMED_POINTS = 24, 30  # more points than this are not named
_COLUMNS = 2  # panels beside each other
_PANELS = (("mult_adds", "million mult-adds", 1e6), ("parameters", "thousand parameters", 1e3))


def layers(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> Image.Image:
    """Draw mult-adds and parameters of each layer that computes, by kind, and the activations alive while it works.

    Args:
        rows: a row a layer in order: ``kind``, ``mult_adds``, ``parameters``, ``memory`` in bytes of float32.
        title: above it.
    """
    figure, (compute, numbers, memory) = blank(9.0, 7.2, rows=(1, 1, 1))
    colours, legend = _colours(rows), {row["kind"]: _named(rows, row["kind"]) for row in rows}
    rows = [row for row in rows if row["mult_adds"]]
    kinds = {kind: colour for kind, colour in colours.items() if any(row["kind"] == kind for row in rows)}
    places = np.arange(len(rows))
    for axes, (key, label, unit) in zip((compute, numbers), _PANELS, strict=True):
        for kind, colour in kinds.items():
            mine = np.array([row["kind"] == kind for row in rows], dtype=bool)
            heights = np.array([row[key] for row in rows], dtype=np.float64)[mine] / unit
            axes.bar(places[mine], heights, 0.9, color=colour, label=legend[kind] if axes is compute else None)
        axes.set_ylabel(label)
        axes.set_xticks([])
    alive = np.array([row["memory"] for row in rows], dtype=np.float64) / 1e6
    memory.fill_between(places, alive, step="mid", color=_GREY, alpha=0.5, linewidth=0)
    memory.set(ylabel="MB of activations alive", ylim=(0, None), xlabel="layers, from the image to the outputs")
    if len(rows):
        peak = int(alive.argmax())
        text = f"  {rows[peak].get('name', '')}: {alive[peak]:.2f} MB  "
        side = "left" if peak < len(rows) / 2 else "right"
        memory.annotate(text, (peak, alive[peak]), ha=side, va="top", fontsize=8)
    for axes in (compute, numbers, memory):
        axes.set_xlim(-0.7, len(rows) - 0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if kinds:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    return image(figure)


def _colours(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A colour for each kind that costs most; the others share grey."""
    found: dict[str, float] = {}
    for key in ("mult_adds", "parameters"):
        total = max(sum(row[key] for row in rows), 1)
        for row in rows:
            found[row["kind"]] = found.get(row["kind"], 0.0) + row[key] / total
    order = sorted(found, key=lambda kind: -found[kind])
    return {kind: _LAYER_COLOURS[place] if place < len(_LAYER_COLOURS) else _GREY for place, kind in enumerate(order)}


def _named(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """A kind with its shares, as the paper's Table 2 tells them."""
    shares = []
    for key, name in (("mult_adds", "mult-adds"), ("parameters", "parameters")):
        total = max(sum(row[key] for row in rows), 1)
        shares.append(f"{sum(row[key] for row in rows if row['kind'] == kind) / total:.1%} of {name}")
    return f"{kind}: {', '.join(shares)}"


@dataclass(frozen=True)
class Point:
    """A model on a chart.

    Attributes:
        x: what it costs, above 0: mult-adds of one image, or parameters.
        y: what stands against that: a metric, seconds of one image, or parameters.
        group: what is coloured alike, such as the side or the architecture.
        label: written beside it, such as the width.
        name: what to call it.
        best: whether it is on the Pareto front of its data, or recommended.
        data: a number a data set; points of different ones are not joined.
        fits: whether it keeps all bounds.
    """

    x: float
    y: float
    group: str
    label: str
    name: str = ""
    best: bool = False
    data: int = 1
    fits: bool = True


def _colour(number: int) -> str:
    """Of a group, by its number."""
    return _GROUP_COLOURS[number % len(_GROUP_COLOURS)]


def _at(points: Sequence[Point], x: float = 1.0, y: float = 1.0) -> tuple[list[float], list[float]]:
    """Where points are drawn, in units of ``x`` and ``y``."""
    return [point.x / x for point in points], [point.y / y for point in points]


def _write_labels(axes: Any, points: Sequence[Point], offset: tuple[int, int], x: float, y: float, **how: Any) -> None:
    for point in points:
        axes.annotate(point.label, (point.x / x, point.y / y), offset, textcoords="offset points", **how)


# Accuracy against cost, as figures 4 and 5 of arXiv 1704.04861 draw it.


def tradeoff(points: Sequence[Point], *, across: str, up: str, group: str) -> Any:
    """Draw the points over a logarithmic axis of costs, those of a group joined, and the Pareto front through the best.

    Args:
        points: the models.
        across: what the cost is, with its unit.
        up: what the value is.
        group: what the groups are, the legend's title.

    Returns:
        A matplotlib figure; ``savefig`` writes it as PNG or SVG.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    figure, axes = blank(7.2, 4.6)
    look = {"color": "#1d2733", "lw": 5, "alpha": 0.12, "solid_capstyle": "round"}
    for number, data in enumerate(dict.fromkeys(point.data for point in points)):
        edge = sorted((point.x, point.y) for point in points if point.best and point.data == data)
        label = "best for its cost" if number == 0 else None
        axes.plot([x for x, _ in edge], [y for _, y in edge], label=label, **look)
    for number, name in enumerate(dict.fromkeys(point.group for point in points)):
        chosen = sorted((point for point in points if point.group == name), key=lambda point: point.x)
        axes.plot(*_at(chosen), "o-", color=_colour(number), lw=1.2, ms=5, label=name)
    if len(points) <= _NAMED_TRADEOFFS:
        _write_labels(axes, points, (4, -10), 1, 1, fontsize=7)
    axes.set(xscale="log", xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.legend(title=group, fontsize=8, title_fontsize=8)
    return figure


# Charts of time against mult-adds: how far counting predicts what a clock shows.


@dataclass(frozen=True)
class Line:
    """log(seconds) = intercept + slope * log(mult-adds), by least squares.

    Attributes:
        slope: 1 where time is proportional to mult-adds.
        intercept: of the natural logarithms.
        correlation: of the logarithms, from -1 to 1.
    """

    slope: float
    intercept: float
    correlation: float

    def seconds(self, mult_adds: float) -> float:
        """What the line predicts."""
        return float(np.exp(self.intercept + self.slope * np.log(mult_adds)))


def fit(points: Sequence[Point]) -> Line | None:
    """The line through the points; None where they all have the same mult-adds."""
    across = np.log([point.x for point in points])
    up = np.log([point.y for point in points])
    if len(points) < 2 or np.ptp(across) < 1e-9:
        return None
    slope, intercept = np.polyfit(across, up, 1)
    correlation = float(np.corrcoef(across, up)[0, 1]) if np.ptp(up) > 0 else 0.0
    return Line(float(slope), float(intercept), correlation)


def mult_adds_against_time(panels: Mapping[str, Sequence[Point]], *, title: str = "") -> Image.Image:
    """Draw milliseconds an image over mult-adds, both logarithmic, with the line through all.

    Args:
        panels: setting, such as ``1 thread, batch 1`` -> its models; a panel each.
        title: above them.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = blank(1.0 + 5.2 * columns, 0.6 + 4.2 * rows, rows=(1,) * rows, columns=columns)
    flat = list(np.atleast_1d(axes).ravel())
    groups = list(dict.fromkeys(point.group for points in panels.values() for point in points))
    for place, (setting, points) in enumerate(panels.items()):
        _panel(flat[place], setting, points, groups)
    for spare in flat[len(panels) :]:
        spare.set_axis_off()
    handles, labels = flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return image(figure)


def _panel(axes: Any, setting: str, points: Sequence[Point], groups: Sequence[str]) -> None:
    for number, group in enumerate(groups):
        mine = [point for point in points if point.group == group]
        axes.plot(*_at(mine, 1e6, 1e-3), "o", color=_colour(number), ms=5, alpha=0.85, label=group)
    line = fit(points)
    title = setting
    if line is not None:
        ends = np.array([min(point.x for point in points), max(point.x for point in points)])
        axes.plot(ends / 1e6, [1e3 * line.seconds(end) for end in ends], "--", color=_GREY, lw=1)
        title += f": correlation {line.correlation:.2f}, time ~ mult-adds^{line.slope:.2f}"
    if len(points) <= _NAMED_POINTS:
        _write_labels(axes, points, (4, 3), 1e6, 1e-3, fontsize=6, color="#3a434d")
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds an image", ylabel="milliseconds an image")
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.25, which="both")
    plain_ticks(axes)


def plain_ticks(axes: Any) -> None:
    """1, 2, 5, 10 ... on logarithmic axes."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", labelsize=8)


def budget_chart(
    points: Sequence[Point], *, mult_adds: float | None, params: float | None, title: str = ""
) -> Image.Image:
    """Draw parameters over mult-adds, both logarithmic: what fits in colour, what is recommended ringed and named.

    Args:
        points: all models.
        mult_adds: the bound, drawn as a line; None: there is none.
        params: likewise.
        title: above it.
    """
    figure, axes = blank(7.6, 5.4)
    axes.plot(*_at([point for point in points if not point.fits], 1e6, 1e6), "o", color="#c9ced4", ms=4, label="beyond")
    for number, group in enumerate(dict.fromkeys(point.group for point in points)):
        if mine := [point for point in points if point.group == group and point.fits]:
            axes.plot(*_at(mine, 1e6, 1e6), "o", color=_colour(number), ms=5, label=group)
    kept = [point for point in points if point.best]
    axes.plot(*_at(kept, 1e6, 1e6), "o", mfc="none", mec="#1d2733", ms=9, label="kept")
    if len(kept) <= _NAMED_POINTS:
        _write_labels(axes, kept, (6, 4), 1e6, 1e6, fontsize=6)
    for bound, draw in ((mult_adds, axes.axvline), (params, axes.axhline)):
        if bound is not None:
            draw(bound / 1e6, color="#b3261e", lw=1, ls="--")
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds an image", ylabel="million parameters")
    plain_ticks(axes)
    axes.grid(alpha=0.25, which="both")
    axes.set_title(title, fontsize=9)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return image(figure)
