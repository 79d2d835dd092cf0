"""How a command ends: with what it did, or with one line that says why not."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mobilevision.errors import UserError

VARIABLE = "MOBILEVISION_DEBUG"


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
        print(line(error), file=sys.stderr)
        sys.exit(1)


def line(error: Exception) -> str:
    """What a user reads of an error."""
    if isinstance(error, UserError):
        return f"error: {error}"
    if hasattr(error, "format_message"):  # a wrong option or argument, as typer tells of it
        told = error.format_message().replace("Value error, ", "")  # which pydantic puts before
        return f"error: {told} (--help shows what there is)"
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split()) or "no message"
    return f"error: {type(error).__name__}: {text} ({place.filename}:{place.lineno}; --debug shows the traceback)"
