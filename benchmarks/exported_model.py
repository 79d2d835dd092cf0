"""One image through a classifier: exported models against eager torch and a plain export.

    python benchmarks/exported_model.py                 # MobileNet V1 1.0 at 224, two minutes
    python benchmarks/exported_model.py --model mobilenetv2_100 --side 160

timm's model as it comes takes float32 images that somebody has normalised before; so does the plain export of it, by
``torch.onnx.export``. Ours take uint8 pixels and give probabilities. All are in one process on one thread, take turns,
and are quoted as ratios of medians of CPU time. Weights are random: nothing here depends on what they are.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from pathlib import Path
from typing import Any, final

import timm
import torch

from mobilevision.deploy.formats import find_format
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import Precision
from mobilevision.tools.benchmarking.folding import fold
from mobilevision.tools.benchmarking.stopwatch import Timed, TorchModel, measure

CLASSES = 1000


@final
class Session(Timed):
    """A file in ONNX Runtime.

    Args:
        run: takes ``pictures``.
        images: what goes in.
    """

    def __init__(self, run: Any, pictures: Any) -> None:
        self.mult_adds, self.device, self.threads = 0, "cpu", 1
        self._run, self._images = run, pictures

    def run(self) -> None:
        """One batch."""
        self._run(self._images)


def task(name: str, side: int) -> Any:
    """A classifier of a thousand classes over a model of timm's."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build_backbone, build_task
    from mobilevision.spec import DataSpec

    cfg = compose(["task=classification", "backbone=timm", f"backbone.name={name}", f"data.resolution={side}"])
    spec = DataSpec("class", tuple(f"class {number}" for number in range(CLASSES)), 3, (side, side))
    return build_task(cfg, spec, build_backbone(cfg)).eval()


def ours(model: Any, batch: int, folder: Path, precision: str) -> Session:
    """An exported model as `mobilevision export` writes it."""
    spec, form = model.data_spec, find_format("onnx")
    graph = Graph(model, shape=(spec.channels, *spec.resolution))
    calibration = graph.example(16).numpy() if precision == "int8" else None
    path = folder / f"{precision}.onnx"
    form.write(graph, path, Precision(precision, calibration))  # type: ignore[arg-type]
    print(f"{precision}: {path.stat().st_size / 1e6:.2f} MB", file=sys.stderr)
    return Session(form.open(path, outputs=graph.names, threads=1), graph.example(batch).numpy())


def plain(model: Any, pictures: Any, folder: Path) -> Session:
    """``torch.onnx.export`` and ONNX Runtime, as their own pages show it."""
    import onnxruntime

    path = folder / "plain.onnx"
    example, sizes = (pictures[:1].repeat(2, 1, 1, 1),), ({0: torch.export.Dim("batch")},)
    torch.onnx.export(model, example, path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Session(lambda images: session.run(None, {name: images}), pictures.numpy())


def contenders(name: str, side: int, batch: int, folder: Path) -> dict[str, Timed]:
    """All that take turns, the one that the others are compared with first."""
    body, whole = timm.create_model(name).eval(), task(name, side)
    fused = copy.deepcopy(body)
    pictures = torch.rand(batch, 3, side, side) * 2 - 1
    fold(fused, pictures[:1])
    file = plain(copy.deepcopy(body), pictures, folder)
    return {
        "eager torch, float32, contiguous": TorchModel(body, pictures, mult_adds=0, channels_last=False),
        "eager torch, batch norm folded, channels_last": TorchModel(fused, pictures, mult_adds=0),
        "plain torch.onnx.export, ONNX Runtime": file,
        "ours, float32": ours(whole, batch, folder, "float32"),
        "ours, float16": ours(whole, batch, folder, "float16"),
        "ours, int8": ours(whole, batch, folder, "int8"),
    }


def main() -> None:
    """Let all take turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenetv1_100", help="a name of timm's")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = contenders(options.model, options.side, options.batch, Path(folder))
        times = measure(list(found.values()), seconds=options.seconds)
    print(f"batch {options.batch}, one thread, {options.model} at {options.side}\n")
    print("| | CPU ms | half within | ratio |\n|---|---|---|---|")
    base = times[0].median("cpu")
    for name, each in zip(found, times, strict=True):
        low, high = each.quartiles("cpu")
        cpu = each.median("cpu")
        print(f"| {name} | {1e3 * cpu:.2f} | {1e3 * low:.2f}..{1e3 * high:.2f} | {base / cpu:.2f} |")


if __name__ == "__main__":
    main()
