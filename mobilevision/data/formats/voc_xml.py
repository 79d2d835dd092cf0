"""Pascal VOC's xml: one file an image."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar, final
from xml.parsers import expat

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.image_lookup import (
    ANNOTATIONS,
    IMAGES,
    ImageIndex,
    named_folder,
    split_in_name,
)
from mobilevision.data.formats.annotations.raw import ROTATIONS, Collector, degrees_of, flag
from mobilevision.data.formats.annotations.splits import checked, make_splits
from mobilevision.data.formats.scan import entries
from mobilevision.data.formats.text import HEAD, decode, encoding_by, read_text
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix, printable
from mobilevision.io.regular_files import open_regular
from mobilevision.ops.boxes import around_turned

# One Pascal VOC xml: an image and its objects, with the line of each.

SIDES = ("xmin", "ymin", "xmax", "ymax")
Box = tuple[float, float, float, float]
INSIDE = ("annotation", "object")

DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "iso-8859-1": "cp1252"}
"""Encodings that are mostly declared where a wider one is meant."""


@final
@dataclass
class VocObject:
    """One object: texts by tag (``name``, ``difficult`` ...), the line it begins in, and its boxes.

    A box is the texts of its sides by tag; an object has one, or several where a tool wrote them so. ``attributes`` are
    CVAT's, by name.
    """

    line: int
    texts: dict[str, str] = field(default_factory=dict)
    boxes: list[dict[str, str]] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)


@final
@dataclass
class VocFile:
    """What an xml says: the image's texts by tag (``filename``, ``width``, ``height``), and its objects."""

    texts: dict[str, str] = field(default_factory=dict)
    objects: list[VocObject] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), 0 where nothing sensible is said."""
        return _whole(self.texts.get("height", "")), _whole(self.texts.get("width", ""))


class BrokenXmlError(Exception):
    """Not xml, or not an annotation of VOC.

    Args:
        line: where.
        why: what is wrong there.
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line, self.why = line, why


def read_voc(file: Path | bytes) -> VocFile:
    """Read a file; parts of objects (heads, hands), which have boxes of their own, are passed over.

    Raises:
        BrokenXmlError: naming the line.
        OSError: it cannot be read.
    """
    with open_regular(file) as stream:
        content = stream.read()
    found, path, text, names = VocFile(), [], [], []  # type: tuple[VocFile, list[str], list[str], list[str]]
    parser = expat.ParserCreate("utf-8")

    def start(tag: str, _: Mapping[str, str]) -> None:
        path.append(tag)
        text.clear()
        if tuple(path) == INSIDE:
            found.objects.append(VocObject(parser.CurrentLineNumber))
        elif path == ["annotation", "object", "bndbox"]:
            found.objects[-1].boxes.append({})

    def end(tag: str) -> None:
        match path:
            case ["annotation", "filename" | "path"] | ["annotation", "size", "width" | "height"]:
                found.texts[tag] = "".join(text).strip()
            case ["annotation", "object", _]:
                found.objects[-1].texts[tag] = "".join(text).strip()
            case ["annotation", "object", "bndbox", _]:
                found.objects[-1].boxes[-1][tag] = "".join(text).strip()
            case ["annotation", "object", "attributes", "attribute", "name"]:
                names[:] = ["".join(text).strip()]
            case ["annotation", "object", "attributes", "attribute", "value"] if names:
                found.objects[-1].attributes[names.pop()] = "".join(text).strip()
        path.pop()
        text.clear()

    def root(tag: str, attributes: Mapping[str, str]) -> None:
        if tag != "annotation":
            tool = " (CVAT's own xml: export as COCO or Pascal VOC)" if tag == "annotations" else ""
            raise BrokenXmlError(parser.CurrentLineNumber, f"begins with <{tag}>, not with <annotation>{tool}")
        parser.StartElementHandler = start
        start(tag, attributes)

    parser.StartElementHandler, parser.EndElementHandler = root, end
    parser.CharacterDataHandler = text.append
    try:
        parser.Parse(_utf8(content), True)
    except expat.ExpatError as error:
        why = "empty file" if not content.strip() else expat.errors.messages[error.code]
        raise BrokenXmlError(error.lineno, f"broken xml: {why}") from None
    return found


