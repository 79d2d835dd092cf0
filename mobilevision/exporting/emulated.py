"""An exported model on a processor without VNNI, which QEMU's user-mode emulation stands in for where it is installed.

int8 kernels of such processors add in 16 bits what others add in 32 (see
:data:`mobilevision.deploy.formats.onnx_int8.gptq.REDUCED`), so that one file may give two answers.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROCESSOR = "Haswell"
"""As QEMU calls it: AVX2, neither AVX-512 nor VNNI."""

FORMATS = ("onnx", "openvino")
"""Those whose runtimes have other kernels for processors with and without VNNI."""

_EMULATORS = ("qemu-x86_64", "qemu-x86_64-static")
_SECONDS = 60  # for a few images: an export must not wait for long on a busy machine
_SCRIPT = """
import sys
import numpy as np
from mobilevision.deploy.artifact import Artifact
folder, images, found = sys.argv[1:]
np.savez(found, **Artifact(folder, threads=1).outputs(np.load(images)))
"""


def emulator() -> str | None:
    """The path of QEMU for programs of x86-64, on such a machine; else None."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    return next((path for path in map(shutil.which, _EMULATORS) if path), None)


def has_vnni() -> bool | None:
    """Whether this processor has VNNI; None where that is not told (Linux on x86-64 tells)."""
    flags = cpu_info("flags")
    return None if flags is None else bool({"avx512_vnni", "avx_vnni"} & set(flags.split()))


def cpu_info(field: str) -> str | None:
    """A field of what Linux tells of the first processor; None where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), None)


def outputs(
    command: Sequence[str],
    folder: Path,
    images: NDArray[Any],
    *,
    seconds: float = _SECONDS,
    python: str | None = None,
    path: Sequence[str] | None = None,
) -> dict[str, NDArray[Any]] | str:
    """What an exported model gives on another processor.

    Args:
        command: what runs a program there, such as ``["qemu-x86_64", "-cpu", "Haswell"]``.
        folder: of the exported model.
        images: as :meth:`mobilevision.deploy.artifact.Artifact.outputs` takes them.
        seconds: after which it is given up.
        python: that is run there; None is this one.
        path: where it finds modules; None is as here.

    Returns:
        The same outputs by name; or, in a line, why there are none.
    """
    with tempfile.TemporaryDirectory() as work:
        given, found = Path(work) / "images.npy", Path(work) / "outputs.npz"
        np.save(given, images)
        typed = [*command, python or sys.executable, "-c", _SCRIPT, str(folder.resolve()), str(given), str(found)]
        modules = os.pathsep.join(filter(None, sys.path if path is None else path))
        environment = {**os.environ, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                typed, env=environment, cwd=work, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {seconds:g} seconds"
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        if done.returncode != 0 or not found.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return f"exit code {done.returncode}: {last[:160]}"
        with np.load(found) as arrays:
            return dict(arrays)
