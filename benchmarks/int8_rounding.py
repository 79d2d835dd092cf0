"""How near int8 stays to its checkpoint: ours against ONNX Runtime's own recipe, on trained classifiers.

    python benchmarks/int8_rounding.py RUN [RUN ...]

Not a matter of speed: both write the same operators. The recipe is ``quant_pre_process``, then ``quantize_static`` in
QDQ with int8 weights a channel and uint8 activations, calibrated by least and largest values, on the same 200 training
images of the run. Prints, over its test images, the share on which a file names the checkpoint's class, top-1, and
the noise: the squared error of probabilities as a share of their variance.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader
from onnxruntime.quantization.shape_inference import quant_pre_process

from mobilevision.deploy.formats import find_format
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import FLOAT32, Precision
from mobilevision.exporting.subject import calibration_of, subject_of

IMAGES = 200


@final
class PredictionImages(CalibrationDataReader):  # type: ignore[misc]
    """Hands calibration images to ONNX Runtime, eight at once."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.batches = iter([pixels[start : start + 8] for start in range(0, len(pixels), 8)])

    def get_next(self) -> dict[str, Any] | None:
        """The next ones, or None."""
        batch = next(self.batches, None)
        return None if batch is None else {"image": batch}


def files(run: str, folder: Path) -> tuple[dict[str, Path], Any]:
    """The three files of a run, and what it is measured on."""
    subject = subject_of(run, gated=True)
    spec, form, pixels = subject.task.data_spec, find_format("onnx"), calibration_of(run, IMAGES)
    graph = Graph(subject.task, shape=(spec.channels, *spec.resolution))
    paths = {name: folder / f"{name}.onnx" for name in ("float32", "prepared", "recipe", "ours")}
    form.write(graph, paths["float32"], FLOAT32)
    form.write(graph, paths["ours"], Precision("int8", pixels))
    quant_pre_process(paths["float32"], paths["prepared"])
    quantize_static(
        paths.pop("prepared"),
        paths["recipe"],
        PredictionImages(pixels),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    return paths, subject


def compared(run: str) -> list[str]:
    """Rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        paths, subject = files(run, Path(folder))
        batch = subject.source.__getitems__([(0, place) for place in range(len(subject.source))])
        pixels, target = batch["image"].numpy(), batch["target"].numpy()
        form = find_format("onnx")
        found = {name: form.open(path, outputs=("probabilities",))(pixels) for name, path in paths.items()}
    right = found.pop("float32")["probabilities"]
    rows = []
    for name, outputs in found.items():
        wrong = outputs["probabilities"]
        agreement, top1 = ((wrong.argmax(1) == labels).mean() for labels in (right.argmax(1), target))
        rows.append(f"| {Path(run).name} | {name} | {agreement:.3f} | {top1:.3f} | {_noise(right, wrong):.4f} |")
    return [f"| {Path(run).name} | float32 | | {(right.argmax(1) == target).mean():.3f} | |", *rows]


def _noise(right: NDArray[Any], wrong: NDArray[Any]) -> float:
    return float(np.square(right - wrong).sum() / np.square(right - right.mean()).sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of classifiers")
    lines = [row for run in parser.parse_args().runs for row in compared(run)]
    print("| run | int8 by | agreement | top-1 | noise |\n|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