def _utf8(content: bytes) -> bytes:
    """The text in UTF-8, from whatever encoding the file declares.

    Raises:
        BrokenXmlError: the encoding is unknown, or the text is not in it.
    """
    encoding = encoding_by(content[:HEAD])
    declared = DECLARED.match(content) if encoding == "utf-8" else None
    if declared:
        encoding = WIDER.get(declared[1].decode().lower(), declared[1].decode())
    try:
        return content.decode(encoding).encode()
    except LookupError:
        raise BrokenXmlError(1, f"declares the encoding {encoding}, which nobody knows") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said = "which it declares" if declared else "which is meant where none is declared"
        raise BrokenXmlError(line, f"is not in the encoding {encoding}, {said}") from None


def _whole(text: str) -> int:
    try:
        return max(0, int(float(text)))
    except (ValueError, OverflowError):
        return 0


Key = tuple[tuple[str, ...], str]
"""The folders above a file, less those that are named for images or annotations, and its name without ending."""

LISTS = (Path("ImageSets", "Main"), Path("ImageSets"))
NAMES = {"train": "train", "val": "val", "valid": "val", "trainval": "trainval", "test": "test"}
A_CLASS = re.compile(r".+_(train|val|trainval|test)")  # lists of one class: its images, and those without it


@final
@dataclass
class Tree:
    """The images and the xmls below a root by what they share, relative to the root."""

    images: dict[Key, list[bytes]] = field(default_factory=dict)
    xmls: dict[Key, bytes] = field(default_factory=dict)

    @cached_property
    def index(self) -> ImageIndex:
        """The images by the ends of their paths."""
        return ImageIndex(path for paths in self.images.values() for path in paths)

    def look(self, top: bytes, below: bytes = b"", *, images: bool = True, xmls: bool = True) -> Tree:
        """Add what lies below a folder."""
        for entry in entries(os.path.join(top, below)):
            path = os.path.join(below, entry.name)
            if entry.is_dir():
                self.look(top, path, images=images, xmls=xmls)
            elif xmls and entry.name.lower().endswith(b".xml"):
                self.xmls[key_of(path)] = path
            elif images and has_image_suffix(entry.name):
                self.images.setdefault(key_of(path), []).append(path)
        return self


def key_of(path: bytes) -> Key:
    """What an image and its xml have in common."""
    *above, name = os.fsdecode(path).split(os.sep)
    kept = tuple(each for each in above if each.lower() not in (*IMAGES, *ANNOTATIONS))
    return kept, os.path.splitext(name)[0]


def by_lists(
    root: Path, years: Sequence[str] = (), xmls: Collection[Key] = ()
) -> tuple[dict[str, list[tuple[Key, str]]], list[Path]]:
    """The samples of the lists in ImageSets/Main.

    Args:
        root: of the data, with or without a folder of the set and ImageSets/ in it or beside it.
        years: the folders VOC2007 and so on to take; all by default.
        xmls: the xmls that there are: lists beside their folder name them too.

    Returns:
        The samples as (key, ``file:line``) by the list's name, and the lists' files; empty without lists.

    Raises:
        UserError: a list that cannot be read.
    """
    found: dict[str, list[tuple[Key, str]]] = {}
    files: list[Path] = []
    # A list may lie above the folder of the annotations: its names are those of the one xml called so.
    by_name: dict[str, list[Key]] = {}
    for key in xmls:
        by_name.setdefault(key[1], []).append(key)
    for folder in _folders_of_lists(root):
        top = root / folder
        while top.name == "Main" or top.name.lower() == "imagesets":
            top = top.parent
        if years and top.name not in years:
            continue
        for name, file in _files(root / folder):
            files.append(file)
            samples = found.setdefault(name, [])
            # Every list of a single class names all images.
            known = {key for key, _ in samples} if A_CLASS.fullmatch(file.stem.lower()) else set()
            for key, where in _listed(file, root, top.relative_to(root).parts, xmls):
                others = by_name.get(key[1], [])
                key = others[0] if key not in xmls and len(others) == 1 else key
                if key not in known:
                    samples.append((key, where))
    return found, files


def lists_above(root: Path) -> list[Path]:
    """Lists in a folder beside the root, which are not used."""
    return [file for each in LISTS for _, file in _files(root.absolute().parent / each)]


