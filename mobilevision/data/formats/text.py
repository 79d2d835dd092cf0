"""Text files of strangers: UTF-8 or UTF-16, with or without a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from mobilevision.io.regular_files import open_regular

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's: asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HEAD = 4096  # bytes that tell the encoding


def encoding_of(file: Path | bytes) -> str:
    """The encoding of a text file by its first bytes; ``utf-8`` where nothing says otherwise.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(file) as stream:
        return encoding_by(stream.read(HEAD))


def encoding_by(head: bytes) -> str:
    """The encoding by the first bytes: a byte order mark, or the zeros that UTF-16 puts beside plain letters."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) * 4 >= len(head) > 1:  # half of the letters at least are plain ones
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def decode(content: bytes) -> str:
    """The text of a file; bytes that are not UTF-8 come through as surrogates, as in names of files."""
    return content.decode(encoding_by(content[:HEAD]), "surrogateescape")


def read_text(file: Path | bytes) -> str:
    """The text of a file, see :func:`decode`.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(file) as stream:
        return decode(stream.read())


def is_text(text: str) -> bool:
    """Whether all of it was text in the file's encoding; names of classes must be, names of files need not."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)
