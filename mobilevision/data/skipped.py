"""The list of what was left out, kept in the run folder."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import final


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
        if self.path is None or file in self._seen:
            return
        self._seen |= {file, *self.read()}
        # One short write in append mode: rows of several workers do not mix.
        with open(self.path, "a", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            writer = csv.writer(stream)
            if os.fstat(stream.fileno()).st_size == 0:
                writer.writerow(("file", "reason"))
            writer.writerow((file, reason))

    def read(self) -> dict[str, str]:
        """What is in the list, file to reason."""
        if self.path is None or not self.path.is_file():
            return {}
        with open(self.path, newline="", encoding="utf-8") as stream:
            return {row["file"]: row["reason"] for row in csv.DictReader(stream)}
