"""One Pascal VOC xml: a picture and its objects, with the line of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from xml.parsers import expat

SIDES = ("xmin", "ymin", "xmax", "ymax")
INSIDE = ("annotation", "object")


@final
@dataclass
class VocObject:
    """One object: texts by tag (``name``, ``difficult``, ``xmin`` ...), and the line it begins in."""

    line: int
    texts: dict[str, str] = field(default_factory=dict)


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
    with open(file, "rb") as stream:
        content = stream.read()
    found, path, text = VocFile(), [], []  # type: tuple[VocFile, list[str], list[str]]
    parser = expat.ParserCreate()

    def start(tag: str, _: Mapping[str, str]) -> None:
        path.append(tag)
        text.clear()
        if tuple(path) == INSIDE:
            found.objects.append(VocObject(parser.CurrentLineNumber))

    def end(tag: str) -> None:
        match path:
            case ["annotation", "filename" | "path"] | ["annotation", "size", "width" | "height"]:
                found.texts[tag] = "".join(text).strip()
            case ["annotation", "object", _] | ["annotation", "object", "bndbox", _]:
                found.objects[-1].texts[tag] = "".join(text).strip()
        path.pop()
        text.clear()

    def root(tag: str, attributes: Mapping[str, str]) -> None:
        if tag != "annotation":
            raise BrokenXmlError(parser.CurrentLineNumber, f"begins with <{tag}>, not with <annotation>")
        parser.StartElementHandler = start
        start(tag, attributes)

    parser.StartElementHandler, parser.EndElementHandler = root, end
    parser.CharacterDataHandler = text.append
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        why = "empty file" if not content.strip() else expat.errors.messages[error.code]
        raise BrokenXmlError(error.lineno, f"broken xml: {why}") from None
    return found


def _whole(text: str) -> int:
    try:
        return max(0, int(float(text)))
    except (ValueError, OverflowError):
        return 0
