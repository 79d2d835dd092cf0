"""The command ``mobilevision``: one small function a subcommand, each importing its work only when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mobilevision.config.names import OTHER_FLAGS
from mobilevision.errors import UserError
from mobilevision.io.error_lines import errors_as_lines
from mobilevision.version import __version__

_STOPPED = 130

app = typer.Typer(
    name="mobilevision",
    help="Train, evaluate and use MobileNets. `mobilevision COMMAND --help` shows an example of each command.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
plugins_app = typer.Typer(help="Plugins: what is installed, and whether it works.", rich_markup_mode=None)
app.add_typer(plugins_app, name="plugins")


_OUTPUTS = typer.Option(min=1, help="Class scores, a detector's with background; else the data's.")
_TILES = typer.Option(
    metavar="COLUMNSxROWS|SIDE", help="A detector looks at tiles of each image, too: for small objects."
)
_OVERLAP = typer.Option(help="Share of a tile's side that the next one has, too; else 0.2.")
_MERGE = typer.Option(help="Of detections of one object: the best, or their mean; else best.")
_CLOCK = typer.Option(help="What users wait, or the processor's own time.")


def _existing_model(context: typer.Context, folder: str) -> str:
    """A run or an exported model, looked at before options that are missing are asked for.

    Raises:
        UserError: neither is there.
    """
    from mobilevision.deploy.manifest import is_artifact
    from mobilevision.tracking.run_folder import RunFolder

    if not context.resilient_parsing and not is_artifact(folder):
        RunFolder.existing(folder)
    return folder


def _existing_export(context: typer.Context, folder: str) -> str:
    """An exported model, likewise.

    Raises:
        UserError: there is none.
    """
    from mobilevision.exporting.push import check_artifact

    if not context.resilient_parsing:
        check_artifact(folder)
    return folder


def main() -> None:
    """Run the command line of the process; exit code 0, or 1 with one line that says why."""
    arguments = sys.argv[1:] or ["--help"]
    if arguments[:1] == ["train"]:  # Hydra's own command line, not typer's
        from mobilevision.cli.main import main as train

        train(arguments[1:])
        return
    with errors_as_lines(arguments):
        try:
            code = app(args=arguments, prog_name="mobilevision", standalone_mode=False)
        except Exception as error:
            flag = str(getattr(error, "option_name", ""))
            if instead := OTHER_FLAGS.get(flag.lstrip("-").replace("-", "_")):
                raise UserError(
                    f"{flag}: there is no such option; here it is {instead} (--help shows what there is)"
                ) from error
            raise
        if code == _STOPPED:  # typer makes this of Ctrl-C
            raise KeyboardInterrupt
        if code:
            sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mobilevision {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, evaluate and use MobileNets. `mobilevision COMMAND --help` shows an example of each command."""


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def train() -> None:
    """Train a model.

    Example: mobilevision train data=auto data.root=IMAGES backbone.width=0.5
    """


@app.command(short_help="Measure a run, an exported model or pretrained weights.")
def evaluate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|EXPORT|OVERRIDE", help="A run or an exported model, and changes such as data=folder."
        ),
    ],
    scores: Annotated[
        Literal["shown", "all"] | None,
        typer.Option(help="Write a row a sample: what is shown, or every detection and every class, too."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Score from which something is shown in these rows.")
    ] = None,
    track_as: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send the numbers to the run's tracker, too, as NAME/...")
    ] = None,
    tiles: Annotated[str | None, _TILES] = None,
    overlap: Annotated[float | None, _OVERLAP] = None,
    merge: Annotated[Literal["best", "weighted"] | None, _MERGE] = None,
) -> None:
    """Measure a run, an exported model, or pretrained weights without a run, on its own data or on other.

    Example: mobilevision evaluate RUN data=folder data.root=IMAGES split=test

    Example: mobilevision evaluate EXPORT data=auto data.root=IMAGES split=test

    Example: mobilevision evaluate backbone.weights=timm data=imagenet data.root=ILSVRC

    Example: mobilevision evaluate RUN data=auto data.root=NIGHT --scores all --track-as night
    """
    from mobilevision.evaluation.evaluate import evaluate as work

    first = arguments[0]
    is_run = "=" not in first or Path(first).is_dir()
    target = first if is_run else None
    rows: Any = {"scores": scores, "threshold": threshold, "track_as": track_as}
    work(target, arguments[is_run:], **rows, tiles=tiles, overlap=overlap, merge=merge)


