"""Times of several contenders that take turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, final

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.timed import Timed

Clock = Literal["wall", "cpu"]
ROUNDS = 10
_BURST = 20  # runs of one contender in a row, at most


@final
@dataclass
class Times:
    """Seconds of every run of one contender.

    Attributes:
        wall: by the clock on the wall: what a user waits.
        cpu: the processor's, all threads together; on one thread what a quiet machine's clock would show.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def median(self, clock: Clock = "wall") -> float:
        """Half of the runs took less."""
        return statistics.median(self.of(clock))

    def quartiles(self, clock: Clock = "wall") -> tuple[float, float]:
        """Half of the runs lie between these."""
        first, _, third = statistics.quantiles(self.of(clock), n=4, method="inclusive")
        return first, third

    def of(self, clock: Clock) -> list[float]:
        """The runs by one of the clocks."""
        return self.wall if clock == "wall" else self.cpu

    @property
    def busy(self) -> float:
        """The part of the time that the processor was ours, for one thread: below 1 where others wanted it too."""
        return sum(self.cpu) / max(sum(self.wall), 1e-9)


def measure(
    contenders: Sequence[Timed],
    *,
    seconds: float = 1.0,
    rounds: int = ROUNDS,
    said: Callable[[str], None] | None = None,
) -> list[Times]:
    """Take the times of all contenders in turns.

    Each is run a few times before anything is noted. In every round each has a burst of runs, and one before it that is
    not noted, since others have just been at the caches.

    Args:
        contenders: what is measured; those of equal threads follow one another best.
        seconds: about so long in all for each, but every contender runs at least once a round.
        rounds: how often each has its turn.
        said: is told how far it is.

    Raises:
        UserError: torch does not change its number of threads.
    """
    bursts = [_burst(each, seconds / rounds) for each in contenders]
    times = [Times() for _ in contenders]
    for number in range(rounds):
        if said is not None:
            said(f"round {number + 1} of {rounds}")
        for each, runs, found in zip(contenders, bursts, times, strict=True):
            _threads(each.threads)
            each.run()
            for _ in range(runs):
                _note(each, found)
    return times


def impression(contender: Timed, clock: Clock = "wall") -> float:
    """The least seconds of three runs after the first."""
    _threads(contender.threads)
    contender.run()
    found = Times()
    for _ in range(3):
        _note(contender, found)
    return min(found.of(clock))


def _burst(contender: Timed, seconds: float) -> int:
    return max(1, min(_BURST, round(seconds / max(impression(contender), 1e-6))))


def _note(contender: Timed, found: Times) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    contender.run()
    found.wall.append(time.perf_counter() - wall)
    found.cpu.append(time.process_time() - cpu)


def _threads(count: int) -> None:
    import torch

    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    if torch.get_num_threads() != count:  # torch built on a thread pool of its own keeps the first number
        raise UserError(
            f"--threads: this build of torch stays at {torch.get_num_threads()}: measure one number a command"
        )
