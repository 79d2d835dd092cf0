"""Time as a bound: as few measurements as it takes to know the front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.phone import phones
from mobilevision.tools.benchmarking.stopwatch import Clock, Times, TorchModel, impression, measure
from mobilevision.tools.planning.candidate import Candidate, front


def phones_in_words() -> str:
    """One sentence: whether a phone is connected, and what measuring there takes."""
    found = phones()
    needs = "the times are this machine's; `mobilevision benchmark EXPORT --device adb` takes a phone's"
    if found.ready:
        return f"phone {', '.join(found.ready)} is connected, and was not measured: {needs}"
    return f"no phone: {found.why}; {needs}"


_FAR = 2.0  # times the bound, after which a first impression is enough


@final
@dataclass
class Measured:
    """What a search by time found.

    Attributes:
        kept: the front within the bound.
        times: of all that were measured to the end.
        far: seconds of those whose first runs were far beyond the bound.
    """

    kept: list[Candidate] = field(default_factory=list)
    times: dict[Candidate, Times] = field(default_factory=dict)
    far: dict[Candidate, float] = field(default_factory=dict)


def within(
    candidates: Sequence[Candidate],
    bound: float,
    *,
    threads: int = 1,
    clock: Clock = "wall",
    accuracy: Mapping[Candidate, float] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Measured:
    """The front of those whose median time keeps a bound.

    Only the front is measured: who breaks the bound leaves, and the front of the rest is next. Eager torch, batch norm
    folded, channels_last, one image on the CPU.

    Args:
        candidates: that keep the counted bounds.
        bound: seconds.
        threads: of the CPU.
        clock: ``wall`` or ``cpu``.
        accuracy: as for :func:`mobilevision.tools.planning.candidate.front`.
        progress: is told what is going on.
    """
    import torch

    before, found, rest = torch.get_num_threads(), Measured(), list(candidates)
    try:
        while True:
            found.kept = front(rest, accuracy)
            new = [each for each in found.kept if each not in found.times]
            if not new:
                return found
            if progress is not None:
                progress(f"measuring {len(new)} of {len(rest)}")
            _measure(new, found, _FAR * bound, threads, clock)
            slow = {each for each in new if each in found.far or found.times[each].median(clock) > bound}
            rest = [each for each in rest if each not in slow]
    finally:
        torch.set_num_threads(before)


def _measure(new: Sequence[Candidate], found: Measured, far: float, threads: int, clock: Clock) -> None:
    near = []
    for each in new:
        model = _timed(each, threads)
        first = impression(model, clock)
        if first > far:
            found.far[each] = first
        else:
            near.append((each, model))
    times = measure([model for _, model in near], seconds=0.5)
    found.times.update(zip((each for each, _ in near), times, strict=True))


def _timed(candidate: Candidate, threads: int) -> TorchModel:
    """The model; where batch norm cannot be folded, with it, which takes longer and so keeps the bound all the more."""
    how: Any = {"batch": 1, "threads": threads, "device": "cpu", "channels_last": True}
    try:
        return candidate.subject.timed(fold=True, **how)
    except UserError:
        return candidate.subject.timed(fold=False, **how)
