"""Charts of costs: layers, accuracy against cost, time against mult-adds, models within a budget. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.visualization.charts import blank, image

# Charts of what a model costs, layer by layer. Pure functions.

# Kinds in the order of their cost; safe for most colour-blind eyes, grey for the rest.
_LAYER_COLOURS = ("#2f6fde", "#e08a1e", "#1f9e89", "#b5449a", "#7a5c3a")
_GREY = "#8a929c"
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


# Accuracy against cost, as figures 4 and 5 of arXiv 1704.04861 draw it.

_TRADEOFF_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY_TRADEOFFS = 24  # more points than this are not named


@dataclass(frozen=True)
class Point:
    """A model.

    Attributes:
        cost: what it costs, above 0.
        value: how well it does.
        group: what is coloured alike, such as the side.
        name: written beside it, such as the width.
        best: whether it lies on the Pareto front of its data.
        data: a number a data set; points of different ones are not joined.
    """

    cost: float
    value: float
    group: str
    name: str
    best: bool
    data: int = 1


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
    for place, data in enumerate(dict.fromkeys(point.data for point in points)):
        edge = sorted((point.cost, point.value) for point in points if point.best and point.data == data)
        label = "best for its cost" if place == 0 else None
        axes.plot([cost for cost, _ in edge], [value for _, value in edge], label=label, **look)
    for place, name in enumerate(dict.fromkeys(point.group for point in points)):
        chosen = sorted((point for point in points if point.group == name), key=lambda point: point.cost)
        across_, up_ = [point.cost for point in chosen], [point.value for point in chosen]
        axes.plot(across_, up_, "o-", color=_TRADEOFF_COLOURS[place % len(_TRADEOFF_COLOURS)], lw=1.2, ms=5, label=name)
    if len(points) <= _MANY_TRADEOFFS:
        for point in points:
            axes.annotate(point.name, (point.cost, point.value), (4, -10), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.legend(title=group, fontsize=8, title_fontsize=8)
    return figure


# Charts of time against mult-adds: how far counting predicts what a clock shows. Pure functions.

_LATENCY_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY_LATENCIES = 30  # more points than this are not named
_COLUMNS = 2


@dataclass(frozen=True)
class Timing:
    """A model and how long it took.

    Attributes:
        mult_adds: of one image.
        seconds: of one image.
        group: what is coloured alike, such as the architecture.
        name: what to call it.
        label: written beside it.
    """

    mult_adds: float
    seconds: float
    group: str
    name: str
    label: str = ""


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


def fit(points: Sequence[Timing]) -> Line | None:
    """The line through the points; None where they all have the same mult-adds."""
    across = np.log([point.mult_adds for point in points])
    up = np.log([point.seconds for point in points])
    if len(points) < 2 or np.ptp(across) < 1e-9:
        return None
    slope, intercept = np.polyfit(across, up, 1)
    correlation = float(np.corrcoef(across, up)[0, 1]) if np.ptp(up) > 0 else 0.0
    return Line(float(slope), float(intercept), correlation)


def mult_adds_against_time(panels: Mapping[str, Sequence[Timing]], *, title: str = "") -> Image.Image:
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


def _panel(axes: Any, setting: str, points: Sequence[Timing], groups: Sequence[str]) -> None:
    for place, group in enumerate(groups):
        mine = [point for point in points if point.group == group]
        across, up = [point.mult_adds / 1e6 for point in mine], [1e3 * point.seconds for point in mine]
        axes.plot(across, up, "o", color=_LATENCY_COLOURS[place % len(_LATENCY_COLOURS)], ms=5, alpha=0.85, label=group)
    line = fit(points)
    said = setting
    if line is not None:
        ends = np.array([min(point.mult_adds for point in points), max(point.mult_adds for point in points)])
        axes.plot(ends / 1e6, [1e3 * line.seconds(end) for end in ends], "--", color="#8a929c", lw=1)
        said += f": correlation {line.correlation:.2f}, time ~ mult-adds^{line.slope:.2f}"
    if len(points) <= _MANY_LATENCIES:
        for point in points:
            place_ = (point.mult_adds / 1e6, 1e3 * point.seconds)
            axes.annotate(
                point.label or point.name, place_, (4, 3), textcoords="offset points", fontsize=6, color="#3a434d"
            )
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds an image", ylabel="milliseconds an image")
    axes.set_title(said, fontsize=9)
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


_PLAN_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY_PLANS = 30  # more of the front than this are not named


@dataclass(frozen=True)
class Place:
    """A model.

    Attributes:
        mult_adds: of one image.
        params: parameters.
        group: what is coloured alike.
        name: written beside it where it is recommended.
        fits: whether it keeps all bounds.
        kept: whether it is recommended.
    """

    mult_adds: float
    params: float
    group: str
    name: str
    fits: bool
    kept: bool


def budget_chart(
    places: Sequence[Place], *, mult_adds: float | None, params: float | None, title: str = ""
) -> Image.Image:
    """Draw parameters over mult-adds, both logarithmic: what fits in colour, what is recommended ringed and named.

    Args:
        places: all models.
        mult_adds: the bound, drawn as a line; None: there is none.
        params: likewise.
        title: above it.
    """
    figure, axes = blank(7.6, 5.4)
    axes.plot(*_at([place for place in places if not place.fits]), "o", color="#c9ced4", ms=4, label="beyond")
    for number, group in enumerate(dict.fromkeys(place.group for place in places)):
        mine = [place for place in places if place.group == group and place.fits]
        colour = _PLAN_COLOURS[number % len(_PLAN_COLOURS)]
        if mine:
            axes.plot(*_at(mine), "o", color=colour, ms=5, label=group)
    kept = [place for place in places if place.kept]
    ring = {"mfc": "none", "mec": "#1d2733", "ms": 9, "label": "kept"}
    axes.plot(*_at(kept), "o", **ring)
    if len(kept) <= _MANY_PLANS:
        for place in kept:
            at = (place.mult_adds / 1e6, place.params / 1e6)
            axes.annotate(place.name, at, (6, 4), textcoords="offset points", fontsize=6)
    for bound, draw in ((mult_adds, axes.axvline), (params, axes.axhline)):
        if bound is not None:
            draw(bound / 1e6, color="#b3261e", lw=1, ls="--")
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds an image", ylabel="million parameters")
    plain_ticks(axes)
    axes.grid(alpha=0.25, which="both")
    axes.set_title(title, fontsize=9)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return image(figure)


def _at(places: Sequence[Place]) -> tuple[list[float], list[float]]:
    """Where they are drawn, in millions."""
    return [place.mult_adds / 1e6 for place in places], [place.params / 1e6 for place in places]
