"""What a benchmark says: a table, a CSV, and how far mult-adds predict time."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, final

from rich.console import Console

from mobilevision.io.atomic_files import write_csv
from mobilevision.io.text_columns import aligned
from mobilevision.tools.benchmarking.stopwatch import ROUNDS, Clock, Times, measure
from mobilevision.tools.benchmarking.timed import MatrixProduct, Timed

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.exported import Exported
    from mobilevision.tools.benchmarking.subjects import Subject
    from mobilevision.visualization.charts_cost import Timing


# All models under all settings, measured in turns.


@final
@dataclass(frozen=True)
class Row:
    """A model under one setting.

    Attributes:
        subject: the model.
        device: where it ran.
        threads: of the CPU.
        batch: images at once.
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
        """Of one image."""
        return self.subject.counted.cost.mult_adds

    def image(self, clock: Clock) -> float:
        """Median seconds an image."""
        return self.times.median(clock) / self.batch

    def share(self, clock: Clock) -> float | None:
        """Of the machine's peak in torch and float32; None of exported models to which that says nothing.

        These are smaller numbers, and runtimes that get beyond it.
        """
        from mobilevision.tools.benchmarking.exported import Exported

        share = self.mult_adds / self.image(clock) / self.peak
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
        batches: images at once.
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


_FEWEST = 3  # models of a setting, before anything is said of prediction


@final
@dataclass(frozen=True)
class Style:
    """How models are run, and by which clock.

    Attributes:
        fold: batch norm is folded into convolutions.
        channels_last: the memory layout.
        clock: ``wall`` or ``cpu``.
    """

    fold: bool = True
    channels_last: bool = True
    clock: Clock = "wall"

    def __str__(self) -> str:
        import torch

        norm = "batch norm folded" if self.fold else "batch norm not folded"
        layout = "channels_last" if self.channels_last else "contiguous"
        return f"eager torch {torch.__version__}, float32, {norm}, {layout}"


def show(rows: Sequence[Row], style: Style) -> None:
    """Print the table, what was measured, and what follows."""
    console = Console(highlight=False)
    for line in aligned(_table(rows, style), left=2):
        console.print(line, soft_wrap=True, markup=False)
    console.print()
    for text in (_what(rows, style), *predictions(rows, style)):
        console.print("\n".join(textwrap.wrap(text, min(console.width, 120))), markup=False)
    if warning := busy([row.times.busy for row in rows if row.threads == 1 and row.device == "cpu"], style.clock):
        console.print("\n".join(textwrap.wrap(warning, min(console.width, 120))), style="yellow", markup=False)


