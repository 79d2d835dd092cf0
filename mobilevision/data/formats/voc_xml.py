"""Pascal VOC's xml: one file an image."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.raw import Collector, flag
from mobilevision.data.formats.annotations.splits import make_splits
from mobilevision.data.formats.annotations.units import checked
from mobilevision.data.formats.annotations.voc import (
    SIDES,
    BrokenXmlError,
    Key,
    Tree,
    VocFile,
    VocObject,
    by_folders,
    by_lists,
    key_of,
    lists_above,
    read_voc,
    without_xml,
)
from mobilevision.data.formats.scan import entries
from mobilevision.data.formats.text import decode
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.decode import printable
from mobilevision.io.regular_files import open_regular

LOOKED_AT = 5  # xmls of which one must be of VOC: others may lie about

Listed = dict[str, list[tuple[Key, str]]]
"""Split -> (key, where it is listed; empty where it is not)."""


@final
class VocXml(DataFormat):
    """Reads Pascal VOC's annotations in their usual layouts.

    ``Annotations/`` beside ``JPEGImages/`` (or ``images/``), images and xmls in one folder, either of these in
    ``train/``, ``valid/`` and ``test/``, or VOCdevkit with the lists in ``ImageSets/Main``, one year or several.
    The image of an xml is the one of the same name, else the one that its ``filename`` names.

    ``difficult`` objects are learnt from, and left out of the evaluation. Coordinates are taken as they stand, as
    torchvision does and as annotation tools write them.

    Args:
        images: the folder of the images; None finds them below ``data.root``.
        one_based: take the numbers as VOC defined them, pixels counted from 1 and the last one included: the left and
            upper sides move by one pixel, as in Detectron2.
        units: ``pixels``, as VOC has it, ``fractions`` or ``percent`` of the images; None recognises a set that is
            written otherwise as a whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "a folder with Annotations/*.xml and JPEGImages/ in Pascal VOC's format, with or without lists in"
        " ImageSets/Main, or with images and xmls side by side, perhaps in train/, valid/ and test/"
    )

    def __init__(self, *, images: str | None = None, one_based: bool = False, units: str | None = None) -> None:
        self.images, self.one_based, self.units = images, one_based, checked(units)

    def claims(self, root: Path) -> bool:
        """Whether an xml of VOC lies there, at most three folders down."""
        return root.is_dir() and any(map(_is_voc, islice(_xmls(os.fsencode(root), 3), LOOKED_AT)))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        tree, base = self._tree(root)
        lists, seen = by_lists(root, xmls=tree.xmls)
        twice = ("trainval",) if {"train", "val"} <= set(lists) else ("train", "val") if "trainval" in lists else ()
        lists = {name: keys for name, keys in lists.items() if name not in twice}
        splits = Splits()
        listed = {"train" if name == "trainval" else name: keys for name, keys in lists.items()}
        listed = {name: keys for name, keys in listed.items() if any(key in tree.xmls for key, _ in keys)}
        if listed:
            splits.notes.append(f"VOC xml, lists of {seen[0].parent.relative_to(root)}: {', '.join(listed)}")
        else:
            found, splits.whole = by_folders(tree)
            listed = {split: [(key, "") for key in keys] for split, keys in found.items()}
            splits.problems += without_xml(tree, base)
            splits.notes.append("VOC xml, " + ("no split" if splits.whole else "splits by folder"))
            if unused := [*seen, *lists_above(root)]:
                named = ", ".join(os.path.relpath(file, root) for file in unused[:6])
                splits.notes.append(f"lists seen and not used, as they name no xml of these by split: {named}")
        return read_listed(
            listed, tree, splits, root=root, base=base, channels=channels, one_based=self.one_based, units=self.units
        )

    def _tree(self, root: Path) -> tuple[Tree, Path]:
        if not root.is_dir():
            raise UserError(f"data.root={root}: is a file; it should be {self.expected}")
        base = Path(self.images).expanduser() if self.images else root
        base = root / base if self.images and not base.is_dir() else base
        if not base.is_dir():
            raise UserError(f"data.format.images={self.images}: no such folder")
        tree = Tree().look(os.fsencode(root), images=not self.images)
        if self.images:
            tree.look(os.fsencode(base), xmls=False)
        if not tree.xmls:
            raise UserError(f"data.root={root}: no xml in it; it should be {self.expected}")
        return tree, base


