"""Charts of time against mult-adds: how far counting predicts what a clock shows. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.ops.charts import blank, picture

_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY = 30  # more points than this are not named
_COLUMNS = 2


@dataclass(frozen=True)
class Timing:
    """A model and how long it took.

    Attributes:
        mult_adds: of one picture.
        seconds: of one picture.
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
    """Draw milliseconds a picture over mult-adds, both logarithmic, with the line through all.

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
    return picture(figure)


def _panel(axes: Any, setting: str, points: Sequence[Timing], groups: Sequence[str]) -> None:
    for place, group in enumerate(groups):
        mine = [point for point in points if point.group == group]
        across, up = [point.mult_adds / 1e6 for point in mine], [1e3 * point.seconds for point in mine]
        axes.plot(across, up, "o", color=_COLOURS[place % len(_COLOURS)], ms=5, alpha=0.85, label=group)
    line = fit(points)
    said = setting
    if line is not None:
        ends = np.array([min(point.mult_adds for point in points), max(point.mult_adds for point in points)])
        axes.plot(ends / 1e6, [1e3 * line.seconds(end) for end in ends], "--", color="#8a929c", lw=1)
        said += f": correlation {line.correlation:.2f}, time ~ mult-adds^{line.slope:.2f}"
    if len(points) <= _MANY:
        for point in points:
            place_ = (point.mult_adds / 1e6, 1e3 * point.seconds)
            axes.annotate(
                point.label or point.name, place_, (4, 3), textcoords="offset points", fontsize=6, color="#3a434d"
            )
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds a picture", ylabel="milliseconds a picture")
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