def busy(shares: Sequence[float], clock: Clock) -> str | None:
    """What to say where others had the processor; None on a quiet machine."""
    share = sorted(shares)[len(shares) // 2] if shares else 1.0
    if share > 0.9:
        return None
    text = f"This machine was busy: one thread had the processor for {share:.0%} of the time."
    if clock == "cpu":
        return f"{text} The times above are the processor's own, so they leave the waiting out."
    return f"{text} A quiet one is about {1 / share:.1f} times as fast; --clock cpu leaves the waiting out."


def predictions(rows: Sequence[Row], style: Style) -> list[str]:
    """A sentence a setting: how far mult-adds predict time, and who departs most from it."""
    from mobilevision.visualization.charts_cost import fit

    found = []
    for setting, points in _by_setting(rows, style).items():
        line = fit(points)
        if line is None or len(points) < _FEWEST:
            continue
        worst = max(points, key=lambda each: each.seconds / line.seconds(each.mult_adds))
        over = worst.seconds / line.seconds(worst.mult_adds)
        found.append(
            f"{setting}: mult-adds predict time with a correlation of {line.correlation:.2f} (of the logarithms of"
            f" {len(points)} models); twice the mult-adds take {2**line.slope:.2f} times as long; {worst.name} takes"
            f" {over:.2f} times what its mult-adds predict."
        )
    return found


def write(rows: Sequence[Row], folder: Path, style: Style) -> None:
    """``benchmark.csv``, and where there are several models ``benchmark.png``, into a folder, which is made."""
    from mobilevision.visualization.charts_cost import mult_adds_against_time

    folder.mkdir(parents=True, exist_ok=True)
    values = [_values(row, style) for row in rows]
    write_csv(folder / "benchmark.csv", values)
    said = ["benchmark.csv"]
    if len({row.mult_adds for row in rows}) > 1:
        title = "exported models" if all(map(_is_exported, rows)) else str(style)
        mult_adds_against_time(_by_setting(rows, style), title=title).save(folder / "benchmark.png")
        said.append("benchmark.png")
    print(f"written     {', '.join(said)} in {folder}")


def _by_setting(rows: Sequence[Row], style: Style) -> dict[str, list[Timing]]:
    from mobilevision.visualization.charts_cost import Timing

    found: dict[str, list[Timing]] = {}
    for row in rows:
        name, group = row.subject.name, row.subject.counted.backbone.rpartition("_")[0] or row.subject.counted.backbone
        heads = {each.subject.head for each in rows}
        label = name.removeprefix(f"{group}_").replace(f" + {row.subject.head}" if len(heads) == 1 else "", "")
        timing = Timing(row.mult_adds, row.image(style.clock), group, name, label)
        found.setdefault(row.setting, []).append(timing)
    return found


def _table(rows: Sequence[Row], style: Style) -> list[list[str]]:
    clock = style.clock
    wall = "ms" if clock == "wall" else "cpu ms"
    other = "cpu ms" if clock == "wall" else "ms"
    table = [["model", "setting", wall, "half within", other, "ms/image", "mult-adds", "of peak"]]
    for row in rows:
        low, high = row.times.quartiles(clock)
        table.append(
            [
                row.subject.name,
                row.setting,
                f"{1e3 * row.times.median(clock):.2f}",
                f"{1e3 * low:.2f}..{1e3 * high:.2f}",
                f"{1e3 * row.times.median('cpu' if clock == 'wall' else 'wall'):.2f}",
                f"{1e3 * row.image(clock):.2f}",
                f"{row.mult_adds:,}",
                "" if (share := row.share(clock)) is None else f"{share:.0%}",
            ]
        )
    return table


def _what(rows: Sequence[Row], style: Style) -> str:
    peaks = dict.fromkeys((row.setting.rpartition(", batch")[0], 2 * row.peak / 1e9) for row in rows)
    said = ", ".join(f"{peak:,.0f} GFLOP/s on {where}" for where, peak in peaks)
    exported = [_is_exported(row) for row in rows]
    mine = f": {style}; from uint8 images to raw outputs, without decoding; random weights" if not all(exported) else ""
    theirs = " Exported models run as they are, from pixels to finished answers." if any(exported) else ""
    return (
        f"Medians of {min(len(row.times.wall) for row in rows)} or more runs in turns{mine}.{theirs} Mult-adds are a"
        f" image's. Peak: a float32 product of matrices in torch, {said}."
    )


def _is_exported(row: Row) -> bool:
    from mobilevision.tools.benchmarking.exported import Exported

    return isinstance(row.subject, Exported)


def _values(row: Row, style: Style) -> dict[str, str | int | float]:
    """One line of the CSV; times are seconds of the whole batch."""
    counted, (low, high) = row.subject.counted, row.times.quartiles(style.clock)
    return {
        "model": row.subject.name,
        "backbone": counted.backbone,
        "head": row.subject.head,
        "height": counted.resolution[0],
        "width": counted.resolution[1],
        "classes": counted.classes,
        "parameters": counted.cost.parameters,
        "mult_adds": row.mult_adds,
        "device": row.device,
        "threads": row.threads,
        "batch": row.batch,
        "runs": len(row.times.wall),
        "clock": style.clock,
        "median_s": row.times.median(style.clock),
        "quartile_1_s": low,
        "quartile_3_s": high,
        "wall_median_s": row.times.median("wall"),
        "cpu_median_s": row.times.median("cpu"),
        "peak_gflops": 2 * row.peak / 1e9,
        "of_peak": "" if (share := row.share(style.clock)) is None else share,
        "how": getattr(row.subject, "how", str(style)),
        "argument": row.subject.argument,
    }
