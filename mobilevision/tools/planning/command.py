"""``mobilevision plan``: what fits a budget, and with ``--train`` the best of it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rich.console import Console

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import read_metrics, write_csv
from mobilevision.io.quantities import option, written
from mobilevision.io.text_columns import aligned, print_fact, print_lines, print_paragraph, side
from mobilevision.tools.benchmarking.command import busy
from mobilevision.tools.planning.budget import Budget
from mobilevision.tools.planning.candidate import RULE, RULE_MEASURED, Candidate, count_all, front, known_accuracies
from mobilevision.tools.planning.space import SIDE, WIDTH, Combination, combinations
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.cost.layers import Precision
    from mobilevision.reports.compare import Row
    from mobilevision.tools.benchmarking.stopwatch import Clock, Times


@final
@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        bounds: what was typed: ``params``, ``mult_adds``, ``latency``, ``size``, ``arena``, ``flash`` -> text, or None.
        precision: of the numbers in an exported file.
        threads: of the CPU, for latency.
        clock: ``wall`` or ``cpu``, for latency.
        outputs: class scores of heads, for configurations without data.
    """

    bounds: Mapping[str, str | None] = field(default_factory=dict)
    precision: Precision = "float32"
    threads: int = 1
    clock: Clock = "wall"
    outputs: int | None = None


@final
@dataclass
class Plan:
    """What a search came to.

    Attributes:
        request: what was asked for.
        budget: the bounds.
        candidates: all that were counted.
        front: what is recommended, all within the budget.
        times: of those that were measured.
        accuracy: the best run of those of which there are runs.
    """

    request: Request
    budget: Budget
    candidates: list[Candidate]
    front: list[Candidate] = field(default_factory=list)
    times: dict[Candidate, Times] = field(default_factory=dict)
    accuracy: dict[Candidate, Row] = field(default_factory=dict)


def plan(
    overrides: Sequence[str],
    request: Request,
    *,
    results: str | None = None,
    epochs: int | None = None,
    starters: int = 8,
    out: str | None = None,
) -> Plan:
    """Search, print, and perhaps train.

    Args:
        overrides: as for a training; what they set is not searched, what they list is what is searched.
        request: the budget and how it is measured.
        results: folder with runs, whose accuracy then counts.
        epochs: of the best model, by successive halving; None trains nothing.
        starters: models that it begins with.
        out: folder for the table, the chart and the runs.

    Raises:
        UserError: nothing fits, with the nearest miss; and for all else that the user can mend.
    """
    budget = Budget.read(request.bounds)
    with Console(stderr=True).status("composing") as status:
        start = time.perf_counter()
        found, refused = combinations(overrides)
        if budget.of_board:
            found, more = _for_boards(found)
            refused = [*refused, *more]
        total = sum(map(len, found))
        candidates, more = count_all(
            found,
            outputs=request.outputs,
            precision=request.precision,
            progress=lambda number: status.update(f"counted {number} of {total}"),
        )
        result = Plan(request, budget, candidates)
        _opening(result, found[0], time.perf_counter() - start, [*refused, *more])
        excess: dict[Candidate, Mapping[str, float]] = {each: each.excess(budget) for each in candidates}
        fits = [each for each, broken in excess.items() if not broken]
        if fits and results is not None:
            result.accuracy, runs = known_accuracies(results, candidates)
            known = f"an accuracy for {len(result.accuracy)} models"
            print_fact("results", f"{runs} runs of this task and data in {results}: {known}")
        if fits:
            fits = _front(result, fits, excess, status.update)
    if not fits:
        raise UserError(_nearest(result, excess))
    show(result)
    if out is not None:
        states = {each: "no" if excess[each] else "yes" if each in fits else "not timed" for each in candidates}
        write(result, states, Path(out))
    if epochs is not None:
        _train(result, found[0], epochs, starters, out)
    return result


def _for_boards(found: Sequence[Combination]) -> tuple[list[Combination], list[str]]:
    """What ``export --for micro`` can write, and why the rest is left out.

    Raises:
        UserError: nothing of it.
    """
    why = "--for micro cannot write it: boards have no operator for"
    lacking = {"cells.": f"geolocalization: {why} choosing among cells", "FasterRCNN": f"faster_rcnn: {why} regions"}
    told = {
        id(each): next((text for part, text in lacking.items() if part in str(each.cfg.head._target_)), "")
        for each in found
    }
    kept = [each for each in found if not told[id(each)]]
    reasons = list(dict.fromkeys(filter(None, told.values())))
    if not kept:
        raise UserError(f"--max-arena, --max-flash: {'; '.join(reasons)}")
    return kept, reasons


