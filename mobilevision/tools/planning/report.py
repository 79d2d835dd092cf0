"""What a plan says: a table of what fits, what each knob costs, a CSV and a chart."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rich.console import Console

from mobilevision.io.atomic_files import write_csv
from mobilevision.io.text_columns import aligned
from mobilevision.tools.benchmarking.report import busy
from mobilevision.tools.planning.budget import Budget, option, said
from mobilevision.tools.planning.candidate import SIDE, WIDTH
from mobilevision.tools.planning.front import RULE, RULE_MEASURED

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.stopwatch import Clock, Times
    from mobilevision.tools.planning.candidate import Candidate
    from mobilevision.tools.planning.results import Known


# What each knob costs, in the counts at hand.

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


_LINES = 12  # of what knobs cost


@final
@dataclass
class Answer:
    """What a search came to.

    Attributes:
        budget: the bounds.
        candidates: all that were counted.
        front: what is recommended, all within the budget.
        times: of those that were measured.
        accuracy: of those of which there are runs.
        precision: of the numbers in a file.
        clock: of the times.
        threads: of the times.
    """

    budget: Budget
    candidates: list[Candidate]
    front: list[Candidate]
    times: dict[Candidate, Times] = field(default_factory=dict)
    accuracy: dict[Candidate, Known] = field(default_factory=dict)
    precision: str = "float32"
    clock: Clock = "wall"
    threads: int = 1


def show(answer: Answer) -> None:
    """Print the front, the largest first, and what each knob costs there."""
    console = Console(highlight=False)
    rows = sorted(answer.front, key=lambda each: (each.family, -each.capacity[1], -each.capacity[0]))
    if answer.accuracy:
        rows.sort(key=lambda each: -answer.accuracy[each].score if each in answer.accuracy else float("inf"))
    _say(console, ["", *aligned(_table(rows, answer), left=3), ""])
    _wrapped(console, RULE + (RULE_MEASURED if answer.accuracy else ""), style="dim")
    largest = rows[0] if answer.accuracy else max(answer.front, key=lambda each: each.mult_adds)
    lines = knobs(largest, answer.candidates, answer.times, answer.clock)
    if lines:
        why = "the most accurate" if answer.accuracy else "the most mult-adds"
        _say(console, ["", f"What the knobs cost, seen from {largest.subject.name} ({why}):"])
        _say(console, [f"  {line}" for line in _some(lines)])
    if answer.times and (warning := busy([each.busy for each in answer.times.values()], answer.clock)):
        console.print()
        _wrapped(console, warning, style="yellow")
    _say(console, ["", f"to train {largest.subject.name}:", f"  {largest.command}"])


def nearest(answer: Answer, excess: Mapping[Candidate, Mapping[str, float]]) -> str:
    """The miss to tell of where nothing fits: the candidate that breaks its worst bound by least.

    Args:
        answer: with an empty front.
        excess: of each candidate, the bounds it breaks, with cost over bound.
    """
    best = min(answer.candidates, key=lambda each: (max(excess[each].values()), sum(excess[each].values())))
    bounds = {name: getattr(answer.budget, name) for name in excess[best]}
    broken = [
        f"{said(name, factor * bounds[name])} for --{option(name)} {said(name, bounds[name])}"
        for name, factor in excess[best].items()
    ]
    return f"nothing of {len(answer.candidates)} models fits; the nearest is {best.subject.name}: {', '.join(broken)}"


def write(answer: Answer, fits: Mapping[Candidate, str], folder: Path) -> None:
    """``plan.csv`` with every candidate, and ``plan.png``, into a folder, which is made."""
    from mobilevision.visualization.charts_cost import Place, budget_chart

    folder.mkdir(parents=True, exist_ok=True)
    kept = set(answer.front)
    rows = [_values(each, answer, fits[each], each in kept) for each in answer.candidates]
    write_csv(folder / "plan.csv", rows)
    places = [
        Place(each.mult_adds, each.params, _group(each), _short(each), fits[each] != "no", each in kept)
        for each in answer.candidates
    ]
    budget_chart(places, mult_adds=answer.budget.mult_adds, params=answer.budget.params, title=str(answer.budget)).save(
        folder / "plan.png"
    )
    print(f"\nwritten     plan.csv, plan.png in {folder}")


def _table(rows: Sequence[Candidate], answer: Answer) -> list[list[str]]:
    metric = next((known.row.metric for known in answer.accuracy.values()), "")
    head = ["backbone", "head", "side", "mult-adds", "parameters", answer.precision]
    head += [f"{'cpu ' * (answer.clock == 'cpu')}ms", "half within"] if answer.times else []
    table = [[*head, metric, ""] if metric else head]
    for each in rows:
        row = [each.subject.counted.backbone, each.subject.head, each.subject.side]
        row += [f"{each.mult_adds:,}", f"{each.params:,}", said("size", each.size)]
        if answer.times:
            times = answer.times[each]
            low, high = times.quartiles(answer.clock)
            row += [f"{1e3 * times.median(answer.clock):.2f}", f"{1e3 * low:.2f}..{1e3 * high:.2f}"]
        if metric:
            known = answer.accuracy.get(each)
            row += [f"{known.row.value:.4f}", known.row.folder] if known else ["", ""]
        table.append(row)
    return table


def _values(each: Candidate, answer: Answer, fits: str, kept: bool) -> dict[str, Any]:
    """One line of the CSV."""
    times, known = answer.times.get(each), answer.accuracy.get(each)
    height, width = each.subject.counted.resolution
    return {
        "backbone": each.subject.counted.backbone,
        "head": each.subject.head,
        "height": height,
        "width": width,
        "mult_adds": each.mult_adds,
        "parameters": each.params,
        f"size_{answer.precision}": each.size,
        "fits": fits,
        "front": "yes" if kept else "no",
        "median_s": times.median(answer.clock) if times else "",
        "clock": answer.clock if times else "",
        "threads": answer.threads if times else "",
        "accuracy": known.row.value if known else "",
        "run": known.row.folder if known else "",
        "command": each.command,
    }


def _group(each: Candidate) -> str:
    name = each.subject.counted.backbone
    return name.rpartition("_")[0] or name


def _short(each: Candidate) -> str:
    return f"{each.capacity[0]:g} {each.subject.head} {each.subject.counted.resolution[0]}"


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _LINES
    return [*lines[:_LINES], *([f"... and {more} more in plan.csv (--out)"] if more > 0 else [])]


def _say(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def _wrapped(console: Console, text: str, style: str) -> None:
    console.print("\n".join(textwrap.wrap(text, min(console.width, 120))), style=style, markup=False)
