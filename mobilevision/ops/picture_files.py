"""Finding picture files, quickly and in an order that no file system changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PICTURE_SUFFIXES = (
    b".jpg",
    b".jpeg",
    b".png",
    b".webp",
    b".bmp",
    b".gif",
    b".tif",
    b".tiff",
    b".ppm",
    b".pgm",
    b".avif",
)


def printable(path: bytes | str | Path) -> str:
    """A path as text that can be printed and written as UTF-8, also where its name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    """What lies in a folder, sorted by the bytes of its name, hidden things left out."""
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if not entry.name.startswith((b".", b"__MACOSX"))), key=_name)


def pictures(folder: bytes, prefix: bytes) -> Iterator[bytes]:
    """Paths, relative to what ``prefix`` is, of the picture files in a folder and in those below it."""
    for entry in entries(folder):
        path = os.path.join(prefix, entry.name)
        if entry.is_dir():
            yield from pictures(entry.path, path)
        elif entry.name.lower().endswith(PICTURE_SUFFIXES):
            yield path


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name
