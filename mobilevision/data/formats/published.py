"""Published data sets whose lists name images one by one, with a class and perhaps a box each."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.scan import Listing
from mobilevision.data.records import Cropped, Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.images.framing import CropBox

CROPS = (None, "box")


class PublishedSet(DataFormat, ABC):
    """A data set in the layout in which it is published, or sorted into an image folder.

    Attributes:
        title: what messages call it.
        top: the folder that it unpacks to; ``data.root`` may be this folder or the one above it.
        torchvision: the class of torchvision.datasets that downloads it; empty where nothing does.
        download: whether to download it where it is missing.
    """

    title: ClassVar[str]
    top: ClassVar[str] = ""
    torchvision: ClassVar[str] = ""
    download: bool = False

    @abstractmethod
    def read_published(self, base: Path, channels: int) -> Splits:
        """The splits of the published layout in the folder ``base``."""

    def base(self, root: Path) -> Path:
        """The folder of the published layout."""
        return root / self.top if (root / self.top).is_dir() else root

    def is_published(self, root: Path) -> bool:
        """Whether the published layout lies there, as far as it has to be read."""
        return self.claims(root)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if root is None or not self.torchvision:
            root = self.place(root)
        if not self.is_published(root):
            folder = ImageFolder()
            if not self.torchvision or folder.claims(root):
                return self.completed(folder.read(root=root, kind=kind, channels=channels, seed=seed))
            if not self.download:
                raise UserError(f"data.root={root}: {self.title} is not there; put there {self.expected}")
            fetch(self.title, getattr(import_module("torchvision.datasets"), self.torchvision), root, self.expected)
        return self.completed(self.read_published(self.base(root), channels))

    def completed(self, splits: Splits) -> Splits:
        """The splits, with what the names of the classes say."""
        return splits


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
        archive: what to unpack again where an image is missing.
        problems: where rows that cannot be used are noted.
    """

    base: Path
    archive: str = "the images"
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
            self.problems.append(Problem(where, what, f"unpack {self.archive} again or remove the row"))

    def labels(self) -> set[str]:
        """The classes of the rows."""
        return {row.label for rows in self._rows.values() for row in rows}

    def splits(self, *, channels: int, crop: str | None = None, classes: Sequence[str] = ()) -> Splits:
        """What was gathered.

        Args:
            channels: of an image.
            crop: ``box`` cuts the boxes out, None takes the images whole.
            classes: the names in the set's own order; none: in alphabetical order.
        """
        if crop == "box":
            self._rows = {split: self._boxed(rows) for split, rows in self._rows.items()}
        names = tuple(classes or sorted(self.labels()))
        number = {name: index for index, name in enumerate(names)}
        splits = Splits(classes=names, problems=self.problems)
        for split, rows in self._rows.items():
            targets = np.array([number[row.label] for row in rows], dtype=np.int64)
            paths = [row.path for row in rows]
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.base)
            if crop == "box":
                records = Cropped(records, np.array([row.box for row in rows], dtype=np.float64).reshape(-1, 4))
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


def first_file(base: Path, *names: str) -> Path | None:
    """The first of some files that is there."""
    return next((base / name for name in names if (base / name).is_file()), None)


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


PATIENCE = 20.0
"""Seconds without an answer after which a download is given up."""


def fetch(
    name: str, dataset: Callable[..., Any], root: Path, expected: str, *, download: bool = True, **options: Any
) -> Any:
    """Make a torchvision data set, downloading it where it is missing.

    Args:
        name: what messages call it.
        dataset: the torchvision class.
        root: the folder to download to.
        expected: what should lie there instead.
        download: whether that is allowed; else what lies there has to be whole.
        options: more arguments of the class.

    Raises:
        UserError: the download failed; names the folder and what to put there.
    """
    import sys

    try:
        with _impatient(), redirect_stdout(sys.stderr):
            return dataset(root=str(root), download=download, **options)
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        failed = "cannot be downloaded" if download else "is not there as a whole"
        raise UserError(f"{name} {failed} ({why}): put into data.root={root} {expected}") from None


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
