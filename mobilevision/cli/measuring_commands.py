"""The commands that measure and plan before anything is trained; see :mod:`mobilevision.cli.commands`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer


class Clock(str, Enum):  # noqa: UP042 - typer's choices
    """What times are taken by."""

    wall = "wall"
    cpu = "cpu"


class Precision(str, Enum):  # noqa: UP042 - typer's choices
    """What a file's numbers are."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


_OUTPUTS = typer.Option(min=1, help="Class scores, a detector's with background; else the data's.")
_CLOCK = typer.Option(help="What users wait, or the processor's own time.")


def add_to(app: typer.Typer) -> None:
    """Make them subcommands."""
    app.command(short_help="How long models take on this machine, beside their mult-adds.")(benchmark)
    app.command(short_help="The models that fit a budget of size, mult-adds and time.")(plan)


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(metavar="RUN|EXPORT|CONFIG", help='Folders, or overrides: "backbone.width=0.5 ...".'),
    ],
    threads: Annotated[str, typer.Option(help="Of the CPU; several as 1,2.")] = "1",
    batch: Annotated[str, typer.Option(help="Pictures at once; several as 1,32.")] = "1",
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda; else the CPU and a GPU.")] = None,
    outputs: Annotated[int | None, _OUTPUTS] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="About so long for each row.")] = 1.0,
    clock: Annotated[Clock, _CLOCK] = Clock.wall,
    fold: Annotated[bool, typer.Option(help="Fold batch norm, as exported models have it.")] = True,
    channels_last: Annotated[bool, typer.Option(help="The memory layout that convolutions like best.")] = True,
    out: Annotated[str | None, typer.Option(help="Folder for benchmark.csv and the chart.")] = None,
) -> None:
    """Measure models in turns: medians and quartiles, share of the machine's peak, how far mult-adds predict time.

    Example: mobilevision benchmark RUN "backbone=mobilenet_v2 data.resolution=160" --threads 1,2 --batch 1,32

    Example: mobilevision benchmark RUN RUN/exports/onnx

    Example: mobilevision benchmark "backbone.width=0.25,0.5,1.0 data.resolution=128,224" --outputs 1000 --out times
    """
    from mobilevision.tools.benchmarking.command import benchmark as work

    options: Any = {"threads": threads, "batch": batch, "device": device, "outputs": outputs, "seconds": seconds}
    work(models, **options, clock=clock.value, fold=fold, channels_last=channels_last, out=out)


def plan(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="OVERRIDE", help="As for a training; what they set is not searched.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(metavar="2M", help="Parameters.")] = None,
    max_mult_adds: Annotated[str | None, typer.Option(metavar="300M", help="Mult-adds of a picture.")] = None,
    max_latency: Annotated[str | None, typer.Option(metavar="15ms", help="Time of a picture, here.")] = None,
    max_size: Annotated[str | None, typer.Option(metavar="4MB", help="Of the exported file.")] = None,
    precision: Annotated[Precision, typer.Option(help="Of the numbers in that file.")] = Precision.float32,
    threads: Annotated[int, typer.Option(min=1, help="For --max-latency.")] = 1,
    clock: Annotated[Clock, _CLOCK] = Clock.wall,
    outputs: Annotated[int | None, _OUTPUTS] = None,
    results: Annotated[str | None, typer.Option(help="Folder with runs, whose accuracy then counts.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--train", min=1, metavar="EPOCHS", help="Train; the best one so long.")
    ] = None,
    starters: Annotated[int, typer.Option(min=1, help="Models that --train begins with.")] = 8,
    out: Annotated[str | None, typer.Option(help="Folder for plan.csv, the chart and trained runs.")] = None,
) -> None:
    """Find what fits: width, side, version and head are searched, all counted, and measured where time is bounded.

    Example: mobilevision plan task=detection --max-params 2M --max-mult-adds 300M --max-latency 15ms --max-size 4MB

    Example: mobilevision plan data=auto data.root=PICTURES backbone=mobilenet_v1 --max-mult-adds 100M --train 20

    Lists narrow the search: backbone=mobilenet_v1,mobilenet_v2 backbone.width=0.25,0.35 data.resolution=96,128.
    """
    from mobilevision.tools.planning.command import Wish
    from mobilevision.tools.planning.command import plan as work

    bounds = {"params": max_params, "mult_adds": max_mult_adds, "latency": max_latency, "size": max_size}
    wish = Wish(bounds=bounds, precision=precision.value, threads=threads, clock=clock.value, outputs=outputs)
    work(overrides or [], wish, results=results, epochs=epochs, starters=starters, out=out)
