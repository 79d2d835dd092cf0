"""What exports of trained runs are worth: metric, size and time of checkpoint, float32, float16 and int8.

    python benchmarks/exported_runs.py RUN [RUN ...] [--out exports]

Each run is exported three times, gated on its own test images; then the checkpoint in eager torch as it was trained
(batch norm not folded, channels_last, raw outputs without decoding) and the files (from pixels to finished answers)
take turns on one thread. Prints a row a run; ratios are of medians of CPU time, the checkpoint's over the file's. A
model that the gate refuses is marked with a star.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import mobilevision
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.command import Style, rows
from mobilevision.tools.models import models_of

PRECISIONS: dict[str, Any] = {"float32": None, "float16": "float16", "int8": "int8"}


def exported(run: Path, precision: str, out: Path) -> Path:
    """The folder of an export, whether it passed or not; one that is there is taken."""
    target = out / f"{run.name}-{precision}"
    refused = target.with_name(f"{target.name}.failed")
    if not target.is_dir() and not refused.is_dir():
        try:
            mobilevision.export(run, quantize=PRECISIONS[precision], out=target, latency=False)
        except UserError as error:
            print(f"{run.name} {precision}: {error}")
    return target if target.is_dir() else refused


def line(run: Path, out: Path, seconds: float) -> str:
    """A row of the table."""
    folders = {precision: exported(run, precision, out) for precision in PRECISIONS}
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
    gates = {precision: manifest.about["gate"] for precision, manifest in manifests.items()}
    primary = gates["float32"]["primary"]
    cells = [run.name, primary, f"{gates['float32']['checkpoint'][primary]:.4f}"]
    for precision, seconds_taken in zip(PRECISIONS, times, strict=True):
        gate, star = gates[precision], "" if gates[precision]["passed"] else "*"
        cells.append(f"{gate['artifact'][primary]:.4f}{star}")
        cells.append(f"{gate['agreement']:.3f}")
        cells.append(f"{manifests[precision].file.size / 1e6:.2f}")
        cells.append(f"{eager / seconds_taken:.2f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("exports"), help="folder for the exported models")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each time")
    options = parser.parse_args()
    found = [line(run, options.out, options.seconds) for run in options.runs]
    each = " | ".join(f"{precision} | agrees | MB | x eager" for precision in PRECISIONS)
    print(f"| run | metric | checkpoint | {each} |\n|{'---|' * (3 + 4 * len(PRECISIONS))}")
    print("\n".join(found))


if __name__ == "__main__":
    main()
