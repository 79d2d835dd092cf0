"""Reading the long lists of a large json a piece at a time, so that it never lies in memory as objects.

COCO's training annotations are 450 MB of text, nine tenths of them outlines. As Python objects they take several
gigabytes; here the outlines are cut out of the text first, and what is left is parsed some thousand rows at a time.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, BinaryIO, final

from mobilevision.data.formats.text import HEAD, encoding_by
from mobilevision.errors import UserError
from mobilevision.io.regular_files import open_regular

Rows = list[dict[str, Any]]

BLOCK = 1 << 22  # bytes read at once
WINDOW = 1 << 20  # letters parsed at once
ROWS = 4096  # rows parsed one by one where they cannot be parsed at once
# A polygon is a list of lists of numbers. The key is one only where its quotation mark is not escaped in a text.
OUTLINE = re.compile(rb'(?<!\\)"segmentation"\s*+:\s*+\[(?:\s*+\[[^][{}"]*+\]\s*+,?)*+\s*+\]')
KEY = b'"segmentation"'
BEGIN = re.compile(rb'"segmentation"\s*+:\s*+\[\s*+\[')
SHORT = b'"":0'
BETWEEN = re.compile(r"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")  # two rows, or what looks like them
SPACE = re.compile(r"[ \t\n\r]*")
scan_once: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def read_lists(file: Path, called: str, keys: Sequence[str], take: Callable[[str, Rows], None]) -> list[str]:
    """Hand on the rows of the lists of a json's object.

    Args:
        file: the json, in UTF-8, 16 or 32.
        called: what messages call it.
        keys: the lists; what else the object holds is passed over.
        take: called with a key and some of its rows, in their order; at least once for a list. A row's
            ``segmentation`` is lost where it is made of polygons.

    Returns:
        The keys of the object.

    Raises:
        UserError: it cannot be read, is no json (naming the line), or a list holds anything but objects.
    """
    try:
        with open_regular(file) as stream:
            return _Scanner(_slim(stream), called, keys, take).members()
    except (_BrokenError, ValueError):
        raise _what_is_broken(file, called) from None
    except OSError as error:
        raise UserError(f"{called}: cannot be read ({error.strerror or error})") from None


class _BrokenError(Exception):
    """The text is not json; where exactly is found by reading it anew as a whole."""


def _slim(stream: BinaryIO) -> Iterator[str]:
    """The text without its polygons, in pieces."""
    encoding = encoding_by(stream.read(HEAD))
    stream.seek(0)
    if encoding != "utf-8":
        yield _cut(stream.read().decode(encoding).encode()).decode()
        return
    decoder, rest = codecs.getincrementaldecoder("utf-8")(), b""
    while block := stream.read(BLOCK):
        text = _cut(rest + block)
        # An outline, or its key, may go on in the next block; a byte more tells whether its quotation mark is escaped.
        last = text.rfind(KEY, len(text) - BLOCK // 4)
        cut = max(0, last - 1 if last >= 0 else len(text) - len(KEY))
        rest = text[cut:]
        yield decoder.decode(text[:cut])
    yield decoder.decode(_cut(rest), True)


def _cut(text: bytes) -> bytes:
    """The text without the polygons that end in it.

    Most are one list in another and end with the first two brackets: looking for these is quicker than a pattern.
    """
    pieces, at, last = [], 0, 0
    while (at := text.find(KEY, at)) >= 0:
        begin = BEGIN.match(text, at)
        end = text.find(b"]]", at) if begin else -1
        inner = text[begin.end() : end] if begin and end >= 0 else b'"'
        if b'"' in inner or b"{" in inner or inner.count(b"[") != inner.count(b"]") or text[at - 1 : at] == b"\\":
            match = OUTLINE.match(text, at)
            if match is None:
                at += len(KEY)
                continue
            end = match.end() - 2
        pieces += [text[last:at], SHORT]
        at = last = end + 2
    return b"".join([*pieces, text[last:]])


@final
class _Scanner:
    """Goes through the text of an object whose pieces come one by one."""

    def __init__(
        self, pieces: Iterator[str], called: str, keys: Sequence[str], take: Callable[[str, Rows], None]
    ) -> None:
        self.pieces, self.called, self.keys, self.take = pieces, called, keys, take
        self.text, self.at = "", 0

    def members(self) -> list[str]:
        found: list[str] = []
        if self.next() != "{":
            self.value()
            raise UserError(
                f"{self.called}: is not COCO's json: an object with images, annotations and categories is expected"
            )
        self.at += 1
        while self.next() != "}":
            if self.text[self.at] != '"':
                raise _BrokenError
            found.append(self.value())
            if self.next() != ":":
                raise _BrokenError
            self.at += 1
            if found[-1] not in self.keys:
                self.value()
            elif self.next() == "[":
                self.at += 1
                self.rows(found[-1])
            else:
                self.value()
                raise self.no_list(found[-1])
            self.behind_comma("}")
        self.at += 1
        if self.next():
            raise _BrokenError
        return found

    def rows(self, key: str) -> None:
        while self.next() != "]":
            self.take(key, self.many(key) or self.one_by_one(key))
        self.take(key, [])
        self.at += 1

    def one_by_one(self, key: str) -> Rows:
        rows: Rows = []
        while len(rows) < ROWS and self.next() != "]":
            rows.append(self.row(self.value(), key))
            self.behind_comma("]")
        return rows

    def many(self, key: str) -> Rows:
        """The rows of a window at once; none where that is not possible, as near the end of the list."""
        while len(self.text) - self.at < WINDOW and self.more():
            pass
        if len(self.text) - self.at < WINDOW:
            return []
        end = self.at + WINDOW
        ends = list(BETWEEN.finditer(self.text, end - WINDOW // 8, end))
        if not ends:
            return []
        try:
            rows = json.loads(f"[{self.text[self.at : ends[-1].start() + 1]}]")
        except ValueError:
            return []
        self.at = ends[-1].end()
        return [self.row(each, key) for each in rows]

    def row(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.no_list(key)
        return value

    def no_list(self, key: str) -> UserError:
        return UserError(f"{self.called}: needs a list of objects {key!r} as in COCO's detection files")

    def value(self) -> Any:
        """The value here; the place is behind it then."""
        self.next()
        while True:
            try:
                value, end = (
                    scanstring(self.text, self.at + 1)
                    if self.text[self.at : self.at + 1] == '"'
                    else scan_once(self.text, self.at)
                )
            except (StopIteration, ValueError):
                if not self.more():
                    raise _BrokenError from None
                continue
            if end < len(self.text) or not self.more():  # a number at the end may go on
                self.at = end
                return value

    def behind_comma(self, end: str) -> None:
        """Behind the comma, or at the end."""
        if self.next() == ",":
            self.at += 1
            if self.next() == end:
                raise _BrokenError
        elif self.next() != end:
            raise _BrokenError

    def next(self) -> str:
        """The next letter that is no space, where the place is then; empty at the end of the text."""
        while True:
            match = SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def more(self) -> bool:
        """Add a piece and drop what was read; False at the end of the text."""
        for piece in self.pieces:
            if piece:
                self.text, self.at = self.text[self.at :] + piece, 0
                return True
        return False


def _what_is_broken(file: Path, called: str) -> UserError:
    """What a plain reading says."""
    try:
        json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        what = f"line {error.lineno}, column {error.colno}: {error.msg}"
        return UserError(f"{called}:{error.lineno}: broken json ({what}): mend it or export the file again")
    except UnicodeDecodeError as error:
        return UserError(f"{called}: is not UTF-8 (byte {error.start}): save it as UTF-8, or export it again")
    except (OSError, ValueError, RecursionError) as error:
        return UserError(f"{called}: cannot be read ({error})")
    return UserError(f"{called}: broken json: export the file again")
