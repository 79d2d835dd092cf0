"""train.log: what the console showed, without the parts that only a live terminal can show."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, final

from mobilevision.io.regular_files import append_to

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PARTS = re.compile(r"(\n|\r(?!\n)|\x1b\[[0-9;?]*[A-LN-Za-ln-z])")
"""Ends of lines, and what redraws one: carriage returns and cursor moves."""

# What libraries say that a user of this one can do nothing about.
_IDLE = (
    r".*You have overridden `transfer_batch_to_device`.*",  # on purpose
    r".*Total length of `list` across ranks is zero.*",  # no val: that was asked for
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*is smaller than the logging interval.*",
    r".*`weights_only`.*",
    r".*treespec, LeafSpec.*",
    r".*recommended to use `self.log\(.*sync_dist=True.*",  # ours are added up before they are logged
    r".*Trying to infer the `batch_size`.*",
    r".*lr_scheduler.step\(\).*before.*optimizer.step\(\).*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*compute.. method of metric .* was called before the .*update.*",
)


@contextmanager
def recording(path: Path) -> Iterator[None]:
    """Append standard output and error to a file while this lasts, in the run's first process only.

    Libraries' notes that lead to nothing are kept from both.

    Args:
        path: the run's ``train.log``; a resumed run goes on in it.
    """
    from pytorch_lightning.utilities import rank_zero_only

    with quiet():
        if getattr(rank_zero_only, "rank", 0) != 0:
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with append_to(path) as log:
            log.write(f"--- {datetime.now():%Y-%m-%d %H:%M:%S}\n")
            with redirect_stdout(_Tee(sys.stdout, log)), redirect_stderr(_Tee(sys.stderr, log)):
                yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the console what libraries say that leads to nothing, while this lasts."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _IDLE:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@final
class _Tee:
    """A stream that also writes to a log: whole lines, and nothing of one that is drawn anew."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log
        self._line = ""  # as far as it was written
        self._redrawn = False

    def write(self, text: str) -> int:
        for part in _PARTS.split(text):
            if part == "\n":
                if self._line.strip() or not self._redrawn:
                    self._log.write(_COLOUR.sub("", self._line) + "\n")
                self._line, self._redrawn = "", False
            elif _PARTS.fullmatch(part):
                self._line, self._redrawn = "", True
            else:
                self._line += part
        self._log.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
