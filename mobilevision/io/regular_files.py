"""Opening what lies in a folder of somebody else's: pipes, sockets and devices are never opened, they could hang."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Literal

from mobilevision.errors import UserError

WHY = "not a regular file"
MOST_BYTES = 64_000_000  # of a text that is read whole
_ASTRAY = "{path}: " + WHY + ", but a link or a pipe: remove it, what is written here belongs here"


def open_regular(path: str | bytes | Path | os.PathLike[str]) -> BufferedReader:
    """A file to be read as bytes, links followed.

    Raises:
        OSError: there is none, it cannot be read, or it is not a regular file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, WHY, os.fsdecode(path))
    # Looked at once more when it is open; without waiting, should it have become a pipe in between.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, WHY, os.fsdecode(path))
    return os.fdopen(number, "rb")


def read_text(path: str | Path, *, most_bytes: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError: as :func:`open_regular`, or it is larger than that: a file may claim any size without taking it.
        UnicodeDecodeError: it is another encoding; a ValueError.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", os.fspath(path))
        return file.read(most_bytes).decode("utf-8")


def append_to(path: str | Path, *, errors: str = "strict") -> TextIOWrapper:
    """A file of a run folder to add lines to, made where it is missing; never one that it links to.

    A folder from elsewhere may hold a link by that name, and what is added would land in the file at its end.

    Raises:
        UserError: it is a link, or no regular file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    try:
        number = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            raise
        raise UserError(_ASTRAY.format(path=path)) from None
    if not stat.S_ISREG(os.fstat(number).st_mode):  # a pipe that somebody reads, or a device
        os.close(number)
        raise UserError(_ASTRAY.format(path=path))
    return TextIOWrapper(os.fdopen(number, "ab"), encoding="utf-8", errors=errors, newline="")


def check_own_part(path: str | Path, kind: Literal["folder", "regular file"] | None = None) -> None:
    """See that a part of a run folder lies there itself, before anything is written to it or deleted in it.

    Args:
        path: where it is, or will be made.
        kind: what it has to be; None for either.

    Raises:
        UserError: a link, which would lead what is written elsewhere, a pipe or device, or not of that kind.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    good = (stat.S_ISDIR(mode) and kind != "regular file") or (stat.S_ISREG(mode) and kind != "folder")
    if not good:
        found = "a link" if stat.S_ISLNK(mode) else f"not a {kind or WHY.removeprefix('not a ')}"
        raise UserError(f"{path}: {found}: remove it or move it away, what is written here belongs here")
