"""Tables as programs write them: any usual separator and encoding, Excel's included."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from mobilevision.data.formats.text import encoding_of, is_text
from mobilevision.errors import UserError

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
