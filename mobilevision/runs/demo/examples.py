"""Example pictures for a page: few, not large, and without the notes that cameras leave in them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image, ImageOps

from mobilevision.errors import UserError
from mobilevision.ops.picture_files import pictures, printable
from mobilevision.ops.regular_files import open_regular

MOST = 8
_SIDE = 1280  # pixels: larger ones are shrunk
_SHOWN = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}  # what every browser shows


def write_examples(target: Path, folder: str | Path | None) -> list[str]:
    """Copy the first pictures of a folder, under names that say nothing; what to copy them into is made if needed.

    A picture that is large, turned, of a rare format, or has notes (EXIF: time, place, camera) is written anew as JPEG.

    Returns:
        The names in ``target``.

    Raises:
        UserError: there is no such folder, no picture in it, or one that cannot be read.
    """
    if folder is None:
        return []
    source = Path(folder)
    if not source.is_dir():
        raise UserError(f"--examples {folder}: there is no such folder")
    found = [source / os.fsdecode(name) for name in pictures(os.fsencode(source), b"")][:MOST]
    if not found:
        raise UserError(f"--examples {folder}: no picture in it")
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
        raise UserError(f"--examples: {printable(path)} is no picture that can be read ({error})") from None
    return name
