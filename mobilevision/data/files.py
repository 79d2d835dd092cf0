"""Records whose images are files; a million paths are two arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, final

import numpy as np

from mobilevision.data.records import Records
from mobilevision.errors import UserError
from mobilevision.images.decode import MODES, EncodedImage, printable, read_file
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels


@final
class PackedBytes:
    """Byte strings, such as paths, as one array of bytes and one of offsets, which worker processes share.

    Args:
        values: the byte strings; a path may hold any bytes, so names that are not UTF-8 too.
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        values = list(values)
        lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
        self._offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._bytes = np.frombuffer(b"".join(values), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self._bytes[self._offsets[index] : self._offsets[index + 1]].tobytes()


@final
class FileRecords(Records):
    """Images in files.

    Args:
        paths: one a sample, absolute or relative to ``root``; bytes where names need not be UTF-8.
        targets: what is to be learnt, sample first: an array, or whatever else Records knows.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        root: the folder that relative paths start from.

    Raises:
        UserError: a number of channels that image files cannot give.
    """

    def __init__(
        self, *, paths: Iterable[bytes | str], targets: Any, channels: int, root: str | os.PathLike[str] = ""
    ) -> None:
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: image files give 1 (grey), 3 (RGB) or 4 (RGBA)")
        self.paths, self.targets, self.channels = PackedBytes(map(os.fsencode, paths)), targets, channels
        self._root = os.fsencode(root)
        self._white_level: float | None = None
        # The size of an image is asked for just before its pixels: keep the one that is open.
        self._open: tuple[int, EncodedImage] | None = None

    def path(self, index: int) -> bytes:
        """The file, as the operating system names it."""
        return os.path.join(self._root, self.paths[index])

    def name(self, index: int) -> str:
        """The file's path, printable."""
        return printable(self.path(index))

    def image_key(self, index: int) -> str:
        """The file's path, by whatever links it was reached."""
        path = self.path(index)
        folder, name = os.path.split(os.path.realpath(path) if os.path.islink(path) else path)
        return os.fsdecode(os.path.join(_real_folder(folder), name))

    def shape(self, index: int) -> tuple[int, int]:
        """See :class:`Records`."""
        return self._image(index).shape

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        image = self._image(index)
        self._open = None
        return image.pixels(self.channels, box=box, size=size, exact=exact, white_level=self._white_level)

    def largest(self, index: int) -> tuple[str, float] | None:
        """See :class:`Records`."""
        if self.paths[index].lower().endswith((b".jpg", b".jpeg")):
            return None
        image = self._image(index)
        self._open = None
        return image.largest()

    def scale(self, white_level: float) -> None:
        """See :class:`Records`."""
        self._white_level = white_level

    def content(self, index: int) -> bytes:
        """The file's bytes."""
        return read_file(self.path(index))

    def _image(self, index: int) -> EncodedImage:
        opened = self._open  # read once: another thread may open another image meanwhile
        if opened is None or opened[0] != index:
            self._open = opened = (index, EncodedImage(self.content(index), self.name(index)))
        return opened[1]


@lru_cache(maxsize=4096)
def _real_folder(folder: bytes) -> bytes:
    return os.path.realpath(folder)
