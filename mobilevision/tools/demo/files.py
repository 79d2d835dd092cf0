"""The page as files: its own, the model, the runtime, examples, and the list that makes it work without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps

from mobilevision.deploy.answers import Parts, find_answer
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.images.files import images, printable
from mobilevision.io.regular_files import open_regular
from mobilevision.tools.demo.runtime import GPU_FILES, Runtime

# Example images for a page: few, not large, and without the notes that cameras leave in them.

MOST = 8
_SIDE = 1280  # pixels: larger ones are shrunk
_SHOWN = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}  # what every browser shows


def write_examples(target: Path, folder: str | Path | None) -> list[str]:
    """Copy the first images of a folder, under names that say nothing; what to copy them into is made if needed.

    An image that is large, turned, of a rare format, or has notes (EXIF: time, place, camera) is written anew as JPEG.

    Returns:
        The names in ``target``.

    Raises:
        UserError: there is no such folder, no image in it, or one that cannot be read.
    """
    if folder is None:
        return []
    source = Path(folder)
    if not source.is_dir():
        raise UserError(f"--examples {folder}: there is no such folder")
    found = [source / os.fsdecode(name) for name in images(os.fsencode(source), b"")][:MOST]
    if not found:
        raise UserError(f"--examples {folder}: no image in it")
    target.mkdir()
    return [_copied(path, target, number) for number, path in enumerate(found, 1)]


def _copied(path: Path, target: Path, number: int) -> str:
    try:
        with open_regular(path) as file, Image.open(file) as image:
            plain = image.format in _SHOWN and not image.getexif() and max(image.size) <= _SIDE
            name = f"{number}{_SHOWN[image.format or ''] if plain else '.jpg'}"
            if plain:
                image.load()
                shutil.copyfile(path, target / name)
            else:
                upright = ImageOps.exif_transpose(image).convert("RGB")
                upright.thumbnail((_SIDE, _SIDE))
                upright.save(target / name, quality=92)
    except OSError as error:
        raise UserError(f"--examples: {printable(path)} is no image that can be read ({error})") from None
    return name


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
        examples: folder of images to offer.

    Raises:
        UserError: a file of the artifact or the examples cannot be used.
    """
    manifest = Manifest.read(artifact)
    shutil.copytree(_PAGE, folder)
    _put_model(manifest, manifest.file.check(artifact), folder / "model")
    (folder / "runtime").mkdir()
    for name in runtime.files:
        shutil.copyfile(runtime.folder / name, folder / "runtime" / name)
    (folder / "runtime/files.json").write_text(json.dumps(runtime.files), encoding="utf-8")
    names = write_examples(folder / "examples", examples)
    (folder / "examples.json").write_text(json.dumps([f"examples/{name}" for name in names]), encoding="utf-8")
    (folder / "plugins.json").write_text(json.dumps(_put_answers(manifest, folder)), encoding="utf-8")
    if manifest.answer == "places":
        from mobilevision.tools.demo.world import world
        from mobilevision.visualization import coast

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


def _put_answers(manifest: Manifest, folder: Path) -> dict[str, str]:
    """Copy the modules that show a plugin's answers beside those of the page; gives them by the answer's name."""
    answer = find_answer(manifest, "model")
    found = {}
    for each in answer.parts.values() if isinstance(answer, Parts) else (answer,):
        if each.page is not None:
            found[each.name] = f"answers/plugin_{each.name}.js"
            shutil.copyfile(each.page, folder / found[each.name])
    return found


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
    rare = {_WORKER, _INDEX, *(f"runtime/{name}" for name in GPU_FILES)}  # hosts may send index.html on to ./
    kept = ["./", *(name for name in names if name not in rare)]
    worker = folder / _WORKER
    (folder / SIGN).write_text(json.dumps({"files": names}, indent=0) + "\n", encoding="utf-8")
    lines = f'const VERSION = "{digest.hexdigest()[:16]}";\nconst FILES = {json.dumps(kept)};\n\n'
    worker.write_text(lines + worker.read_text(encoding="utf-8"), encoding="utf-8")