def read_listed(
    listed: Listed,
    tree: Tree,
    splits: Splits,
    *,
    root: Path,
    base: Path,
    channels: int,
    one_based: bool,
    units: str | None = None,
) -> Splits:
    """Read the xmls of every split.

    Args:
        listed: the samples.
        tree: the files, xmls below ``root`` and images below ``base``.
        splits: problems and notes so far; filled in and returned.
        root: of the data.
        base: of the images.
        channels: channels of an image.
        one_based: see :class:`VocXml`.
        units: likewise.
    """
    parts = {}
    for split, samples in listed.items():
        collector = Collector()
        for key, where in samples:
            _read_one(key, where, tree, collector, splits.problems, root=root, base=base, one_based=one_based)
        parts[split] = collector.done()
    return make_splits(parts, splits, root=root, channels=channels, units=units)


def _read_one(
    key: Key,
    where: str,
    tree: Tree,
    collector: Collector,
    problems: list[Problem],
    *,
    root: Path,
    base: Path,
    one_based: bool,
) -> None:
    xml = tree.xmls.get(key)
    if xml is None:
        problems.append(Problem(where, f"no xml {key[1]}.xml", "add the annotation or remove the line"))
        return
    called = printable(xml)
    try:
        file = read_voc(os.path.join(os.fsencode(root), xml))
    except BrokenXmlError as error:
        problems.append(Problem(f"{called}:{error.line}", error.why, "mend it or export it again"))
        return
    except OSError as error:
        problems.append(Problem(called, f"cannot be read ({error.strerror})", "mend or remove it"))
        return
    path = _image_of(key, file, tree)
    if path is None:
        named = file.texts.get("filename") or f"{key[1]}.jpg"
        problems.append(Problem(called, f"no image {named}", "add the image or remove the xml"))
        return
    full = os.path.normpath(os.path.join(os.fsencode(base), path))
    image = collector.image(full, (called, 0), file.size)
    for each in file.objects:
        _add(each, image, called, collector, problems, shift=float(one_based), shown=printable(full))


def _image_of(key: Key, file: VocFile, tree: Tree) -> bytes | None:
    named = os.fsencode(os.path.basename(file.texts.get("filename", "").replace("\\", "/")))
    paths = tree.images.get(key) or tree.images.get((key[0], key_of(named)[1])) or ()
    same = [path for path in paths if os.path.basename(path) == named]
    near: list[bytes] = [*same, *paths]
    if near:
        return near[0]
    texts = (file.texts.get("path"), file.texts.get("filename"), "/".join((*key[0], key[1])))
    found = (tree.index.find(os.fsencode(text)) for text in texts if text)
    return next((hits[0] for hits in found if len(hits) == 1), None)


def _add(
    each: VocObject,
    image: int,
    called: str,
    collector: Collector,
    problems: list[Problem],
    *,
    shift: float,
    shown: str,
) -> None:
    where, texts = f"{called}:{each.line}", each.texts
    if not texts.get("name"):
        problems.append(Problem(where, "the object has no name", "name its class or remove it", shown))
        return
    difficult = flag(texts.get("difficult"))
    if difficult is None:
        problems.append(Problem(where, f"difficult is {texts['difficult']!r}, neither 0 nor 1", "mend it", shown))
        return
    for box in each.boxes or [texts]:
        if missing := [side for side in SIDES if not box.get(side)]:
            what = f"the object {texts['name']!r} has no {', '.join(missing)}"
            problems.append(Problem(where, what, "give it a bndbox with xmin, ymin, xmax, ymax or remove it", shown))
            continue
        try:
            left, top, right, bottom = (float(box[side]) for side in SIDES)
        except ValueError:
            what = "bndbox is " + ", ".join(box[side] for side in SIDES) + ", not four numbers"
            problems.append(Problem(where, what, "mend or remove it", shown))
            continue
        corners = (left - shift, top - shift, right, bottom)
        collector.box(image, corners, collector.label(texts["name"]), (called, each.line), difficult=difficult)


def _xmls(folder: bytes, depth: int) -> Iterator[bytes]:
    below = []
    for entry in entries(folder):
        if entry.name.lower().endswith(b".xml") and entry.is_file():
            yield entry.path
        below += [entry.path] if entry.is_dir() else []
    for path in below if depth else ():
        yield from _xmls(path, depth - 1)


def foreign_xml(root: Path) -> str | None:
    """What xml that is not VOC's lies below a folder, and what to export instead; None where none is known."""
    for xml in islice(_xmls(os.fsencode(root), 3), LOOKED_AT) if root.is_dir() else ():
        with open_regular(xml) as stream:
            head = decode(stream.read(1024))
        if re.search(r"<annotations[\s>]", head):
            return (
                f"{printable(os.path.basename(xml))} is CVAT's own xml, which is not read: export as COCO or Pascal VOC"
            )
    return None


def _is_voc(xml: bytes) -> bool:
    try:
        with open_regular(xml) as stream:
            return bool(re.search(r"<annotation[\s>]", decode(stream.read(1024))))
    except (OSError, UnicodeDecodeError):
        return False
