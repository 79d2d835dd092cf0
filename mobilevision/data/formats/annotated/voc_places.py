"""Which xml belongs to which picture and split, in any layout of Pascal VOC."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from mobilevision.data.decode import printable
from mobilevision.data.formats.annotated.places import ANNOTATIONS, PICTURES, is_picture, split_of
from mobilevision.data.formats.scan import entries
from mobilevision.data.records import Problem

Key = tuple[tuple[str, ...], str]
"""The folders above a file, less those that are named for pictures or annotations, and its name without ending."""

LISTS = Path("ImageSets", "Main")


@final
@dataclass
class Tree:
    """The pictures and the xmls below a root by what they share, relative to the root."""

    pictures: dict[Key, list[bytes]] = field(default_factory=dict)
    xmls: dict[Key, bytes] = field(default_factory=dict)

    def look(self, top: bytes, below: bytes = b"", *, pictures: bool = True, xmls: bool = True) -> Tree:
        """Add what lies below a folder."""
        for entry in entries(os.path.join(top, below)):
            path = os.path.join(below, entry.name)
            if entry.is_dir():
                self.look(top, path, pictures=pictures, xmls=xmls)
            elif xmls and entry.name.lower().endswith(b".xml"):
                self.xmls[key_of(path)] = path
            elif pictures and is_picture(entry.name):
                self.pictures.setdefault(key_of(path), []).append(path)
        return self


def key_of(path: bytes) -> Key:
    """What a picture and its xml have in common."""
    *above, name = os.fsdecode(path).split(os.sep)
    kept = tuple(each for each in above if each.lower() not in (*PICTURES, *ANNOTATIONS))
    return kept, os.path.splitext(name)[0]


def by_lists(root: Path, years: Sequence[str] = ()) -> dict[str, list[tuple[Key, str]]]:
    """The samples of the lists in ImageSets/Main, as (key, ``file:line``) by the list's name; empty without lists.

    Args:
        root: of the data, with or without VOCdevkit/ and VOC2007/ in it.
        years: the folders VOC2007 and so on to take; all by default.
    """
    found: dict[str, list[tuple[Key, str]]] = {}
    for top in _tops(root):
        if years and top.name not in years:
            continue
        above = top.relative_to(root).parts
        for name in ("train", "val", "trainval", "test"):
            file = top / LISTS / f"{name}.txt"
            if file.is_file():
                found.setdefault(name, []).extend(_listed(file, root, above))
    return found


def by_folders(tree: Tree) -> tuple[dict[str, list[Key]], bool]:
    """The xmls by the split that a folder above them is named for, and whether none is, so that all are train."""
    found: dict[str | None, list[Key]] = {}
    for key in tree.xmls:
        split = next((split for split in map(split_of, key[0]) if split), None)
        found.setdefault(split, []).append(key)
    loose = found.pop(None, [])
    return ({split: keys for split, keys in found.items() if split}, False) if found else ({"train": loose}, True)


def without_xml(tree: Tree, base: Path) -> Iterator[Problem]:
    """A problem for each picture in a folder of annotated ones, below ``base``, that has no xml itself."""
    annotated = {key[0] for key in tree.xmls}
    for key, paths in tree.pictures.items():
        if key[0] in annotated and key not in tree.xmls:
            fix = "annotate it or move it away; an xml without objects makes it a negative"
            shown = printable(os.path.join(os.fsencode(base), paths[0]))
            yield Problem(printable(paths[0]), f"no xml {key[1]}.xml belongs to this picture", fix, shown)


def _tops(root: Path) -> list[Path]:
    """The folders with lists: the root, or those of the years."""
    places = [root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))]
    return [top for top in places if (top / LISTS).is_dir()]


def _listed(file: Path, root: Path, above: tuple[str, ...]) -> Iterator[tuple[Key, str]]:
    called = file.relative_to(root)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            name = line.split()[0]
            stem = os.path.splitext(name)[0] if is_picture(os.fsencode(name)) else name
            yield (above, stem), f"{called}:{number}"