def by_folders(tree: Tree) -> tuple[dict[str, list[Key]], bool]:
    """The xmls by the split that a folder above them is named for, and whether none is, so that all are train."""
    found: dict[str | None, list[Key]] = {}
    for key in tree.xmls:
        split = next((split for split in map(split_in_name, key[0]) if split), None)
        found.setdefault(split, []).append(key)
    loose = found.pop(None, [])
    return ({split: keys for split, keys in found.items() if split}, False) if found else ({"train": loose}, True)


def without_xml(tree: Tree, base: Path) -> Iterator[Problem]:
    """A problem for each image in a folder of annotated ones, below ``base``, that has no xml itself."""
    annotated = {key[0] for key in tree.xmls}
    for key, paths in tree.images.items():
        if key[0] in annotated and key not in tree.xmls:
            fix = "annotate it or move it away; an xml without objects makes it a negative"
            shown = printable(os.path.join(os.fsencode(base), paths[0]))
            yield Problem(printable(paths[0]), f"no xml {key[1]}.xml belongs to this image", fix, shown)


def _folders_of_lists(root: Path) -> list[Path]:
    """The folders of lists at the root and at most two folders down, relative to it."""
    tops = [root, *(path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)) if path.is_dir())]
    named = [top / each for top in tops if not _is_list_folder(top) for each in LISTS]
    return [folder.relative_to(root) for folder in named if _files(folder)]


