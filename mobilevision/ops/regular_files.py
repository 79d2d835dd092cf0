"""Opening what lies in a folder of somebody else's: pipes, sockets and devices are never opened, they could hang."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from mobilevision.errors import UserError

WHY = "not a regular file"


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


def read_text(path: str | Path) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError: as :func:`open_regular`.
        UnicodeDecodeError: it is another encoding; a ValueError.
    """
    with open_regular(path) as file:
        return file.read().decode("utf-8")


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
        raise UserError(f"{path}: {WHY}, but a link or a pipe: remove it, what is written here belongs here") from None
    return TextIOWrapper(os.fdopen(number, "ab"), encoding="utf-8", errors=errors, newline="")
