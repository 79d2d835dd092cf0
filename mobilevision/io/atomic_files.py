"""Text, JSON and CSV files of a run folder: written whole or not at all, read where they are there."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilevision.io.printable_text import cells, uncells
from mobilevision.io.regular_files import read_text

PART = ".part"
"""Ends the name of a file that is being written; what is left of it after a kill can go."""


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: into the same folder, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def unfinished(path: Path) -> list[Path]:
    """What :func:`write_text` had written of a file when its process was killed."""
    return list(path.parent.glob(f".{path.name}.*{PART}"))


def remove_unfinished(path: Path) -> None:
    """Remove what is left of a file whose writer was killed; for who alone writes it."""
    for part in unfinished(path):
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """:func:`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_metrics(path: Path, values: Mapping[str, float]) -> None:
    """:func:`write_json` of named numbers; one that is undefined (NaN) or infinite is null, as JSON knows neither."""
    write_json(path, {name: value if math.isfinite(value) else None for name, value in values.items()})


def read_metrics(path: Path) -> dict[str, float]:
    """What :func:`write_metrics` wrote, NaN where a number was none; empty where there is no such file."""
    return {name: math.nan if value is None else value for name, value in read_object(path).items()}


def write_csv(
    path: Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str] = (), escape: bool = True
) -> None:
    """:func:`write_text` of a table with a header.

    Args:
        path: the file.
        rows: by column; what a row lacks is left empty.
        columns: in their order; empty takes those of the rows, as they come.
        escape: keep a spreadsheet from computing texts (see :func:`~mobilevision.io.printable_text.cells`); False for
            rows that were read from such a table.
    """
    kept = [cells(row) if escape else row for row in rows]
    stream = io.StringIO()
    names = list(cells(dict.fromkeys(columns))) if escape else list(columns)
    names = names or list(dict.fromkeys(name for row in kept for name in row))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    write_text(path, stream.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table that :func:`write_csv` made; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(map(uncells, csv.DictReader(file)))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no file, or anything else in it."""
    try:
        value = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):  # the last: lists nested without end
        return {}
    return value if isinstance(value, dict) else {}


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a CSV: what is nested becomes JSON."""
    return {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in row.items()}
