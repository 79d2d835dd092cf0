"""Exceptions of a command as one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mobilevision.errors import UserError
from mobilevision.io.printable_text import visible
from mobilevision.plugins import plugin_of

VARIABLE = "MOBILEVISION_DEBUG"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
LINE_END = "\n"


@contextmanager
def errors_as_lines(arguments: list[str]) -> Iterator[None]:
    """Turn any exception into one line and exit code 1.

    Args:
        arguments: the command line; ``--debug`` is taken out of it and asks for the traceback, as does
            ``MOBILEVISION_DEBUG=1``.
    """
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ[VARIABLE] = "1"
    try:
        yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get(VARIABLE, "0") not in {"", "0"}:
            traceback.print_exc()
        print(error_line(error), file=sys.stderr)
        sys.exit(1)


def error_line(error: Exception) -> str:
    """What a user reads of an error."""
    if isinstance(error, UserError):
        return f"error: {visible(error, keep=LINE_END)}"
    if hasattr(error, "format_message"):  # a wrong option or argument, as typer tells of it
        told = error.format_message().replace("Value error, ", "")  # which pydantic puts before
        start = f"{told[:-1]}; " if told.endswith(")") else f"{told} ("
        return f"error: {visible(start, keep=LINE_END)}--help shows what there is)"
    if told := system_error(error):
        return f"error: {visible(told, keep=LINE_END)}"
    frames = traceback.extract_tb(error.__traceback__)
    text = visible(" ".join(str(error).split())) or "no message"
    place, start = frames[-1], ""
    for frame in reversed(frames):
        if plugin := plugin_of(frame.filename):
            place, start = frame, f"{plugin}: {frame.name}: "
            break
    where = f"{place.filename}:{place.lineno}; --debug shows the traceback"
    return f"error: {start}{type(error).__name__}: {text} ({where})"


def system_error(error: BaseException, *, instead: str = "") -> str | None:
    """What the operating system refused to write, and the fix; None for any other error.

    Args:
        error: also looked for among its causes.
        instead: what is named where the system names no file.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            name = os.fsdecode(cause.filename) if isinstance(cause.filename, str | bytes) else instead
            if cause.errno in _FULL:
                return f"{name + ': ' if name else ''}the disk is full: free some space, then run this again"
            if cause.errno in _REFUSED and name:
                return f"{name}: {os.strerror(cause.errno).lower()}: allow it, or choose another folder"
        cause = cause.__cause__ or cause.__context__
    return None