@app.command(short_help="Finished runs beside each other: accuracy against cost.")
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN|FOLDER", help="Runs, or folders with runs below them.")],
    out: Annotated[str, typer.Option(help="Folder for the table, the figures and the page.")] = "comparison",
) -> None:
    """Set finished runs of one task beside each other: a table, accuracy against cost as PNG and SVG, and compare.html.

    Example: mobilevision compare outputs/classification --out comparison
    """
    from mobilevision.reports.compare import compare as work

    work(runs, out)


@app.command()
def predict(
    run: Annotated[str, typer.Argument(callback=_existing_model, help="The run folder, or that of an exported model.")],
    inputs: Annotated[list[str], typer.Argument(help="Images and folders with some; or movies, camera:0.")],
    out: Annotated[str, typer.Option(help="Folder for predictions.csv, predictions.json and the drawn images.")],
    which: Annotated[Literal["best", "last"], typer.Option(help="The best checkpoint, or the last.")] = "best",
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the model at once.")] = 32,
    pictures: Annotated[bool, typer.Option(help="Draw each prediction on its image.")] = True,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda; a GPU is taken where there is one.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="How much of a movie or a camera.")] = None,
    gallery: Annotated[str | None, typer.Option(help="Folder of identities to find the nearest of.")] = None,
    scores: Annotated[
        Literal["shown", "all"], typer.Option(help="What is shown, or every detection and every class.")
    ] = "shown",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Score from which something is shown; else what val chose.")
    ] = None,
    annotations: Annotated[
        Literal["coco", "yolo", "csv", "label-studio"] | None,
        typer.Option(help="Write what labelling tools import, least certain images first."),
    ] = None,
    tiles: Annotated[str | None, _TILES] = None,
    overlap: Annotated[float | None, _OVERLAP] = None,
    merge: Annotated[Literal["best", "weighted"] | None, _MERGE] = None,
) -> None:
    """Predict for images, movies or a camera: drawn on them, as CSV and as JSON.

    Example: mobilevision predict RUN holiday.jpg IMAGES --out predictions

    Example: mobilevision predict RUN camera:0 --seconds 30 --out predictions

    Example: mobilevision predict RUN IMAGES --gallery PEOPLE --out predictions

    Example: mobilevision predict RUN AERIAL --tiles 2x2 --out predictions

    Example: mobilevision predict RUN UNLABELLED --annotations coco --threshold 0.3 --no-pictures --out prelabelled
    """
    from mobilevision.prediction.gallery import predict_in_gallery
    from mobilevision.prediction.predict import predict as work

    options: Any = {"which": which, "batch_size": batch_size, "pictures": pictures, "device": device}
    if gallery is not None:
        if scores == "all" or threshold is not None or annotations is not None or tiles is not None:
            raise UserError(
                "--gallery: it names the nearest identity, without --scores, --threshold, --annotations and --tiles"
            )
        predict_in_gallery(run, inputs, gallery=gallery, out=out, **options)
        return
    options |= {"scores": scores, "threshold": threshold, "annotations": annotations}
    options |= {"tiles": tiles, "overlap": overlap, "merge": merge}
    work(run, inputs, out=out, seconds=seconds, **options)


@app.command(short_help="Count what a model costs: no data, no training.")
def cost(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="RUN|OVERRIDE", help="As for a training; or one run folder.")
    ] = None,
    outputs: Annotated[int | None, _OUTPUTS] = None,
    layers: Annotated[bool, typer.Option("--layers", help="A line for each layer, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead, with all layers.")] = False,
    out: Annotated[str | None, typer.Option(help="Folder for cost.png, cost.json and layers.csv.")] = None,
) -> None:
    """Count parameters, mult-adds, activations and file size of any model, by type of layer and layer by layer.

    Example: mobilevision cost backbone.width=0.5 data.resolution=160 --outputs 1000

    Example: mobilevision cost task=detection head=ssd --outputs 91 --layers --out costs
    """
    from mobilevision.tools.costs.command import cost as work

    work(arguments or [], outputs=outputs, layers=layers, as_json=as_json, out=out)


@app.command(short_help="The MobileNet paper's tables beside what is counted now.")
def paper(
    table: Annotated[int | None, typer.Option(help="One table, 1 to 14, instead of all.")] = None,
    results: Annotated[str | None, typer.Option(help="Folder with runs; what they reached stands beside.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead, our counts exact.")] = False,
) -> None:
    """Print tables 1 to 14 of arXiv 1704.04861: the paper's figure, ours counted now, the difference.

    Example: mobilevision paper --table 13

    Example: mobilevision paper --results outputs
    """
    from mobilevision.tools.paper.command import paper as work

    work(number=table, as_json=as_json, results=results)


