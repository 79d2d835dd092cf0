"""The list of skipped files in the run folder."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import final

from mobilevision.io.atomic_files import read_csv
from mobilevision.io.printable_text import cell
from mobilevision.io.regular_files import append_to


@final
class SkipLog:
    """Appends (file, reason) rows to a CSV, each file once, from any number of processes.

    Args:
        path: the CSV; None keeps nothing but still counts as permission to skip.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen: set[str] = set()

    def add(self, file: str, reason: str) -> None:
        """Note a file that was left out."""
        if file not in self._seen:
            self.extend([(file, reason)])

    def extend(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note many at once: (file, reason)."""
        if self.path is None:
            return
        self._seen |= set(self.read())
        new = {file: reason for file, reason in reversed(list(rows)) if file not in self._seen}
        self._seen |= set(new)
        # Appended in one go: rows of several workers do not mix.
        with append_to(self.path, errors="backslashreplace") as stream:
            writer = csv.writer(stream)
            if new and os.fstat(stream.fileno()).st_size == 0:
                writer.writerow(("file", "reason"))
            writer.writerows([cell(file), cell(reason)] for file, reason in reversed(new.items()))

    def read(self) -> dict[str, str]:
        """What is in the list, file to reason."""
        return {row["file"]: row["reason"] for row in read_csv(self.path)} if self.path is not None else {}
