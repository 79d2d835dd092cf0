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
from mobilevision.io.text_columns import aligned
from mobilevision.tools.planning.budget import Budget, said
from mobilevision.tools.planning.space import Corner, corners

if TYPE_CHECKING:
    from mobilevision.cost.layers import Precision
    from mobilevision.tools.benchmarking.stopwatch import Clock
    from mobilevision.tools.planning.candidate import Candidate
    from mobilevision.tools.planning.report import Answer


@final
@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        bounds: what was typed: ``params``, ``mult_adds``, ``latency``, ``size`` -> text, or None.
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


def plan(
    overrides: Sequence[str],
    wish: Wish,
    *,
    results: str | None = None,
    epochs: int | None = None,
    starters: int = 8,
    out: str | None = None,
) -> Answer:
    """Search, print, and perhaps train.

    Args:
        overrides: as for a training; what they set is not searched, what they list is what is searched.
        wish: the budget and how it is measured.
        results: folder with runs, whose accuracy then counts.
        epochs: of the best model, by successive halving; None trains nothing.
        starters: models that it begins with.
        out: folder for the table, the chart and the runs.

    Raises:
        UserError: nothing fits, with the nearest miss; and for all else that the user can mend.
    """
    budget = Budget.read(wish.bounds)
    with Console(stderr=True).status("composing") as status:
        start = time.perf_counter()
        found, refused = corners(overrides)
        answer, more = _counted(found, wish, budget, status.update)
        _opening(answer, found[0], time.perf_counter() - start, [*refused, *more])
        excess: dict[Candidate, Mapping[str, float]] = {each: each.excess(budget) for each in answer.candidates}
        fits = [each for each, broken in excess.items() if not broken]
        if not fits:
            raise UserError(_nothing(answer, excess))
        if results is not None:
            _learn(answer, results)
        fits = _front(answer, fits, wish, excess, status.update)
    if not fits:
        raise UserError(_nothing(answer, excess))

    from mobilevision.tools.planning import report

    report.show(answer)
    if out is not None:
        report.write(answer, {each: _state(each, fits, excess) for each in answer.candidates}, Path(out))
    if epochs is not None:
        _train(answer, found[0], epochs, starters, out)
    return answer


def _counted(
    found: Sequence[Corner], wish: Wish, budget: Budget, say: Callable[[str], None]
) -> tuple[Answer, list[str]]:
    from mobilevision.tools.planning.counting import count_all
    from mobilevision.tools.planning.report import Answer

    total = sum(map(len, found))
    how: Any = {"outputs": wish.outputs, "precision": wish.precision}
    candidates, refused = count_all(found, **how, said=lambda number: say(f"counted {number} of {total}"))
    return Answer(budget, candidates, [], precision=wish.precision, clock=wish.clock, threads=wish.threads), refused


def _opening(answer: Answer, corner: Corner, seconds: float, refused: Sequence[str]) -> None:
    cfg, number = corner.cfg, len(answer.candidates)
    named = {"identity": "", "attributes": "attributes", "coordinate": "cells"}.get(str(cfg.task.kind), "classes")
    classes = f" · {answer.candidates[0].subject.known.classes:,} {named}" if named else ""
    _row("task", f"{cfg.task.name}{classes}")
    _row("budget", f"{answer.budget} ({answer.precision})" if answer.budget.size else str(answer.budget))
    _row("searched", f"{number:,} models, all counted, in {seconds:.0f} s: {', '.join(_searched(answer.candidates))}")
    for reason in list(dict.fromkeys(refused))[:3]:
        _row("left out", textwrap.shorten(reason, 160, placeholder=" ..."))


def _searched(candidates: Sequence[Candidate]) -> list[str]:
    """How many values each knob had."""
    values: dict[str, set[str]] = {}
    for each in candidates:
        for key, value in each.knobs.items():
            values.setdefault(key, set()).add(value)
    return [f"{len(found)} of {key.rpartition('.')[2]}" for key, found in values.items() if len(found) > 1]


def _learn(answer: Answer, folder: str) -> None:
    from mobilevision.tools.planning.results import known_accuracies

    answer.accuracy, runs = known_accuracies(folder, answer.candidates)
    _row("results", f"{runs} runs of this task and data in {folder}: an accuracy for {len(answer.accuracy)} models")


def _front(
    answer: Answer,
    fits: list[Candidate],
    wish: Wish,
    excess: dict[Candidate, Mapping[str, float]],
    say: Callable[[str], None],
) -> list[Candidate]:
    """Settle the front; returns who fits, as far as is known."""
    from mobilevision.tools.planning.front import front

    scores = {each: known.score for each, known in answer.accuracy.items()}
    bound = answer.budget.latency
    if bound is None:
        answer.front = front(fits, scores)
        _row("fit", f"{len(fits)} keep the counted bounds, {len(answer.front)} of them worth having")
        return fits

    from mobilevision.tools.planning.latency import phones, within

    found = within(fits, bound, threads=wish.threads, clock=wish.clock, accuracy=scores, said=say)
    answer.front, answer.times = found.kept, found.times
    seconds = {**{each: times.median(wish.clock) for each, times in found.times.items()}, **found.far}
    for each, taken in seconds.items():
        excess[each] = answer.budget.excess(latency=taken)
    slow = sum(bool(excess[each]) for each in seconds)
    limit, threads = said("latency", bound), f"{wish.threads} thread{'s' * (wish.threads > 1)}"
    _row("fit", f"{len(fits)} keep the counted bounds; {len(seconds)} were timed, {slow} of them take over {limit}")
    _row("time", f"eager torch on this CPU, {threads}, one image, medians of runs in turns")
    _row("", phones())
    return [each for each in fits if each in seconds and not excess[each]]


def _state(each: Candidate, fits: Sequence[Candidate], excess: Mapping[Candidate, Mapping[str, float]]) -> str:
    if each in fits:
        return "yes"
    return "no" if excess[each] else "not timed"


def _nothing(answer: Answer, excess: Mapping[Candidate, Mapping[str, float]]) -> str:
    from mobilevision.tools.planning.report import nearest

    return nearest(answer, excess)


def _train(answer: Answer, corner: Corner, epochs: int, starters: int, out: str | None) -> None:
    from mobilevision.tools.planning.halving import halve, tested
    from mobilevision.training.sweep import digest

    folder = Path(out or f"outputs/plans/{corner.cfg.task.name}_{digest(corner.fixed)}") / "runs"
    runs = halve(answer.front, epochs, starters, folder)
    table = [(run.candidate.subject.name, str(run.epochs), f"{run.value:.4f}") for run in runs]
    print("", *aligned([("model", "epochs", runs[0].metric), *table]), sep="\n")
    best = runs[0]
    print()
    costs = f"{best.candidate.params:,} parameters · {best.candidate.mult_adds:,} mult-adds"
    _row("best", f"{best.candidate.subject.name} · {costs}")
    _row("", " · ".join(f"{name} {value:.4f}" for name, value in tested(best).items())[:160])
    _row("run folder", str(best.folder))


def _row(name: str, text: str) -> None:
    console = Console(highlight=False)
    console.print(f"{name:<12}", end="", style="dim", markup=False)
    console.print(text, soft_wrap=True, markup=False)