@app.command("check-data", short_help="Find bad files and duplicates in a data set.")
def check_data(
    overrides: Annotated[list[str] | None, typer.Argument(help="As for a training.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the lists of what was found.")] = None,
) -> int:
    """Look at every image of a data set: bad files, duplicates across splits, class balance, sizes.

    Example: mobilevision check-data data=folder data.root=IMAGES
    """
    from mobilevision.tools.check_data import check_data as work

    return work(overrides or [], out=out)


@app.command("plan-anchors", short_help="Propose a detector's default boxes for a data set.")
def plan_anchors(
    overrides: Annotated[list[str] | None, typer.Argument(help="As for a training: data=..., head=...")] = None,
    boxes: Annotated[int | None, typer.Option(min=1, help="Default boxes at each place of every map.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the chart and the recipe.")] = None,
) -> None:
    """Show which training boxes the default boxes of a head reach, and propose some that reach more.

    Example: mobilevision plan-anchors data=auto data.root=IMAGES head=ssd
    """
    from mobilevision.tools.plan_anchors import plan_anchors as work

    work(overrides or [], boxes=boxes, out=out)


@app.command(short_help="Cut Earth into the cells that a model of places chooses among.")
def cells(
    coordinates: Annotated[str, typer.Option(help="Table with a latitude and a longitude a row.")],
    out: Annotated[str, typer.Option(help="The file of cells; a map is drawn beside it.")] = "cells.json",
    most: Annotated[int | None, typer.Option(min=1, help="A cell with more photos is cut into four.")] = None,
    least: Annotated[int | None, typer.Option(min=1, help="A cell with fewer photos is dropped.")] = None,
    coarsest: Annotated[int | None, typer.Option(min=0, max=30, help="Level of the largest cells.")] = None,
    finest: Annotated[int | None, typer.Option(min=0, max=30, help="Level of the smallest cells.")] = None,
    level: Annotated[int | None, typer.Option(min=0, max=30, help="Level of all cells, instead.")] = None,
    columns: Annotated[str | None, typer.Option(help="LATITUDE,LONGITUDE: names or numbers from 0.")] = None,
    on_error: Annotated[
        Literal["raise", "skip"], typer.Option(help="Refuse rows that cannot be used, or leave them out.")
    ] = "raise",
) -> None:
    """Cut Earth into S2 cells, small where many photos were taken, and show how near a model can come with them.

    Example: mobilevision cells --coordinates photos.csv --out cells.json

    Example: mobilevision cells --coordinates photos.csv --level 6 --least 20
    """
    from mobilevision.tools.cells import Cut
    from mobilevision.tools.cells import cells as work

    work(coordinates, out=out, cut=Cut(most, least, coarsest, finest, level), columns=columns, on_error=on_error)


@app.command(short_help="How long models take on this machine, beside their mult-adds.")
def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(metavar="RUN|EXPORT|CONFIG", help='Folders, or overrides: "backbone.width=0.5 ...".'),
    ],
    threads: Annotated[str, typer.Option(help="Of the CPU; several as 1,2.")] = "1",
    batch: Annotated[str, typer.Option(help="Images at once; several as 1,32.")] = "1",
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda, or adb for a phone; else the CPU and a GPU.")
    ] = None,
    binary: Annotated[
        str | None, typer.Option(help="For adb: the runtime's benchmark program, built for the phone.")
    ] = None,
    outputs: Annotated[int | None, _OUTPUTS] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="About so long for each row.")] = 1.0,
    clock: Annotated[Literal["wall", "cpu"], _CLOCK] = "wall",
    fold: Annotated[bool, typer.Option(help="Fold batch norm, as exported models have it.")] = True,
    channels_last: Annotated[bool, typer.Option(help="The memory layout that convolutions like best.")] = True,
    out: Annotated[str | None, typer.Option(help="Folder for benchmark.csv and the chart.")] = None,
) -> None:
    """Measure models in turns: medians and quartiles, share of the machine's peak, how far mult-adds predict time.

    Example: mobilevision benchmark RUN "backbone=mobilenet_v2 data.resolution=160" --threads 1,2 --batch 1,32

    Example: mobilevision benchmark RUN RUN/exports/onnx

    Example: mobilevision benchmark RUN/exports/onnx --device adb --binary onnxruntime_perf_test

    Example: mobilevision benchmark "backbone.width=0.25,0.5,1.0 data.resolution=128,224" --outputs 1000 --out times
    """
    from mobilevision.tools.benchmarking.command import benchmark as work

    options: Any = {"threads": threads, "batch": batch, "device": device, "outputs": outputs, "seconds": seconds}
    work(models, **options, clock=clock, fold=fold, channels_last=channels_last, out=out, binary=binary)


