"""Fetching a named set through torchvision, or one clear line on what to put where."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from mobilevision.errors import UserError

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
