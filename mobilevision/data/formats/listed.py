"""Images that lists name one by one, with a class and perhaps a box each, as splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.scan import Listing
from mobilevision.data.records import Cropped, Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.images.framing import CropBox

CROPS = (None, "box")


class Row(NamedTuple):
    """An image (relative to the base), its class, and its box (x, y, width, height) in pixels where one is known."""

    path: bytes
    label: str
    box: CropBox | None = None


@final
@dataclass
class Listed:
    """Gathers rows by split.

    Attributes:
        base: the folder that paths start from.
        problems: where rows that cannot be used are noted.
    """

    base: Path
    problems: list[Problem] = field(default_factory=list)
    _rows: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._there = Listing(self.base)

    def add(self, split: str, row: Row, where: str) -> None:
        """Take a row, or note that its image is missing; ``where`` is the list's ``file:line``."""
        rows = self._rows.setdefault(split, [])
        if row.path in self._there:
            rows.append(row)
        else:
            what = f"no file {os.fsdecode(row.path)} in {self.base.name}/"
            self.problems.append(Problem(where, what, "unpack the images again or remove the row"))

    def splits(self, *, channels: int, crop: str | None, classes: Sequence[str] | None = None) -> Splits:
        """What was gathered.

        Args:
            channels: of an image.
            crop: ``box`` cuts the boxes out, None takes the images whole.
            classes: the names in the set's own order; None: by the alphabet.
        """
        rows = {split: self._boxed(found) if crop == "box" else found for split, found in self._rows.items()}
        names = tuple(classes or sorted({row.label for found in rows.values() for row in found}))
        number = {name: place for place, name in enumerate(names)}
        splits = Splits(classes=names, problems=self.problems)
        for split, found in rows.items():
            targets = np.array([number[row.label] for row in found], dtype=np.int64)
            paths = [row.path for row in found]
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.base)
            if crop == "box":
                records = Cropped(records, np.array([row.box for row in found], dtype=np.float64).reshape(-1, 4))
            setattr(splits, split, records)
        return splits

    def _boxed(self, rows: list[Row]) -> list[Row]:
        for row in rows:
            if row.box is None:
                what = f"no box for {os.fsdecode(row.path)}"
                self.problems.append(Problem(str(self.base), what, "add it, or set data.format.crop=null"))
        return [row for row in rows if row.box is not None]


def check_crop(crop: Any) -> None:
    """Check ``data.format.crop``.

    Raises:
        UserError: neither null nor box.
    """
    if crop not in CROPS:
        raise UserError(f"data.format.crop={crop}: must be null (the whole image) or box")


def mat(path: Path, expected: str) -> dict[str, Any]:
    """What a MATLAB file holds, arrays of one element as that element.

    Raises:
        UserError: it cannot be read.
    """
    from scipy.io import loadmat

    try:
        content: dict[str, Any] = loadmat(str(path), squeeze_me=True)
    except Exception as error:  # scipy raises whatever the broken bytes lead to
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as a .mat file ({why}); data.root should be {expected}") from None
    return content


def column(content: dict[str, Any], name: str, path: Path) -> Any:
    """A variable of a MATLAB file, as an array.

    Raises:
        UserError: the file does not have it.
    """
    if name not in content:
        has = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        raise UserError(f"{path}: no variable {name} in it (it has {has}); unpack the set's own lists again")
    return np.atleast_1d(content[name])