@app.command(short_help="The models that fit a budget of size, mult-adds and time.")
def plan(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="OVERRIDE", help="As for a training; what they set is not searched.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(metavar="2M", help="Parameters.")] = None,
    max_mult_adds: Annotated[str | None, typer.Option(metavar="300M", help="Mult-adds of an image.")] = None,
    max_latency: Annotated[str | None, typer.Option(metavar="15ms", help="Time of an image, here.")] = None,
    max_size: Annotated[str | None, typer.Option(metavar="4MB", help="Of the exported file.")] = None,
    max_arena: Annotated[str | None, typer.Option(metavar="256k", help="RAM of a microcontroller for tensors.")] = None,
    max_flash: Annotated[str | None, typer.Option(metavar="512k", help="Flash of it for the model.")] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"], typer.Option(help="Of the numbers in that file.")
    ] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="For --max-latency.")] = 1,
    clock: Annotated[Literal["wall", "cpu"], _CLOCK] = "wall",
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

    Example: mobilevision plan data=auto data.root=IMAGES backbone=mobilenet_v1 --max-mult-adds 100M --train 20

    Example: mobilevision plan --max-arena 256k --max-flash 512k data.resolution=64,96,128

    Lists narrow the search: backbone=mobilenet_v1,mobilenet_v2 backbone.width=0.25,0.35 data.resolution=96,128.
    """
    from mobilevision.tools.planning.command import Request
    from mobilevision.tools.planning.command import plan as work

    bounds = {"params": max_params, "mult_adds": max_mult_adds, "latency": max_latency, "size": max_size}
    bounds |= {"arena": max_arena, "flash": max_flash}
    request = Request(bounds=bounds, precision=precision, threads=threads, clock=clock, outputs=outputs)
    work(overrides or [], request, results=results, epochs=epochs, starters=starters, out=out)


@app.command(short_help="A model as a file that anyone can use, compared with its checkpoint.")
def export(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="RUN|OVERRIDE", help="The run folder; or weights as backbone.weights=..., and data."),
    ],
    target: Annotated[
        str | None,
        typer.Option("--for", help="Choose for browser, micro, opencv, phone, pi or server; what is typed stays."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="What the file is: onnx (else), openvino, executorch, litert or micro.")
    ] = None,
    quantize: Annotated[
        Literal["int8", "float16", "float32"] | None,
        typer.Option(help="Smaller numbers: a quarter or half of the file; float32 else."),
    ] = None,
    keep_float: Annotated[str, typer.Option(help="Layers that int8 leaves alone, separated by commas.")] = "",
    calibration_samples: Annotated[
        int, typer.Option(min=1, help="Training images that int8 takes its ranges from.")
    ] = 200,
    finetune_epochs: Annotated[
        int, typer.Option(min=0, help="Train on for so long before int8, with its rounding felt.")
    ] = 0,
    out: Annotated[str | None, typer.Option(help="Folder for the model; else exports/FORMAT in the run.")] = None,
    input: Annotated[
        Literal["uint8", "float"] | None,
        typer.Option(help="Pixels as uint8 (else), or as float for targets that need it."),
    ] = None,
    gate_samples: Annotated[
        int | None, typer.Option(min=0, help="Test images to compare on; else all. 0: do not compare.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Fall of the metric that is refused, if no chance: 0.005; int8 0.015."),
    ] = None,
    raw: Annotated[
        bool | None,
        typer.Option(
            "--raw/--decoded", help="Leave a one-stage detector's decoding outside, with decode.py beside it."
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="1: one image at a time, for phones; else any number.")] = None,
    opset: Annotated[int | None, typer.Option(help="ONNX's operator set, for older runtimes; else 18.")] = None,
    max_arena: Annotated[
        str | None, typer.Option(help="Of micro: memory that the board has for tensors, such as 256k.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="For the card, such as apache-2.0.")] = None,
    latency: Annotated[bool, typer.Option(help="Take the time of an image here, for the card.")] = True,
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="auto|FOLDER", help="Export in an environment of its own, made once: for litert and micro."
        ),
    ] = None,
) -> None:
    """Export a run's best model, and let file and checkpoint look at the same test images: both metrics, agreement.

    A model that falls too far is refused, with exit code 1 and the classes that fall most.

    Example: mobilevision export RUN --out cats

    Example: mobilevision export RUN --quantize int8

    Example: mobilevision export RUN --quantize int8 --keep-float backbone.model.conv_stem --finetune-epochs 3

    Example: mobilevision export RUN --for phone

    Example: mobilevision export RUN --for micro --max-arena 256k --environment auto

    Example: mobilevision export RUN --format executorch

    Example: mobilevision export RUN --raw --out boxes

    Example: mobilevision export RUN --input float --gate-samples 500

    Example: mobilevision export backbone.weights=timm data=imagenet data.root=ILSVRC --out imagenet
    """
    if environment is not None:
        from mobilevision.exporting.environment import export_there

        raise typer.Exit(export_there(sys.argv[1:], environment, target=target, format=format))
    from mobilevision.exporting.command import export as work

    work(
        _run_or_overrides(arguments),
        target=target,
        format=format,
        quantize=quantize,
        keep_float=[name.strip() for name in keep_float.split(",") if name.strip()],
        calibration_samples=calibration_samples,
        finetune_epochs=finetune_epochs,
        out=out,
        input=input,
        gate_samples=gate_samples,
        max_drop=max_drop,
        license=license,
        raw=raw,
        batch=batch,
        opset=opset,
        max_arena=max_arena,
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


@app.command(short_help="What an exported file is, and what runs where on phones.")
def inspect(
    path: Annotated[str, typer.Argument(metavar="EXPORT|FILE", help="Folder of an exported model, or an ONNX file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead, every operator in it.")] = False,
) -> None:
    """Say what a file is, what takes it, and of ONNX what NNAPI, Core ML, QNN and XNNPACK leave to the CPU, and why.

    Any ONNX file will do, also one that comes from elsewhere. Nothing in it is executed.

    Example: mobilevision inspect cats

    Example: mobilevision inspect model.onnx --json
    """
    from mobilevision.tools.inspecting.command import inspect as work

    work(path, as_json=as_json)


@app.command(short_help="An exported model onto the Hugging Face hub.")
def push(
    folder: Annotated[
        str, typer.Argument(metavar="EXPORT", callback=_existing_export, help="The folder of an exported model.")
    ],
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


@app.command(short_help="A page that runs a model in the browser, also on a phone.")
def demo(
    model: Annotated[
        str, typer.Argument(metavar="RUN|EXPORT", help="Folder of an exported model, or of a run, exported first.")
    ],
    out: Annotated[str | None, typer.Option(help="Write the page into this folder, for any web server.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to serve at, else 127.0.0.1; 0.0.0.0 is every one of this machine.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to serve at, else 8000; 0 takes a free one.")
    ] = None,
    examples: Annotated[str | None, typer.Option(help="Folder of images; the page offers the first eight.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Folder with onnxruntime-web's files; else npm brings them, once.")
    ] = None,
) -> None:
    """Show a model in the browser, where it runs on the device itself: images, live camera, no network needed.

    Example: mobilevision demo cats

    Example: mobilevision demo RUN --examples IMAGES --port 8080

    Example: mobilevision demo cats --out page
    """
    from mobilevision.tools.demo.command import demo as work

    work(model, out=out, host=host, port=port, runtime=runtime, examples=examples)


@plugins_app.callback(invoke_without_command=True)
def plugins(context: typer.Context) -> None:
    """List the plugins that are installed and what each adds.

    Example: mobilevision plugins
    """
    if context.invoked_subcommand is None:
        from mobilevision.cli.plugin_commands import show

        show()


@plugins_app.command("new", short_help="Write a plugin that works, to be changed.")
def plugins_new(
    name: Annotated[str, typer.Argument(help="Of the plugin and its options: a word in small letters.")],
    kind: Annotated[str | None, typer.Option(help="What it learns from, a word of its own; else its name.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for the package; else mobilevision_NAME here.")] = None,
) -> None:
    """Write a package with a task, drawn data, a head, a loss, a metric, an answer and tests that pass as it stands.

    Example: mobilevision plugins new rivers

    Example: mobilevision plugins new tree_height --kind metres --out trees
    """
    from mobilevision.tools.plugin_template import write_plugin

    folder = write_plugin(name, kind=kind, folder=out)
    print(f"plugin      {folder}")
    print(f"next        pip install -e {folder}")
    print(f"            mobilevision train task={name} backbone.width=0.25")
    print(f"            mobilevision plugins check {name} backbone.width=0.25")


@plugins_app.command("check", short_help="Run the conformance test on a plugin.")
def plugins_check(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `mobilevision plugins` lists it.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes, such as backbone.width=0.25.")] = None,
) -> None:
    """Run the conformance test on everything a plugin adds: compose, train a step, overfit, checkpoint, predict.

    Example: mobilevision plugins check my_plugin backbone.width=0.25
    """
    from mobilevision.cli.plugin_commands import check

    check(name, overrides or [])
