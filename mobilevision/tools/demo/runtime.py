"""The files of onnxruntime-web, which run a model in the browser: from a folder, or by npm into the user's cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple, final

from mobilevision.errors import UserError
from mobilevision.io.user_cache import user_cache

VARIABLE = "MOBILEVISION_ORT_WEB"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""The build for the CPU, as modules."""
GPU_FILES = ("ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm")
"""The build that has WebGPU, too; a page works without it."""

PACKAGE = "onnxruntime-web"
SERIES = "1.30"
_BY_HAND = f"`--runtime FOLDER` or {VARIABLE} names a folder that holds {', '.join(FILES)}"


@final
class Runtime(NamedTuple):
    """A folder that holds all of ``FILES``, perhaps all of ``GPU_FILES``, and the version that they are of."""

    folder: Path
    version: str

    @property
    def files(self) -> tuple[str, ...]:
        """Names of those that are there."""
        return FILES + GPU_FILES if _complete(self.folder, GPU_FILES) else FILES


def find_runtime(folder: str | Path | None = None) -> Runtime:
    """Where the files are.

    Args:
        folder: as a user names it: the files themselves, an unpacked npm package, or a folder with node_modules. None
            is what the environment variable names; else what npm brings, once.

    Raises:
        UserError: they are not there, or npm is missing or fails.
    """
    named = folder or os.environ.get(VARIABLE)
    if named:
        return _in_folder(Path(named).expanduser(), "--runtime" if folder else VARIABLE)
    kept = user_cache() / f"{PACKAGE}-{SERIES}-gpu"
    if not _complete(kept):
        _fetch(kept)
    return Runtime(kept, _version(kept))


def _in_folder(named: Path, option: str) -> Runtime:
    places = (named, named / "dist", named / PACKAGE / "dist", named / "node_modules" / PACKAGE / "dist")
    found = next((place for place in places if _complete(place)), None)
    if found is None:
        missing = [name for name in FILES if not (named / name).is_file()]
        raise UserError(f"{option}={named}: {', '.join(missing)} not in it; the npm package {PACKAGE} has them in dist")
    return Runtime(found, _version(found))


def _complete(folder: Path, names: tuple[str, ...] = FILES) -> bool:
    return all((folder / name).is_file() for name in names)


def _version(folder: Path) -> str:
    for place in (folder, folder.parent):
        try:
            about = json.loads((place / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(about, dict) and about.get("name") == PACKAGE:
            return str(about.get("version"))
    head = (folder / FILES[0]).read_text(encoding="utf-8", errors="replace")[:400]
    version = re.search(r"v(\d+\.\d+\.\d+)", head)
    return version[1] if version else "of an unknown version"


def _fetch(kept: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"npm, which brings {PACKAGE}, is not installed: install Node.js; or {_BY_HAND}")
    print(f"getting {PACKAGE} {SERIES} by npm, once", flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{kept.name}.") as work:
        command = [npm, "pack", f"{PACKAGE}@~{SERIES}.0", "--pack-destination", work, "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            raise UserError(f"npm did not bring {PACKAGE} in ten minutes: try again; or {_BY_HAND}") from None
        archive = next(Path(work).glob("*.tgz"), None)
        if done.returncode or archive is None:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            raise UserError(f"npm cannot bring {PACKAGE} ({lines[-1][:160]}): is there a network? Else {_BY_HAND}")
        _unpack(archive, Path(work) / "files")
        shutil.rmtree(kept, ignore_errors=True)
        try:
            os.replace(Path(work) / "files", kept)
        except OSError:
            if not _complete(kept):  # else another process was quicker
                raise


def _unpack(archive: Path, target: Path) -> None:
    """Take out of the package what is needed, and nothing else."""
    target.mkdir()
    with tarfile.open(archive) as packed:
        for name in ("package.json", *(f"dist/{name}" for name in FILES + GPU_FILES)):
            try:
                file = packed.extractfile(f"package/{name}")
            except KeyError:
                file = None
            if file is None:
                raise UserError(f"{PACKAGE} {SERIES} has no {name} any more: {_BY_HAND}")
            with file, (target / Path(name).name).open("wb") as out:
                shutil.copyfileobj(file, out)
