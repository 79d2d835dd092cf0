"""Text files and CSV tables in any usual encoding and with any usual separator, Excel's included."""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterator
from pathlib import Path

from mobilevision.errors import UserError
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


SEPARATORS = ",;\t|"
_WORKBOOKS = ((b"PK\x03\x04", "an Excel workbook (or another zip)"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"))


def cells(table: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not empty, the header included: (number of the line, cells).

    UTF-8 or UTF-16, with or without a byte order mark; comma, semicolon, tab or bar between the columns, or what a
    first line ``sep=;`` says, which Excel writes. Bytes that are no text come through as surrogates.

    Raises:
        UserError: an empty table, a workbook, or one that cannot be read.
    """
    try:
        with open(table, "rb") as binary:
            head = binary.read(8)
        for magic, what in _WORKBOOKS:
            if head.startswith(magic):
                raise UserError(f"{table}: this is {what}, not a CSV: save it as CSV (UTF-8) in Excel, and name that")
        with open(table, newline="", encoding=encoding_of(table), errors="surrogateescape") as stream:
            first = stream.readline()
            skipped = 0
            if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
                separator, skipped = first.strip()[4], 1
            else:
                separator = max(SEPARATORS, key=first.count)
                stream.seek(0)
            reader = csv.reader(stream, delimiter=separator)
            nothing = True
            for row in reader:
                if any(cell.strip() for cell in row):
                    nothing = False
                    yield reader.line_num + skipped, row
    except OSError as error:
        raise UserError(f"{table}: {error.strerror}") from None
    except (csv.Error, UnicodeError) as error:
        raise UserError(f"{table}: cannot be read as a table ({error}): save it as CSV, UTF-8") from None
    if nothing:
        raise UserError(f"{table}: the table is empty")


def as_text(cell: str) -> str:
    """A cell as text; what is not UTF-8 is read as Windows-1252, in which Excel writes a plain CSV."""
    return cell if is_text(cell) else os.fsencode(cell).decode("cp1252", "replace")
