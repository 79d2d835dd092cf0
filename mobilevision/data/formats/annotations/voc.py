"""Pascal VOC: one xml file read, and which xml belongs to which image and split in any layout."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import final
from xml.parsers import expat

from mobilevision.data.formats.annotations.image_lookup import ANNOTATIONS, IMAGES, ImageIndex, is_image, split_of
from mobilevision.data.formats.scan import entries
from mobilevision.data.formats.text import HEAD, encoding_by, read_text
from mobilevision.data.records import Problem
from mobilevision.errors import UserError
from mobilevision.images.decode import printable
from mobilevision.io.regular_files import open_regular

# One Pascal VOC xml: an image and its objects, with the line of each.

SIDES = ("xmin", "ymin", "xmax", "ymax")
INSIDE = ("annotation", "object")

DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "iso-8859-1": "cp1252"}
"""Encodings that are mostly declared where a wider one is meant."""


@final
@dataclass
class VocObject:
    """One object: texts by tag (``name``, ``difficult`` ...), the line it begins in, and its boxes.

    A box is the texts of its sides by tag; an object has one, or several where a tool wrote them so.
    """

    line: int
    texts: dict[str, str] = field(default_factory=dict)
    boxes: list[dict[str, str]] = field(default_factory=list)


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
    found, path, text = VocFile(), [], []  # type: tuple[VocFile, list[str], list[str]]
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
            elif images and is_image(entry.name):
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
        split = next((split for split in map(split_of, key[0]) if split), None)
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
            if not is_image(os.fsencode(name)) and (above, name) not in xmls:
                name = line.strip()[1:].partition('"')[0] if line.strip().startswith('"') else line.split()[0]
            stem = os.path.splitext(name)[0] if is_image(os.fsencode(name)) else name
            inner, stem = key_of(os.fsencode(stem + ".xml"))
            yield ((*above, *inner), stem), f"{called}:{number}"
