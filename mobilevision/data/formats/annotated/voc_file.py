"""One Pascal VOC xml: a picture and its objects, with the line of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from xml.parsers import expat

from mobilevision.data.formats.text import HEAD, encoding_by
from mobilevision.ops.regular_files import open_regular

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
    """What an xml says: the picture's texts by tag (``filename``, ``width``, ``height``), and its objects."""

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
