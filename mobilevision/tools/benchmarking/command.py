"""``mobilevision benchmark``: how long models take on this machine, beside what they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, final

from rich.console import Console

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_csv
from mobilevision.io.text_columns import aligned, print_lines, print_paragraph
from mobilevision.tools.models import Configured, Exported, models_of

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.stopwatch import Clock, Timed, Times
    from mobilevision.visualization.charts_cost import Point


_MOST = 4096


def benchmark(
    arguments: Sequence[str],
    *,
    threads: str = "1",
    batch: str = "1",
    device: str | None = None,
    outputs: int | None = None,
    seconds: float = 1.0,
    clock: Clock = "wall",
    fold: bool = True,
    channels_last: bool = True,
    out: str | Path | None = None,
    binary: str | None = None,
) -> list[Row]:
    """Measure models in turns and print their times beside their mult-adds.

    Args:
        arguments: folders of runs or of exported models, or overrides, those of one model in one argument.
        threads: numbers of threads of the CPU, separated by commas.
        batch: numbers of images, separated by commas.
        device: such as ``cpu`` or ``cpu,cuda``; None: the CPU, and a GPU where there is one and all models run on it;
            ``adb``: a phone, beside the CPU here.
        outputs: class scores of heads, for configurations without data.
        seconds: about so long for each row.
        clock: ``wall``, or ``cpu`` for the processor's own time.
        fold: fold batch norm into convolutions, as exported models have it.
        channels_last: lay images and weights out so that the channels of a place are neighbours.
        out: folder for ``benchmark.csv`` and ``benchmark.png``; None writes nothing.
        binary: for ``adb``, the benchmark program of the models' runtime, built for the phone.

    Raises:
        UserError: for all that the user can mend.
    """
    settings = numbers(threads, "--threads"), numbers(batch, "--batch")
    if not arguments:
        raise UserError('name a run folder, or a model in quotes: "backbone=mobilenet_v2 data.resolution=160"')
    found = models_of(arguments, outputs=outputs)
    if device == "adb":
        return _on_phone(found, *settings, seconds=seconds, clock=clock, binary=binary)
    if binary is not None:
        raise UserError(f"--binary {binary}: only --device adb runs it; add that, or leave it out")
    some = any(isinstance(each, Exported) for each in found)
    chosen = devices("cpu" if some and device is None else device)
    if clock == "cpu" and chosen != ["cpu"]:
        raise UserError("--clock cpu: says nothing of a GPU; take --device cpu too, or the clock on the wall")
    style = Style(fold=fold, channels_last=channels_last, clock=clock)
    table = rows(found, *settings, chosen, seconds=seconds, style=style)
    show(table, style)
    if out is not None:
        write(table, Path(out), style)
    return table


def _on_phone(
    subjects: Sequence[Configured | Exported],
    threads: Sequence[int],
    batches: Sequence[int],
    *,
    seconds: float,
    clock: Clock,
    binary: str | None,
) -> list[Row]:
    """Measure exported models on a phone, and here, and print both."""
    from mobilevision.tools.benchmarking.phone import RUNS, check_phone, milliseconds

    phone, program = check_phone(subjects, binary, batches)
    here = rows(subjects, threads, batches, ["cpu"], seconds=seconds, style=Style(clock=clock))
    table = [["model", "threads", "ms here", f"ms on {phone}", "phone / here"]]
    with Console(stderr=True).status("") as status:
        for row in here:
            status.update(f"{phone}: {row.subject.name}")
            folder = Path(row.subject.argument)
            there = milliseconds(folder, phone, Path(str(binary)), program, threads=row.threads)
            own = 1e3 * row.image(clock)
            table.append([row.subject.name, str(row.threads), f"{own:.2f}", f"{there:.2f}", f"{there / own:.2f}"])
    print_lines([*aligned(table, left=1), ""])
    print_paragraph(
        f"On the phone: {program.kind} of {RUNS} images of noise or zeros, by {program.file}; here: medians, by the"
        " runtime that mobilevision uses."
    )
    return here


def numbers(text: str, option: str) -> list[int]:
    """``1,2`` as numbers, each once.

    Raises:
        UserError: something else, or numbers below 1.
    """
    try:
        found = [int(each) for each in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1 or max(found) > _MOST:
        raise UserError(f"{option} {text}: whole numbers from 1 on, such as {option} 1,2")
    return list(dict.fromkeys(found))


def devices(wanted: str | None) -> list[str]:
    """The devices to measure on.

    Raises:
        UserError: one that torch does not know, or that is not there.
    """
    import torch

    if wanted is None:
        return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for name in (found := wanted.split(",")):
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return list(dict.fromkeys(found))


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

    subject: Configured | Exported
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
        share = self.mult_adds / self.image(clock) / self.peak
        foreign = isinstance(self.subject, Exported) and (self.subject.precision != "float32" or share > 1)
        return None if foreign else share


def rows(
    subjects: Sequence[Configured | Exported],
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
    from mobilevision.tools.benchmarking.stopwatch import ROUNDS, MatrixProduct, measure

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
        times = measure(contenders, seconds=seconds, rounds=ROUNDS, progress=say)
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
    print_lines([*aligned(_table(rows, style), left=2), ""])
    for text in (_what(rows, style), *predictions(rows, style)):
        print_paragraph(text)
    if warning := busy([row.times.busy for row in rows if row.threads == 1 and row.device == "cpu"], style.clock):
        print_paragraph(warning, style="yellow")


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
        worst = max(points, key=lambda each: each.y / line.seconds(each.x))
        over = worst.y / line.seconds(worst.x)
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
    written = ["benchmark.csv"]
    if len({row.mult_adds for row in rows}) > 1:
        title = "exported models" if all(isinstance(row.subject, Exported) for row in rows) else str(style)
        mult_adds_against_time(_by_setting(rows, style), title=title).save(folder / "benchmark.png")
        written.append("benchmark.png")
    print(f"written     {', '.join(written)} in {folder}")


def _by_setting(rows: Sequence[Row], style: Style) -> dict[str, list[Point]]:
    from mobilevision.visualization.charts_cost import Point

    found: dict[str, list[Point]] = {}
    for row in rows:
        name, group = row.subject.name, row.subject.counted.architecture
        heads = {each.subject.head for each in rows}
        label = name.removeprefix(f"{group}_").replace(f" + {row.subject.head}" if len(heads) == 1 else "", "")
        point = Point(row.mult_adds, row.image(style.clock), group, label or name, name)
        found.setdefault(row.setting, []).append(point)
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
    peak = ", ".join(f"{best:,.0f} GFLOP/s on {where}" for where, best in peaks)
    exported = [isinstance(row.subject, Exported) for row in rows]
    mine = f": {style}; from uint8 images to raw outputs, without decoding; random weights" if not all(exported) else ""
    theirs = " Exported models run as they are, from pixels to finished answers." if any(exported) else ""
    return (
        f"Medians of {min(len(row.times.wall) for row in rows)} or more runs in turns{mine}.{theirs} Mult-adds are of"
        f" one image. Peak: a float32 product of matrices in torch, {peak}."
    )


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
