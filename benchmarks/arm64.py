"""Exported models on 64-bit ARM, which QEMU stands in for: are the answers those that they give here?

    apt-get install qemu-user-static debootstrap
    python benchmarks/arm64.py EXPORT [EXPORT ...] [--work FOLDER] [--images IMAGES]

The first call makes, in the folder of ``--work``, a Debian of ARM with its Python, and fills it with the ARM wheels of
what runs the exports, from the package index. Every export then answers the same images here and there, on one thread:
the share of answers that agree, as its gate counts them, and the largest difference of a number. Times under emulation
say nothing, and are not told. Without ``--images``, noise is looked at.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mobilevision
from mobilevision.deploy.artifact import Artifact
from mobilevision.errors import UserError
from mobilevision.exporting import emulated

RUNTIMES = {"onnx": "onnxruntime", "litert": "ai-edge-litert"}
"""The package that runs a format's files; those of other formats are not tried."""
NEEDED = ("numpy", "pillow", "flatbuffers", "protobuf")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
RELEASES = {(3, 11): "bookworm", (3, 13): "trixie"}
"""Debian's release with this Python."""
PROCESSOR = "cortex-a76"
"""As QEMU calls that of a Raspberry Pi 5: int8 dot products, no SVE."""
CPU_INFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
"""What Linux says of it: ONNX Runtime reads that, and crashes on what it says of this machine's own."""
SECONDS = 600


def emulator() -> str:
    """The path of QEMU for programs of ARM."""
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if path := shutil.which(name):
            return path
    raise UserError("there is no QEMU for ARM here: apt-get install qemu-user-static debootstrap")


def made(work: Path) -> tuple[Path, Path]:
    """A root of Debian for ARM with Python, and a folder with what is imported there; made once."""
    root, packages = work / "root", work / "packages"
    if not (work / "ready").is_file():
        release = RELEASES.get(sys.version_info[:2])
        if release is None or shutil.which("debootstrap") is None:
            raise UserError("apt-get install debootstrap, and run this with Python 3.11 or 3.13, as Debian has them")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        print(f"making a Debian of ARM in {work}, once", flush=True)
        line = ["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", "--include=python3,libstdc++6"]
        subprocess.run([*line, release, str(root)], check=True, stdout=subprocess.DEVNULL)
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
        _download(work / "wheels")
        for wheel in sorted((work / "wheels").glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)
        (root / "proc" / "cpuinfo").write_text(CPU_INFO, encoding="utf-8")
        (packages / "mobilevision").symlink_to(Path(mobilevision.__file__).resolve().parent)
        (work / "ready").touch()
    return root, packages


def _download(folder: Path) -> None:
    """The wheels of ARM, of the versions that are installed here."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    line += ["--python-version", "{}.{}".format(*sys.version_info[:2]), "--dest", str(folder)]
    subprocess.run([*line, *(_pinned(name) for name in (*NEEDED, *RUNTIMES.values()))], check=True)


def _pinned(package: str) -> str:
    try:
        return f"{package}=={version(package)}"
    except ModuleNotFoundError:
        return package


def pixels_of(artifact: Artifact, images: Path | None, number: int) -> NDArray[Any]:
    """What an export looks at, as it takes it: uint8 or float32 [N, C, H, W]."""
    look = artifact.manifest.preprocessing
    if images is None:
        shape = (number, look.channels, look.height, look.width)
        found = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    else:
        files = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        found = np.stack([look.prepare(path).pixels for path in files[:number]])
    return found.astype(artifact.manifest.input.dtype)


def line(folder: Path, work: Path, images: Path | None, number: int) -> str:
    """A row of the table."""
    artifact = Artifact(folder, threads=1)
    told = artifact.manifest
    name = f"| {told.task} | {told.about['backbone']} | {told.format} | {told.precision}"
    if told.format not in RUNTIMES:
        return f"{name} | not tried | |"
    root, packages = made(work)
    pixels = pixels_of(artifact, images, number)
    here = artifact.outputs(pixels)
    python = str(root / "usr/bin/python3")
    line = [emulator(), "-cpu", PROCESSOR, "-L", str(root)]
    there = emulated.outputs(line, folder, pixels, seconds=SECONDS, python=python, path=[str(packages)])
    if isinstance(there, str):
        return f"{name} | {there} | |"
    rows = [[{key: each[key][at] for key in here} for each in (here, there)] for at in range(len(pixels))]
    same, of = np.sum([artifact.answer.agree(*pair) for pair in rows], axis=0)
    gaps = [np.abs(here[key] - there[key]).max(initial=0.0) for key in here if here[key].dtype.kind == "f"]
    return f"{name} | {same / of if of else 1:.4f} | {max(gaps, default=0.0):.2g} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=Path("arm64"), help="folder for the Debian of ARM")
    parser.add_argument("--images", type=Path, help="folder of images to look at; else noise")
    parser.add_argument("--number", type=int, default=8, help="of images")
    given = parser.parse_args()
    print(
        "| task | backbone | format | precision | agrees | largest difference |\n|---|---|---|---|---|---|", flush=True
    )
    for folder in given.exports:
        print(line(folder, given.work.resolve(), given.images, given.number), flush=True)


if __name__ == "__main__":
    main()
