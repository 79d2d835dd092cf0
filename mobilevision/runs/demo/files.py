"""The page as files: its own, the model, the runtime, examples, and the list that makes it work without a network."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from mobilevision.deploy.manifest import Manifest
from mobilevision.runs.demo.examples import write_examples
from mobilevision.runs.demo.runtime import FILES, Runtime

SIGN = "mobilevision-demo.json"
"""A file of this name says that a folder is such a page."""

_PAGE = Path(__file__).parent / "page"
_INDEX, _WORKER = "index.html", "sw.js"
_OURS_ALONE = ("trained_by", "command")  # command lines, with paths of whoever trained: no business of visitors


def write_page(folder: Path, artifact: Path, runtime: Runtime, *, examples: str | Path | None = None) -> None:
    """Write all files of the page; every address in them is relative.

    Args:
        folder: for the page; it must not be there.
        artifact: folder of an exported ONNX model.
        runtime: onnxruntime-web.
        examples: folder of pictures to offer.

    Raises:
        UserError: a file of the artifact or the examples cannot be used.
    """
    manifest = Manifest.read(artifact)
    shutil.copytree(_PAGE, folder)
    _put_model(manifest, manifest.file.check(artifact), folder / "model")
    (folder / "runtime").mkdir()
    for name in FILES:
        shutil.copyfile(runtime.folder / name, folder / "runtime" / name)
    names = write_examples(folder / "examples", examples)
    (folder / "examples.json").write_text(json.dumps([f"examples/{name}" for name in names]), encoding="utf-8")
    if manifest.answer == "places":
        from mobilevision.ops import coast
        from mobilevision.runs.demo.world import world

        if not coast.installed():
            print(coast.ABSENT)
        (folder / "map.json").write_text(json.dumps(world(manifest), separators=(",", ":")), encoding="utf-8")
    _number(folder)


def written(folder: Path) -> list[Path]:
    """The files that an earlier page put into a folder, of those that are there."""
    try:
        names = json.loads((folder / SIGN).read_text(encoding="utf-8"))["files"]
        paths = [folder / name for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    inside = folder.resolve()
    return [path for path in paths if path.is_file() and path.resolve().is_relative_to(inside)]


def _put_model(manifest: Manifest, file: Path, target: Path) -> None:
    target.mkdir()
    about = {name: value for name, value in manifest.about.items() if name not in _OURS_ALONE}
    replace(manifest, about=about).write(target)
    shutil.copyfile(file, target / file.name)


def _number(folder: Path) -> None:
    """Tell the service worker which files there are, and their version: with any other file it is another."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    kept = ["./", *(name for name in names if name not in (_WORKER, _INDEX))]  # hosts may send index.html on to ./
    worker = folder / _WORKER
    (folder / SIGN).write_text(json.dumps({"files": names}, indent=0) + "\n", encoding="utf-8")
    lines = f'const VERSION = "{digest.hexdigest()[:16]}";\nconst FILES = {json.dumps(kept)};\n\n'
    worker.write_text(lines + worker.read_text(encoding="utf-8"), encoding="utf-8")
