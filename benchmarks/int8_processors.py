"""Whether an exported int8 model gives the same answers on a processor without VNNI, which QEMU emulates.

    python benchmarks/int8_processors.py IMAGES EXPORT [EXPORT ...] [--count 24]

Each exported model looks at the first images of the folder, here and on an emulated Haswell. Prints how far the answers
agree, as the export gate counts them, and the largest difference of a number. Needs ``qemu-x86_64`` (Debian's package
qemu-user) on an x86-64 machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mobilevision.deploy.artifact import Artifact
from mobilevision.exporting import emulated

SUFFIXES = {".jpg", ".jpeg", ".png"}


def line(folder: Path, files: list[Path], command: list[str]) -> str:
    """A row of the table."""
    model = Artifact(folder, threads=1)
    images = np.stack([model.prepare(file).pixels for file in files])
    here, there = model.outputs(images), emulated.outputs(command, folder, images, seconds=1200)
    if isinstance(there, str):
        return f"| {folder.name} | not tried: {there} | |"
    pairs = [[{name: value[at] for name, value in each.items()} for each in (here, there)] for at in range(len(images))]
    same, of = np.sum([model.answer.agree(*pair) for pair in pairs], axis=0)
    gaps = [float(np.abs(here[name] - there[name]).max(initial=0.0)) for name in here]
    return f"| {folder.name} | {same:.0f} of {of:.0f} | {max(gaps):.6f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("exports", nargs="+", type=Path, help="folders of exported models")
    parser.add_argument("--count", type=int, default=24, help="images")
    options = parser.parse_args()
    if (path := emulated.emulator()) is None:
        parser.error("qemu-x86_64 is not installed, or this is no x86-64 machine")
    files = sorted(file for file in options.images.rglob("*") if file.suffix.lower() in SUFFIXES)[: options.count]
    rows = [line(folder, files, [path, "-cpu", emulated.PROCESSOR]) for folder in options.exports]
    print("| model | same answers | largest difference |\n|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
