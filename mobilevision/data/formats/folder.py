"""Image folder: a folder for each class, with or without folders for train, val and test above them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.decode import printable
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.scan import folders, has_pictures, pictures, split_folders
from mobilevision.data.identities import adopt
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

Found = dict[bytes, list[bytes]]
"""Class folder -> picture paths relative to the root."""


@final
class ImageFolder(DataFormat):
    """Reads ``root/[train|val|test/]CLASS/**/picture``.

    The split folders may have their usual other names (valid, validation, dev, training, testing); without any, the
    root itself is one split. A class folder may have folders below it. Files that are no pictures are passed over.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "identity")
    expected: ClassVar[str] = (
        "a folder with a folder of pictures for each class, or with train/, val/, test/ of that kind"
    )

    def claims(self, root: Path) -> bool:
        """Whether there are folders, in which or below which pictures lie."""
        if not root.is_dir():
            return False
        tops = [root / os.fsdecode(name) for name in split_folders(root).values()] or [root]
        found = (pictures(os.path.join(os.fsencode(top), name), name) for top in tops for name in folders(top))
        return any(next(paths, None) for paths in found)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        if not root.is_dir():
            raise UserError(f"data.root={root}: is a file; it should be {self.expected}")
        named = split_folders(root)
        found = {split: _by_class(root, name) for split, name in (named or {"train": b""}).items()}
        names = sorted({name for by_class in found.values() for name, paths in by_class.items() if paths})
        if not names:
            what = "pictures lie directly in it" if has_pictures(root) else "no pictures in any class folder"
            raise UserError(f"data.root={root}: {what}; it should be {self.expected}")
        splits = Splits(classes=tuple(map(printable, names)), whole=not named)
        for split, by_class in found.items():
            setattr(splits, split, _records(by_class, names, root, channels))
            top = named.get(split, b"")
            splits.problems += [_empty(os.path.join(top, name)) for name, paths in by_class.items() if not paths]
        parts = ", ".join(printable(name) + "/" for name in named.values())
        splits.notes.append(f"image folder with {parts}" if named else "image folder without train/, val/ or test/")
        unused = [printable(name) + "/" for name in (folders(root) if named else ()) if name not in named.values()]
        splits.notes += [f"not used, no class folders in them: {', '.join(unused[:5])}"] if unused else []
        return adopt(splits) if kind == "identity" else splits


def _by_class(root: Path, top: bytes) -> Found:
    base = os.path.join(os.fsencode(root), top)
    return {name: list(pictures(os.path.join(base, name), os.path.join(top, name))) for name in folders(base)}


def _records(by_class: Found, names: list[bytes], root: Path, channels: int) -> FileRecords:
    paths = [path for name in names for path in by_class.get(name, ())]
    counts = [len(by_class.get(name, ())) for name in names]
    targets = np.repeat(np.arange(len(names), dtype=np.int64), counts)
    return FileRecords(paths=paths, targets=targets, channels=channels, root=root)


def _empty(folder: bytes) -> Problem:
    return Problem(printable(folder) + "/", "class folder without pictures", "fill it or delete it")
