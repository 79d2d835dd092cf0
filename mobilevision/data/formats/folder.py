"""Image folder: a folder for each class, with or without folders for train, val and test above or below them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.scan import (
    LeftOut,
    data_root,
    entries,
    folders,
    has_images,
    images,
    in_class_order,
    left_over,
    split_folders,
    split_of,
)
from mobilevision.data.identities import adopt
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.decode import printable

Found = dict[bytes, list[bytes]]
"""Class folder -> image paths relative to the root."""


class _Layout(NamedTuple):
    """Where the classes of each split lie.

    Attributes:
        classes: split -> class folder -> its images.
        tops: split -> the folder above its class folders; empty where the splits are below the classes, or none.
        note: what was taken for what.
    """

    classes: dict[str, Found]
    tops: dict[str, bytes]
    note: str


@final
class ImageFolder(DataFormat):
    """Reads ``root/[train|val|test/]CLASS/**/image`` or ``root/CLASS/train|val|test/image``.

    The split folders may have their usual other names (training_set, valid, eval, holdout ...); without any, the root
    itself is one split. A class folder may have folders below it. A root that holds nothing but one folder of splits or
    classes stands for that folder. Files that are no images are passed over and counted in the notes.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "identity")
    expected: ClassVar[str] = (
        "a folder with a folder of images for each class, or with train/, val/, test/ of that kind"
    )

    def claims(self, root: Path) -> bool:
        """Whether there are folders, in which or below which images lie."""
        if not root.is_dir():
            return False
        tops = [root / os.fsdecode(name) for name in split_folders(root).values()] or [root]
        found = (images(os.path.join(os.fsencode(top), name), name) for top in tops for name in folders(top))
        return any(next(paths, None) for paths in found)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        given = self.place(root)
        if not given.is_dir():
            raise UserError(f"data.root={given}: is a file; it should be {self.expected}")
        notes: list[str] = []
        base, left = data_root(given, notes), LeftOut()
        layout = _layout(base, left)
        names = [
            os.fsencode(name)
            for name in in_class_order(
                {os.fsdecode(name) for found in layout.classes.values() for name, paths in found.items() if paths}
            )
        ]
        if not names:
            raise UserError(f"data.root={given}: {_nothing(base, left)}; it should be {self.expected}")
        whole = list(layout.classes) == ["train"] and not layout.tops
        if whole and len(names) > 1 and all(split_of(os.fsdecode(name)) for name in names):
            raise UserError(
                f"data.root={given}: the images lie in {left_over(names)} without class folders, and nothing says"
                f" what they show; it should be {self.expected}, or have a CSV path,label"
            )
        splits = Splits(classes=tuple(map(printable, names)), whole=whole, notes=notes)
        for split, by_class in layout.classes.items():
            setattr(splits, split, _records(by_class, names, base, channels))
            top = layout.tops.get(split, b"")
            splits.problems += [_empty(os.path.join(top, name), base) for name, paths in by_class.items() if not paths]
        splits.notes.append(layout.note)
        splits.notes += _unused(base, layout.tops)
        splits.notes += left.lines()
        return adopt(splits) if kind == "identity" else splits


def _layout(base: Path, left: LeftOut) -> _Layout:
    tops = split_folders(base)
    if tops:
        entries(os.fsencode(base), left)
        named = ", ".join(
            f"{printable(name)}/" + ("" if split_of(os.path.basename(os.fsdecode(name))) == split else f" as {split}")
            for split, name in tops.items()
        )
        return _Layout({s: _by_class(base, name, left) for s, name in tops.items()}, tops, f"image folder with {named}")
    below = _splits_below(base)
    if below:
        classes = {
            split: {
                name: list(images(os.path.join(os.fsencode(base), name, part), os.path.join(name, part), left))
                for name, part in parts.items()
            }
            for split, parts in below.items()
        }
        return _Layout(classes, {}, f"image folder with {', '.join(f'CLASS/{split}/' for split in below)}")
    return _Layout({"train": _by_class(base, b"", left)}, {}, "image folder without train/, val/ or test/")


def _splits_below(base: Path) -> dict[str, dict[bytes, bytes]]:
    """Split -> class folder -> the folder of that split in it, where every class folder holds just such ones."""
    found: dict[str, dict[bytes, bytes]] = {}
    for name in folders(base):
        top = base / os.fsdecode(name)
        parts = {inner: split_of(os.fsdecode(inner)) for inner in folders(top)}
        if not parts or None in parts.values() or has_images(top):
            return {}
        for inner, split in parts.items():
            assert split is not None
            if name in found.setdefault(split, {}):
                return {}
            found[split][name] = inner
    return found if len(found) > 1 and "train" in found else {}


def _by_class(root: Path, top: bytes, left: LeftOut) -> Found:
    base = os.path.join(os.fsencode(root), top)
    entries(base, left)
    return {name: list(images(os.path.join(base, name), os.path.join(top, name), left)) for name in folders(base)}


def _records(by_class: Found, names: list[bytes], root: Path, channels: int) -> FileRecords:
    paths = [path for name in names for path in by_class.get(name, ())]
    counts = [len(by_class.get(name, ())) for name in names]
    targets = np.repeat(np.arange(len(names), dtype=np.int64), counts)
    return FileRecords(paths=paths, targets=targets, channels=channels, root=root)


def _empty(folder: bytes, base: Path) -> Problem:
    left = LeftOut()
    list(images(os.path.join(os.fsencode(base), folder), folder, left))
    why = "; ".join(left.fixes())
    fix = f"{why}, or delete the folder" if why else "fill it or delete it"
    return Problem(printable(folder) + "/", "class folder without images", fix)


def _nothing(base: Path, left: LeftOut) -> str:
    """Why no class was found."""
    if has_images(base):
        return "images lie directly in it"
    fixes = "; ".join(left.fixes())
    return f"no images in any class folder{f' ({fixes})' if fixes else ''}"


def _unused(base: Path, tops: dict[str, bytes]) -> list[str]:
    """What lies beside the split folders, and loose images, each with the reason why it is not used."""
    notes: list[str] = []
    taken = {name.split(b"/")[0] for name in tops.values()}
    others = [name for name in folders(base) if name not in taken] if tops else []
    by_split = {split: printable(name) for split, name in tops.items()}
    plain: list[bytes] = []
    for name in others:
        inside = base / os.fsdecode(name)
        split = split_of(os.fsdecode(name))
        if not folders(inside):
            plain.append(name)
        elif split in by_split:
            notes.append(
                f"not used: {printable(name)}/, since {by_split[split]}/ is {split} already; name it for another split"
                " or put its images there"
            )
        else:
            notes.append(
                f"not used: {printable(name)}/, its name is no split's (train, val, test, or as in docs/data.md)"
            )
    if plain:
        notes.append(f"not used, no class folders in them: {left_over(plain)}")
    loose = [os.path.join(top, b"") for top in (tops.values() or [b""]) if has_images(base / os.fsdecode(top))]
    if loose:
        where = ", ".join(printable(top) or "data.root" for top in loose)
        notes.append(f"not used: images that lie in no class folder, in {where}")
    return notes
