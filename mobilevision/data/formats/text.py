"""Text files and CSV tables in any usual encoding and with any usual separator, Excel's included."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


_NOTHING = frozenset(("", "nan", "null", "n/a", "#n/a", "<na>"))


def is_missing(cell: str) -> bool:
    """Whether a cell is what programs write for no value; ``None`` is Python's, a class may well be called ``none``."""
    return cell.lower() in _NOTHING or cell == "None"


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


def filled(row: Sequence[str]) -> int:
    """The number of a row's cells, empty ones at its end not counted."""
    return next((at for at in range(len(row), 0, -1) if row[at - 1].strip()), 0)


_SIGNS = (
    "\u00a0\u2018\u2019\u201c\u201d\u2013\u2014\u00b0\u00b2\u00b3\u00ae\u2122"  # quotes, dashes, degree, squares, marks
)


def decoded_names(names: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """Each name as text; see :func:`as_text`.

    Args:
        names: each name with the ``file:line`` where it stands first.
        notes: added to where the encoding was guessed, or looks as if it were another.

    Raises:
        UserError: a name that is neither UTF-8 nor, read as Windows-1252, one of a Western language.
    """
    texts = {name: as_text(name) for name in names}
    for name, text in texts.items():
        if text != name and not _is_western(text):
            raise UserError(
                f"{names[name]}: the name is not UTF-8 (as Windows-1252 it would be {text!r}): save the table as UTF-8"
            )
    if guessed := [text for name, text in texts.items() if text != name]:
        notes.append(f"not UTF-8, names are read as Windows-1252: {', '.join(guessed[:4])}; if wrong, save it as UTF-8")
    notes += suspicious_names(name for name, text in texts.items() if text == name)
    return texts


def suspicious_names(names: Iterable[str]) -> list[str]:
    """A note for names of accented letters alone, as Chinese characters give them when taken for UTF-8."""
    odd = [name for name in names if name and all("\u00a0" < letter < "\u0250" for letter in name)]
    listed = ", ".join(odd[:4])
    return [f"classes called {listed}: if that is not their name, the table is not UTF-8: save it so"] if odd else []


def _is_western(text: str) -> bool:
    """Whether a name has plain letters, signs that names have, and never three accented letters in a row."""
    beyond = [letter for letter in text if not letter.isascii()]
    usual = all((letter.isalpha() and letter not in "ªºµƒ") or letter in _SIGNS for letter in beyond)
    plain = any(letter.isascii() and letter.isalpha() for letter in text)
    return usual and plain and not re.search(r"[^\x00-\x7f]{3}", text)


def as_text(cell: str) -> str:
    """A cell as text; what is not UTF-8 is read as Windows-1252, in which Excel writes a plain CSV."""
    return cell if is_text(cell) else os.fsencode(cell).decode("cp1252", "replace")
