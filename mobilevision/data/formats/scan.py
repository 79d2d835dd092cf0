"""Looking through folders, quickly and in an order that no file system changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import final

from mobilevision.ops.picture_files import PICTURE_SUFFIXES, entries, pictures

__all__ = ["SPLIT_FOLDERS", "Listing", "entries", "folders", "has_pictures", "pictures", "split_folders"]

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def folders(folder: Path | bytes) -> list[bytes]:
    """Names of the folders in a folder."""
    return [entry.name for entry in entries(os.fsencode(folder)) if entry.is_dir()]


def has_pictures(folder: Path) -> bool:
    """Whether picture files lie directly in a folder."""
    return any(e.is_file() and e.name.lower().endswith(PICTURE_SUFFIXES) for e in entries(os.fsencode(folder)))


@final
class Listing:
    """Which files there are below a folder; asks the file system once a folder, not once a file."""

    def __init__(self, base: Path) -> None:
        self._base = os.fsencode(base)
        self._folders: dict[bytes, set[bytes]] = {}

    def __contains__(self, path: bytes) -> bool:
        folder, name = os.path.split(os.path.join(self._base, path))
        if folder not in self._folders:
            try:
                self._folders[folder] = set(os.listdir(folder))
            except OSError:
                self._folders[folder] = set()
        return name in self._folders[folder]


def split_folders(root: Path) -> dict[str, bytes]:
    """The folders of ``root`` that are named for a split (also by its usual other names) and hold class folders.

    A folder of pictures may well be called train: among car and boat it is a class.
    """
    inner = {
        os.fsdecode(name).lower(): name for name in folders(root) if folders(os.path.join(os.fsencode(root), name))
    }
    usual = {split: [inner[name] for name in names if name in inner] for split, names in SPLIT_FOLDERS.items()}
    return {split: found[0] for split, found in usual.items() if found}