def _opening(result: Plan, combination: Combination, seconds: float, refused: Sequence[str]) -> None:
    cfg, number = combination.cfg, len(result.candidates)
    named = {"identity": "", "attributes": "attributes", "coordinate": "cells"}.get(str(cfg.task.kind), "classes")
    classes = f" · {result.candidates[0].subject.class_info.classes:,} {named}" if named else ""
    print_fact("task", f"{cfg.task.name}{classes}")
    print_fact("budget", f"{result.budget} ({result.request.precision})" if result.budget.size else str(result.budget))
    print_fact(
        "searched", f"{number:,} models, all counted, in {seconds:.0f} s: {', '.join(_searched(result.candidates))}"
    )
    for reason in list(dict.fromkeys(refused))[:3]:
        print_fact("left out", textwrap.shorten(reason, 160, placeholder=" ..."))


def _searched(candidates: Sequence[Candidate]) -> list[str]:
    """How many values each knob had."""
    values: dict[str, set[str]] = {}
    for each in candidates:
        for key, value in each.knobs.items():
            values.setdefault(key, set()).add(value)
    return [f"{len(found)} of {key.rpartition('.')[2]}" for key, found in values.items() if len(found) > 1]


def _front(
    result: Plan, fits: list[Candidate], excess: dict[Candidate, Mapping[str, float]], say: Callable[[str], None]
) -> list[Candidate]:
    """Find the front; returns those that fit, as far as is known."""
    scores = {each: run.score for each, run in result.accuracy.items()}
    bound, request = result.budget.latency, result.request
    if bound is None:
        result.front = front(fits, scores)
        print_fact("fit", f"{len(fits)} keep the counted bounds, {len(result.front)} of them worth having")
        return fits

    from mobilevision.tools.planning.latency import phones_in_words, within

    found = within(fits, bound, threads=request.threads, clock=request.clock, accuracy=scores, progress=say)
    result.front, result.times = found.kept, found.times
    seconds = {**{each: times.median(request.clock) for each, times in found.times.items()}, **found.far}
    for each, taken in seconds.items():
        excess[each] = result.budget.excess(latency=taken)
    slow = sum(bool(excess[each]) for each in seconds)
    limit, threads = written("latency", bound), f"{request.threads} thread{'s' * (request.threads > 1)}"
    timed = f"{len(seconds)} were timed, {slow} of them take over {limit}"
    print_fact("fit", f"{len(fits)} keep the counted bounds; {timed}")
    print_fact("time", f"eager torch on this CPU, {threads}, one image, medians of runs in turns")
    print_fact("", phones_in_words())
    return [each for each in fits if each in seconds and not excess[each]]


def _train(result: Plan, combination: Combination, epochs: int, starters: int, out: str | None) -> None:
    from mobilevision.tools.planning.halving import halve
    from mobilevision.training.sweep import digest

    folder = Path(out or f"outputs/plans/{combination.cfg.task.name}_{digest(combination.fixed)}") / "runs"
    runs = halve(result.front, epochs, starters, folder)
    table = [(run.candidate.subject.name, str(run.epochs), f"{run.value:.4f}") for run in runs]
    print("", *aligned([("model", "epochs", runs[0].metric), *table]), sep="\n")
    best = runs[0]
    print()
    tested = read_metrics(RunFolder(best.folder).metrics_json)
    costs = f"{best.candidate.params:,} parameters · {best.candidate.mult_adds:,} mult-adds"
    print_fact("best", f"{best.candidate.subject.name} · {costs}")
    print_fact("", " · ".join(f"{name} {value:.4f}" for name, value in tested.items())[:160])
    print_fact("run folder", str(best.folder))


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


