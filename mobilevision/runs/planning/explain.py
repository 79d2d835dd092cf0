"""What each knob costs, in the counts at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilevision.runs.planning.candidate import SIDE, WIDTH

if TYPE_CHECKING:
    from mobilevision.runs.benchmarking.stopwatch import Clock, Times
    from mobilevision.runs.planning.candidate import Candidate

_ORDER = (WIDTH, SIDE, "backbone", "head")


def knobs(
    reference: Candidate,
    candidates: Sequence[Candidate],
    times: Mapping[Candidate, Times] | None = None,
    clock: Clock = "wall",
) -> list[str]:
    """Lines such as ``data.resolution 160 instead of 224: mult-adds x0.51, parameters x1.00``.

    Args:
        reference: where one stands.
        candidates: counted; those that differ from it in one knob are compared with it.
        times: of those that were measured.
        clock: whose times.
    """
    found: dict[str, list[str]] = {}
    for other in candidates:
        changed = _changed(reference, other)
        if len(changed) != 1:
            continue
        (key,) = changed
        costs = [
            f"mult-adds {_ratio(other.mult_adds / reference.mult_adds)}",
            f"parameters {_ratio(other.params / reference.params)}",
        ]
        if times and reference in times and other in times:
            costs.append(f"time {_ratio(times[other].median(clock) / times[reference].median(clock))}")
        text = f"{key} {other.knobs[key]} instead of {reference.knobs[key]}: {', '.join(costs)}"
        found.setdefault(key, []).append(text)
    order = sorted(found, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    return [line for key in order for line in found[key]]


def _changed(first: Candidate, second: Candidate) -> set[str]:
    if first.knobs.keys() != second.knobs.keys():
        return set()
    return {key for key, value in first.knobs.items() if second.knobs[key] != value}


def _ratio(value: float) -> str:
    return f"x{value:.2f}" if value < 100 else f"x{value:,.0f}"
