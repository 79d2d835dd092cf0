"""``mobilevision benchmark``: how long models take on this machine, beside what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.subjects import subjects

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.report import Row
    from mobilevision.tools.benchmarking.stopwatch import Clock


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
) -> list[Row]:
    """Measure models in turns and print their times beside their mult-adds.

    Args:
        arguments: folders of runs or of exported models, or overrides, those of one model in one argument.
        threads: numbers of threads of the CPU, separated by commas.
        batch: numbers of images, separated by commas.
        device: such as ``cpu`` or ``cpu,cuda``; None: the CPU, and a GPU where there is one and all models run on it.
        outputs: class scores of heads, for configurations without data.
        seconds: about so long for each row.
        clock: ``wall``, or ``cpu`` for the processor's own time.
        fold: fold batch norm into convolutions, as exported models have it.
        channels_last: lay images and weights out so that the channels of a place are neighbours.
        out: folder for ``benchmark.csv`` and ``benchmark.png``; None writes nothing.

    Raises:
        UserError: for all that the user can mend.
    """
    settings = numbers(threads, "--threads"), numbers(batch, "--batch")
    if not arguments:
        raise UserError('name a run folder, or a model in quotes: "backbone=mobilenet_v2 data.resolution=160"')
    found = subjects(arguments, outputs=outputs)

    from mobilevision.tools.benchmarking import report
    from mobilevision.tools.benchmarking.exported import Exported
    from mobilevision.tools.benchmarking.report import rows

    some = any(isinstance(each, Exported) for each in found)
    places = devices("cpu" if some and device is None else device)
    if clock == "cpu" and places != ["cpu"]:
        raise UserError("--clock cpu: says nothing of a GPU; take --device cpu too, or the clock on the wall")
    style = report.Style(fold=fold, channels_last=channels_last, clock=clock)
    table = rows(found, *settings, places, seconds=seconds, style=style)
    report.show(table, style)
    if out is not None:
        report.write(table, Path(out), style)
    return table


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