def show(result: Plan) -> None:
    """Print the front, the largest first, and what each knob costs there."""
    rows = sorted(result.front, key=lambda each: (each.family, -each.capacity[1], -each.capacity[0]))
    if result.accuracy:
        rows.sort(key=lambda each: -result.accuracy[each].score if each in result.accuracy else float("inf"))
    print_lines(["", *aligned(_table(rows, result), left=3), ""])
    print_paragraph(RULE + (RULE_MEASURED if result.accuracy else ""), style="dim")
    largest = rows[0] if result.accuracy else max(result.front, key=lambda each: each.mult_adds)
    lines = knobs(largest, result.candidates, result.times, result.request.clock)
    if lines:
        why = "the most accurate" if result.accuracy else "the most mult-adds"
        print_lines(["", f"What the knobs cost, seen from {largest.subject.name} ({why}):"])
        print_lines([f"  {line}" for line in _some(lines)])
    if result.times and (warning := busy([each.busy for each in result.times.values()], result.request.clock)):
        print()
        print_paragraph(warning, style="yellow")
    print_lines(["", f"to train {largest.subject.name}:", f"  {largest.command}"])


def _nearest(result: Plan, excess: Mapping[Candidate, Mapping[str, float]]) -> str:
    """The miss to report where nothing fits: the candidate that breaks its worst bound by least."""
    best = min(result.candidates, key=lambda each: (max(excess[each].values()), sum(excess[each].values())))
    bounds = {name: getattr(result.budget, name) for name in excess[best]}
    broken = [
        f"{written(name, factor * bounds[name])} for --{option(name)} {written(name, bounds[name])}"
        for name, factor in excess[best].items()
    ]
    return f"nothing of {len(result.candidates)} models fits; the nearest is {best.subject.name}: {', '.join(broken)}"


def write(result: Plan, fits: Mapping[Candidate, str], folder: Path) -> None:
    """``plan.csv`` with every candidate, and ``plan.png``, into a folder, which is made."""
    from mobilevision.visualization.charts_cost import Point, budget_chart

    folder.mkdir(parents=True, exist_ok=True)
    kept = set(result.front)
    rows = [_values(each, result, fits[each], each in kept) for each in result.candidates]
    write_csv(folder / "plan.csv", rows)
    points = []
    for each in result.candidates:
        label = f"{each.capacity[0]:g} {each.subject.head} {each.subject.counted.resolution[0]}"
        fitting, best = fits[each] != "no", each in kept
        points.append(
            Point(each.mult_adds, each.params, each.subject.counted.architecture, label, best=best, fits=fitting)
        )
    budget_chart(points, mult_adds=result.budget.mult_adds, params=result.budget.params, title=str(result.budget)).save(
        folder / "plan.png"
    )
    print(f"\nwritten     plan.csv, plan.png in {folder}")


def _table(rows: Sequence[Candidate], result: Plan) -> list[list[str]]:
    metric = next((run.metric for run in result.accuracy.values()), "")
    head = ["backbone", "head", "side", "mult-adds", "parameters", result.request.precision]
    head += ["arena", "flash"] if result.budget.of_board else []
    head += [f"{'cpu ' * (result.request.clock == 'cpu')}ms", "half within"] if result.times else []
    table = [[*head, metric, ""] if metric else head]
    for each in rows:
        row = [each.subject.counted.backbone, each.subject.head, side(each.subject.counted.resolution)]
        row += [f"{each.mult_adds:,}", f"{each.params:,}", written("size", each.size)]
        if result.budget.of_board:
            row += [written("arena", each.arena), written("flash", each.flash)]
        if result.times:
            times = result.times[each]
            low, high = times.quartiles(result.request.clock)
            row += [f"{1e3 * times.median(result.request.clock):.2f}", f"{1e3 * low:.2f}..{1e3 * high:.2f}"]
        if metric:
            run = result.accuracy.get(each)
            row += [f"{run.value:.4f}", run.folder] if run else ["", ""]
        table.append(row)
    return table


def _values(each: Candidate, result: Plan, fits: str, kept: bool) -> dict[str, Any]:
    """One line of the CSV."""
    times, run = result.times.get(each), result.accuracy.get(each)
    height, width = each.subject.counted.resolution
    return {
        "backbone": each.subject.counted.backbone,
        "head": each.subject.head,
        "height": height,
        "width": width,
        "mult_adds": each.mult_adds,
        "parameters": each.params,
        f"size_{result.request.precision}": each.size,
        **({"arena": each.arena, "flash": each.flash} if result.budget.of_board else {}),
        "fits": fits,
        "front": "yes" if kept else "no",
        "median_s": times.median(result.request.clock) if times else "",
        "clock": result.request.clock if times else "",
        "threads": result.request.threads if times else "",
        "accuracy": run.value if run else "",
        "run": run.folder if run else "",
        "command": each.command,
    }


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _LINES
    return [*lines[:_LINES], *([f"... and {more} more in plan.csv (--out)"] if more > 0 else [])]
