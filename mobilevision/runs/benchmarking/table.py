"""All models under all settings, measured in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, final

from rich.console import Console

from mobilevision.runs.benchmarking.stopwatch import ROUNDS, Clock, Times, measure
from mobilevision.runs.benchmarking.timed import MatrixProduct, Timed

if TYPE_CHECKING:
    from mobilevision.runs.benchmarking.exported import Exported
    from mobilevision.runs.benchmarking.report import Style
    from mobilevision.runs.benchmarking.subjects import Subject


@final
@dataclass(frozen=True)
class Row:
    """A model under one setting.

    Attributes:
        subject: the model.
        device: where it ran.
        threads: of the CPU.
        batch: pictures at once.
        times: of the whole batch.
        peak: mult-adds a second of a product of matrices, measured in the same turns.
    """

    subject: Subject | Exported
    device: str
    threads: int
    batch: int
    times: Times
    peak: float

    @property
    def setting(self) -> str:
        """In words: ``1 thread, batch 32``."""
        where = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.device == "cpu" else self.device
        return f"{where}, batch {self.batch}"

    @property
    def mult_adds(self) -> int:
        """Of one picture."""
        return self.subject.counted.cost.mult_adds

    def picture(self, clock: Clock) -> float:
        """Median seconds a picture."""
        return self.times.median(clock) / self.batch

    def share(self, clock: Clock) -> float | None:
        """Of the machine's peak in torch and float32; None of exported models to which that says nothing.

        These are smaller numbers, and runtimes that get beyond it.
        """
        from mobilevision.runs.benchmarking.exported import Exported

        share = self.mult_adds / self.picture(clock) / self.peak
        foreign = isinstance(self.subject, Exported) and (self.subject.precision != "float32" or share > 1)
        return None if foreign else share


def rows(
    subjects: Sequence[Subject | Exported],
    threads: Sequence[int],
    batches: Sequence[int],
    devices: Sequence[str],
    *,
    seconds: float,
    style: Style,
) -> list[Row]:
    """Measure everything; the GPU is fed by one thread, whatever the CPU's numbers are.

    Args:
        subjects: the models.
        threads: of the CPU.
        batches: pictures at once.
        devices: where.
        seconds: about so long for each row.
        style: how the models are run, and the clock of the peak.

    Raises:
        UserError: torch does not change its number of threads, or a model cannot be folded.
    """
    places = [(device, count) for device in devices for count in (threads if device == "cpu" else [1])]
    peaks: dict[tuple[str, int], Timed] = {
        (device, count): MatrixProduct(device=device, threads=count) for device, count in places
    }
    settings = [(device, count, batch) for (device, count), batch in product(places, batches)]
    contenders: list[Timed] = list(peaks.values())
    wanted = [(setting, subject) for setting in settings for subject in subjects]
    for (device, count, batch), subject in wanted:
        how = {"fold": style.fold, "channels_last": style.channels_last}
        contenders.append(subject.timed(batch=batch, threads=count, device=device, **how))
    with Console(stderr=True).status("") as status:
        say: Callable[[str], None] = lambda text: status.update(f"{len(wanted)} rows: {text}")  # noqa: E731
        times = measure(contenders, seconds=seconds, rounds=ROUNDS, said=say)
    best = {
        place: each.mult_adds / found.median(style.clock)
        for (place, each), found in zip(peaks.items(), times, strict=False)
    }
    taken = times[len(peaks) :]
    return [
        Row(subject, device, count, batch, found, best[device, count])
        for ((device, count, batch), subject), found in zip(wanted, taken, strict=True)
    ]
