"""The commands that hand a trained model on; see :mod:`mobilevision.runs.commands`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer


class Input(str, Enum):  # noqa: UP042 - typer's choices
    """What pixels are given as; 0 to 255 in either case."""

    uint8 = "uint8"
    float = "float"


def add_to(app: typer.Typer) -> None:
    """Make them subcommands."""
    app.command(short_help="A run's model as a file that anyone can use, compared with its checkpoint.")(export)


def export(
    run: Annotated[str, typer.Argument(help="The run folder.")],
    format: Annotated[str, typer.Option(help="What the file is: onnx.")] = "onnx",
    out: Annotated[str | None, typer.Option(help="Folder for the model; else exports/FORMAT in the run.")] = None,
    input: Annotated[Input, typer.Option(help="Pixels as uint8, or as float for targets that need it.")] = Input.uint8,
    gate_samples: Annotated[
        int | None, typer.Option(min=0, help="Test pictures to compare on; else all. 0: do not compare.")
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, help="Fall of the metric that is refused, if no chance.")] = 0.005,
) -> None:
    """Export a run's best model, and let file and checkpoint look at the same test pictures: both metrics, agreement.

    A model that falls too far is refused, with exit code 1 and the classes that fall most.

    Example: mobilevision export RUN --out cats

    Example: mobilevision export RUN --input float --gate-samples 500
    """
    from mobilevision.runs.exporting.command import export as work

    work(run, format=format, out=out, input=input.value, gate_samples=gate_samples, max_drop=max_drop)
