"""Curves over the epochs as inline SVG, in colours that the page's style decides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_STAGES = ("train", "val", "test")


@dataclass
class Chart:
    """One metric over the epochs.

    Attributes:
        title: the metric.
        lines: stage -> [(epoch, value)].
        best: (epoch, value) to be marked, or None.
    """

    title: str
    lines: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    best: tuple[int, float] | None = None

    def svg(self) -> Markup:
        """The chart as an ``<svg>`` element; its numbers lie in ``data-chart`` for the page's script."""
        points = [point for line in self.lines.values() for point in line]
        first, last = min(x for x, _ in points), max(x for x, _ in points)
        y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
        x = _scale(first, max(last, first + 1), _LEFT, WIDTH - _RIGHT)
        y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - _BOTTOM, _TOP)
        parts = [_horizontal(y(tick), tick) for tick in y_ticks]
        parts += [
            f'<text x="{x(tick):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{tick:g}</text>'
            for tick in ticks(first, max(last, first + 1), whole=True)
            if first <= tick <= last
        ]
        parts += [_line(name, [(x(e), y(v)) for e, v in line]) for name, line in self.lines.items()]
        if self.best is not None:
            parts.append(f'<circle class="best" cx="{x(self.best[0]):.1f}" cy="{y(self.best[1]):.1f}" r="5"/>')
        parts.append(f'<line class="cursor" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" x1="-9" x2="-9"/>')
        numbers = {
            "first": first,
            "last": max(last, first + 1),
            "left": _LEFT / WIDTH,
            "right": 1 - _RIGHT / WIDTH,
            "lines": {name: {str(epoch): value for epoch, value in line} for name, line in self.lines.items()},
        }
        name = escape(self.title)
        return Markup(
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name} by epoch" '
            f'data-chart="{escape(json.dumps(numbers))}">{"".join(parts)}</svg>'
        )


def charts(history: Sequence[Mapping[str, str]], primary: str = "", mode: str = "max") -> list[Chart]:
    """A chart a metric, the stages of one metric together: loss first, then the primary metric, then by name.

    Args:
        history: rows of metrics.csv: ``epoch`` from 1 (0: before training), ``<stage>/<metric>``; empty cells are left
            out.
        primary: the metric whose best epoch on val is marked.
        mode: ``max`` or ``min``, whether more or less of it is better.
    """
    found: dict[str, Chart] = {}
    for row in history:
        for column, text in row.items():
            stage, _, metric = column.partition("/")
            value = _finite(text)
            if metric and value is not None:
                line = found.setdefault(metric, Chart(metric)).lines.setdefault(stage, [])
                line.append((int(float(row["epoch"])), value))
    for chart in found.values():
        chart.lines = {stage: chart.lines[stage] for stage in _order(chart.lines)}
    if primary in found and (judged := found[primary].lines.get("val")):
        found[primary].best = (max if mode == "max" else min)(judged, key=lambda point: point[1])
    first = {"loss": 0, primary: 1, "lr": 3}
    return sorted(found.values(), key=lambda chart: (first.get(chart.title, 2), chart.title))


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round numbers (1, 2 or 5 times a power of ten apart) that enclose a range; of 0 alone, 0 to 1."""
    if high <= low:
        low, high = (low - abs(low) * 0.1, high + abs(high) * 0.1) if low else (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 5)
    step = max(1.0, round(step)) if whole else step
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(start, stop + 1)]


@final
class _scale:  # noqa: N801 - used as a function
    """Maps [low, high] onto [start, end]."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.slope, self.start = low, (end - start) / (high - low), start

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.slope


def _horizontal(at: float, tick: float) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
    )


def _line(name: str, places: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places) if len(places) <= 15 else ""
    return f'<g class="line {escape(name)}"><polyline points="{path}"/>{dots}</g>'


def _order(lines: Mapping[str, object]) -> list[str]:
    return [stage for stage in _STAGES if stage in lines] + sorted(set(lines) - set(_STAGES))


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