def _is_list_folder(folder: Path) -> bool:
    return folder.name.lower() == "imagesets" or folder.parent.name.lower() == "imagesets"


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The lists of a folder by what they are called; without any, those of single classes."""
    if not folder.is_dir():
        return []
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".txt" and path.is_file()]
    whole = [(NAMES[path.stem.lower()], path) for path in files if path.stem.lower() in NAMES]
    single = [(match[1], path) for path in files if (match := A_CLASS.fullmatch(path.stem.lower()))]
    return whole or single


def _listed(file: Path, root: Path, above: tuple[str, ...], xmls: Collection[Key]) -> Iterator[tuple[Key, str]]:
    called = file.relative_to(root)
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the list of a split cannot be read ({error}): mend it") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            # Names with blanks stand as they are, or in quotation marks; behind others a number may stand.
            name = line.strip().strip('"')
            if not has_image_suffix(name) and (above, name) not in xmls:
                name = line.strip()[1:].partition('"')[0] if line.strip().startswith('"') else line.split()[0]
            stem = os.path.splitext(name)[0] if has_image_suffix(name) else name
            inner, stem = key_of(os.fsencode(stem + ".xml"))
            yield ((*above, *inner), stem), f"{called}:{number}"


FILES_PROBED = 5  # xmls of which one must be of VOC: others may lie about

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
        return root.is_dir() and any(map(_is_voc, islice(_xmls(os.fsencode(root), 3), FILES_PROBED)))

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
        xmls = ListedXmls(tree, splits, root, base, self.one_based)
        return xmls.read(listed, channels=channels, units=self.units)

    def _tree(self, root: Path) -> tuple[Tree, Path]:
        if not root.is_dir():
            raise UserError(f"data.root={root}: is a file; it should be {self.expected}")
        base = named_folder(self.images, root) if self.images else root
        tree = Tree().look(os.fsencode(root), images=not self.images)
        if self.images:
            tree.look(os.fsencode(base), xmls=False)
        if not tree.xmls:
            raise UserError(f"data.root={root}: no xml in it; it should be {self.expected}")
        return tree, base


@final
@dataclass(frozen=True)
class ListedXmls:
    """The xmls of splits, on their way to becoming records.

    Attributes:
        tree: the files, xmls below ``root`` and images below ``base``.
        splits: problems and notes so far; filled in.
        root: of the data.
        base: of the images.
        one_based: see :class:`VocXml`.
    """

    tree: Tree
    splits: Splits
    root: Path
    base: Path
    one_based: bool

    def read(self, listed: Listed, *, channels: int, units: str | None = None) -> Splits:
        """The splits with the samples ``listed``; ``units`` as in :class:`VocXml`."""
        parts = {}
        for split, samples in listed.items():
            collector = Collector()
            for key, where in samples:
                self._read_one(key, where, collector)
            parts[split] = collector.done()
        return make_splits(parts, self.splits, root=self.root, channels=channels, units=units)

    def _read_one(self, key: Key, where: str, collector: Collector) -> None:
        xml = self.tree.xmls.get(key)
        if xml is None:
            self._note(where, f"no xml {key[1]}.xml", "add the annotation or remove the line")
            return
        called = printable(xml)
        try:
            file = read_voc(os.path.join(os.fsencode(self.root), xml))
        except BrokenXmlError as error:
            self._note(f"{called}:{error.line}", error.why, "mend it or export it again")
            return
        except OSError as error:
            self._note(called, f"cannot be read ({error.strerror})", "mend or remove it")
            return
        path = self._image_of(key, file)
        if path is None:
            named = file.texts.get("filename") or f"{key[1]}.jpg"
            self._note(called, f"no image {named}", "add the image or remove the xml")
            return
        full = os.path.normpath(os.path.join(os.fsencode(self.base), path))
        image = collector.image(full, (called, 0), file.size)
        for each in file.objects:
            self._add(each, image, called, collector)

    def _image_of(self, key: Key, file: VocFile) -> bytes | None:
        named = os.fsencode(os.path.basename(file.texts.get("filename", "").replace("\\", "/")))
        images = self.tree.images
        paths = images.get(key) or images.get((key[0], key_of(named)[1])) or ()
        same = [path for path in paths if os.path.basename(path) == named]
        near: list[bytes] = [*same, *paths]
        if near:
            return near[0]
        texts = (file.texts.get("path"), file.texts.get("filename"), "/".join((*key[0], key[1])))
        found = (self.tree.index.find(os.fsencode(text)) for text in texts if text)
        return next((hits[0] for hits in found if len(hits) == 1), None)

    def _add(self, each: VocObject, image: int, called: str, collector: Collector) -> None:
        where, texts, shown = f"{called}:{each.line}", each.texts, printable(collector.paths[image])
        if not texts.get("name"):
            self._note(where, "the object has no name", "name its class or remove it", shown)
            return
        difficult = flag(texts.get("difficult"))
        if difficult is None:
            self._note(where, f"difficult is {texts['difficult']!r}, neither 0 nor 1", "mend it", shown)
            return
        degrees = degrees_of(each.attributes.get("rotation", ""))
        for box in each.boxes or [texts]:
            turns = [tag for tag in ROTATIONS for held in (texts, box) if degrees_of(held.get(tag, ""))]
            if turns:
                what = f"the object {texts['name']!r} has {turns[0]}, so that its box is turned about nobody knows what"
                self._note(where, what, "write the box around it, or remove it", shown)
                continue
            if missing := [side for side in SIDES if not box.get(side)]:
                what = f"the object {texts['name']!r} has no {', '.join(missing)}"
                self._note(where, what, "give it a bndbox with xmin, ymin, xmax, ymax or remove it", shown)
                continue
            try:
                left, top, right, bottom = (float(box[side]) for side in SIDES)
            except ValueError:
                what = "bndbox is " + ", ".join(box[side] for side in SIDES) + ", not four numbers"
                self._note(where, what, "mend or remove it", shown)
                continue
            corners = (left - self.one_based, top - self.one_based, right, bottom)
            if degrees:
                corners = self._turned(corners, degrees, collector.size(image))
            collector.box(image, corners, collector.label(texts["name"]), (called, each.line), difficult=difficult)

    def _turned(self, box: Box, degrees: float, size: tuple[int, int]) -> Box:
        """The box around one that CVAT turns about its centre, clockwise, cut to the image where its size is known."""
        left, top, right, bottom = box
        note = "boxes turned by the attribute rotation, about the centre and in degrees as in CVAT: the box around each"
        if note not in self.splits.notes:
            self.splits.notes.append(note)
        found = around_turned(box, degrees, ((left + right) / 2, (top + bottom) / 2))
        height, width = size
        if not width:
            return found
        return max(found[0], 0), max(found[1], 0), min(found[2], width), min(found[3], height)

    def _note(self, where: str, what: str, fix: str, image: str | None = None) -> None:
        self.splits.problems.append(Problem(where, what, fix, image))


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
    for xml in islice(_xmls(os.fsencode(root), 3), FILES_PROBED) if root.is_dir() else ():
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
