"""The commands that hand a trained model on; see :mod:`mobilevision.cli.commands`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mobilevision.errors import UserError


class Input(str, Enum):  # noqa: UP042 - typer's choices
    """What pixels are given as; 0 to 255 in either case."""

    uint8 = "uint8"
    float = "float"


class Quantize(str, Enum):  # noqa: UP042 - typer's choices
    """Smaller numbers than float32."""

    int8 = "int8"
    float16 = "float16"


def add_to(app: typer.Typer) -> None:
    """Make them subcommands."""
    app.command(short_help="A model as a file that anyone can use, compared with its checkpoint.")(export)
    app.command(short_help="An exported model onto the Hugging Face hub.")(push)
    app.command(short_help="A page that runs a model in the browser, also on a phone.")(demo)


def export(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="RUN|OVERRIDE", help="The run folder; or weights as backbone.weights=..., and data."),
    ],
    format: Annotated[str, typer.Option(help="What the file is: onnx, openvino, executorch or litert.")] = "onnx",
    quantize: Annotated[Quantize | None, typer.Option(help="Smaller numbers: a quarter or half of the file.")] = None,
    keep_float: Annotated[str, typer.Option(help="Layers that int8 leaves alone, separated by commas.")] = "",
    calibration_samples: Annotated[
        int, typer.Option(min=1, help="Training pictures that int8 takes its ranges from.")
    ] = 200,
    finetune_epochs: Annotated[
        int, typer.Option(min=0, help="Train on for so long before int8, with its rounding felt.")
    ] = 0,
    out: Annotated[str | None, typer.Option(help="Folder for the model; else exports/FORMAT in the run.")] = None,
    input: Annotated[Input, typer.Option(help="Pixels as uint8, or as float for targets that need it.")] = Input.uint8,
    gate_samples: Annotated[
        int | None, typer.Option(min=0, help="Test pictures to compare on; else all. 0: do not compare.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Fall of the metric that is refused, if no chance: 0.005; int8 0.015."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave a one-stage detector's decoding outside, with decode.py beside it.")
    ] = False,
    license: Annotated[str | None, typer.Option(help="For the card, such as apache-2.0.")] = None,
    latency: Annotated[bool, typer.Option(help="Take the time of a picture here, for the card.")] = True,
) -> None:
    """Export a run's best model, and let file and checkpoint look at the same test pictures: both metrics, agreement.

    A model that falls too far is refused, with exit code 1 and the classes that fall most.

    Example: mobilevision export RUN --out cats

    Example: mobilevision export RUN --quantize int8

    Example: mobilevision export RUN --quantize int8 --keep-float backbone.model.conv_stem --finetune-epochs 3

    Example: mobilevision export RUN --format executorch

    Example: mobilevision export RUN --raw --out boxes

    Example: mobilevision export RUN --input float --gate-samples 500

    Example: mobilevision export backbone.weights=timm data=imagenet data.root=ILSVRC --out imagenet
    """
    from mobilevision.exporting.command import export as work

    work(
        _run_or_overrides(arguments),
        format=format,
        quantize=None if quantize is None else quantize.value,
        keep_float=[name.strip() for name in keep_float.split(",") if name.strip()],
        calibration_samples=calibration_samples,
        finetune_epochs=finetune_epochs,
        out=out,
        input=input.value,
        gate_samples=gate_samples,
        max_drop=max_drop,
        license=license,
        raw=raw,
        latency=latency,
    )


def _run_or_overrides(arguments: list[str]) -> str | list[str]:
    """The one folder of a run, or overrides that name weights.

    Raises:
        UserError: a run, and more than that.
    """
    first = arguments[0]
    if "=" in first and not Path(first).is_dir():
        return arguments
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]}: a run is exported as it is; only weights without a run take overrides")
    return first


def push(
    folder: Annotated[str, typer.Argument(metavar="EXPORT", help="The folder of an exported model.")],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The repository; made where it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Let nobody else see one that is made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
) -> None:
    """Put an exported model onto the Hugging Face hub: the model, model.json and the card, nothing else.

    It takes a login (`hf auth login`, or HF_TOKEN). A model that the gate refused is not pushed.

    Example: mobilevision push cats --repo me/cats --dry-run
    """
    from mobilevision.exporting.push import push as work

    work(folder, repo, private=private, dry_run=dry_run)


def demo(
    model: Annotated[
        str, typer.Argument(metavar="RUN|ARTIFACT", help="Folder of an exported model, or of a run, exported first.")
    ],
    out: Annotated[str | None, typer.Option(help="Write the page into this folder, for any web server.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to serve at, else 127.0.0.1; 0.0.0.0 is every one of this machine.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to serve at, else 8000; 0 takes a free one.")
    ] = None,
    examples: Annotated[str | None, typer.Option(help="Folder of pictures; the page offers the first eight.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Folder with onnxruntime-web's files; else npm brings them, once.")
    ] = None,
) -> None:
    """Show a model in the browser, where it runs on the device itself: pictures, live camera, no network needed.

    Example: mobilevision demo cats

    Example: mobilevision demo RUN --examples PICTURES --port 8080

    Example: mobilevision demo cats --out page
    """
    from mobilevision.tools.demo.command import demo as work

    work(model, out=out, host=host, port=port, runtime=runtime, examples=examples)
