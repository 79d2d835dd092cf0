"""How a training ends before its end: with one line that says why, and the command that goes on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from mobilevision.errors import StoppedError, UserError
from mobilevision.runs.console import system_error
from mobilevision.runs.processes import is_first_process

if TYPE_CHECKING:
    from mobilevision.runs.folder import RunFolder

_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "remote process", "was aborted")


@final
class Ending:
    """Knows how far a run came, and what to say where it breaks off.

    Args:
        folder: the run's.

    Attributes:
        step: optimiser steps done.
        trained: whether only the test is left.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.step = 0
        self.trained = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what stops or breaks the run inside into one line.

        Raises:
            StoppedError: a signal.
            UserError: what the user can mend: a full disk, a folder that cannot be written, a process that was killed.
        """
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as error:
            if not is_first_process():  # the first one tells, and Lightning would kill it for another's failure
                sys.exit(0)
            raise StoppedError(self._stopped()) from error
        except UserError:
            raise
        except Exception as error:
            if line := self._broken(error):
                raise UserError(line) from error
            raise

    def _stopped(self) -> str:
        if not self.folder.path.is_dir():
            return f"stopped; {self.folder.path} is not there any more"
        if not self.folder.config.is_file():
            return "stopped before the run began; the same command begins it"
        if self.trained:
            return f"stopped when all was trained; {self.again} goes on with the test alone"
        if not self.folder.can_go_on:
            return f"stopped before there was a checkpoint; {self.again} starts anew"
        return f"stopped at step {self.step}; {self.again} goes on exactly where it was"

    def _broken(self, error: Exception) -> str | None:
        if told := system_error(error, instead=str(self.folder.path)):
            return f"{told}; {self.again}"
        told = " ".join(str(error).lower().split())
        if isinstance(error, RuntimeError) and any(word in told for word in _LOST):
            return f"another process of this training has ended, so this one cannot go on: {self.again}"
        return None

    @property
    def again(self) -> str:
        """The argument that goes on with this run."""
        return f"resume={shlex.quote(str(self.folder.path))}"
