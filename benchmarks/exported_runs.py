"""What exports of trained runs are worth: metric, size and time of checkpoint, float32, float16 and int8.

    python benchmarks/exported_runs.py RUN [RUN ...] [--formats onnx openvino executorch litert] [--out exports]

Each run is exported in every precision of a format, gated on its own test images; then the checkpoint in eager torch as
it was trained (batch norm not folded, channels_last, raw outputs without decoding) and the files (from pixels to
finished answers) take turns on one thread. Prints a row a run and format; times are medians of CPU time, ratios the
checkpoint's over the file's. A model that the gate refuses is marked with a star, a precision that a format has not
with a dash.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import mobilevision
from mobilevision.deploy.formats import FORMATS
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.command import Style, rows
from mobilevision.tools.models import models_of

PRECISIONS: dict[str, Any] = {"float32": None, "float16": "float16", "int8": "int8"}


def exported(run: Path, form: str, precision: str, out: Path) -> Path:
    """The folder of an export, whether it passed or not; one that is there is taken."""
    target = out / f"{run.name}-{form}-{precision}"
    refused = target.with_name(f"{target.name}.failed")
    if not target.is_dir() and not refused.is_dir():
        try:
            mobilevision.export(run, format=form, quantize=PRECISIONS[precision], out=target, latency=False)
        except UserError as error:
            print(f"{run.name} {form} {precision}: {error}")
    return target if target.is_dir() else refused


def line(run: Path, form: str, out: Path, seconds: float) -> str:
    """A row of the table."""
    folders = {each: exported(run, form, each, out) for each in PRECISIONS if each in FORMATS[form].precisions}
    manifests = {precision: Manifest.read(folder) for precision, folder in folders.items()}
    timed = rows(
        models_of([str(run), *map(str, folders.values())], outputs=None),
        [1],
        [1],
        ["cpu"],
        seconds=seconds,
        style=Style(fold=False, clock="cpu"),
    )
    eager, *times = (row.times.median("cpu") for row in timed)
    taken = dict(zip(folders, times, strict=True))
    gates = {precision: manifest.about["gate"] for precision, manifest in manifests.items()}
    first = next(iter(gates.values()))
    cells = [run.name, form, primary := first["primary"], f"{first['checkpoint'][primary]:.4f}"]
    for precision in PRECISIONS:
        if precision not in folders:
            cells += ["-"] * 5
            continue
        gate, size = gates[precision], sum(file.stat().st_size for file in folders[precision].glob("model.[!j]*"))
        cells.append(f"{gate['artifact'][primary]:.4f}{'' if gate['passed'] else '*'}")
        cells.append(f"{gate['agreement']:.3f}")
        cells.append(f"{size / 1e6:.2f}")
        cells.append(f"{1e3 * taken[precision]:.2f}")
        cells.append(f"{eager / taken[precision]:.2f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--formats", nargs="*", default=["onnx"], choices=list(FORMATS))
    parser.add_argument("--out", type=Path, default=Path("exports"), help="folder for the exported models")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each time")
    options = parser.parse_args()
    found = [line(run, form, options.out, options.seconds) for run in options.runs for form in options.formats]
    each = " | ".join(f"{precision} | agrees | MB | ms | x eager" for precision in PRECISIONS)
    print(f"| run | format | metric | checkpoint | {each} |\n|{'---|' * (4 + 5 * len(PRECISIONS))}")
    print("\n".join(found))


if __name__ == "__main__":
    main()
