"""Accuracy against cost, as figures 4 and 5 of arXiv 1704.04861 draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mobilevision.ops.charts import blank

_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY = 24  # more points than this are not named


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
        axes.plot(across_, up_, "o-", color=_COLOURS[place % len(_COLOURS)], lw=1.2, ms=5, label=name)
    if len(points) <= _MANY:
        for point in points:
            axes.annotate(point.name, (point.cost, point.value), (4, -10), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", xlabel=across, ylabel=up)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.legend(title=group, fontsize=8, title_fontsize=8)
    return figure
