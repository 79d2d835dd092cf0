"""What every format does: write a graph into a file, and run such a file."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from mobilevision.deploy.formats.onnx_int8.gptq import WHOLE
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


@contextmanager
def captured() -> Iterator[list[str]]:
    """Keep what reaches standard error, from C++ too, from the console; the list has it after the block."""
    said: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))


@contextmanager
def silent() -> Iterator[None]:
    """Nothing reaches standard error, not from C++ either: users can do nothing about a runtime's notes."""
    with captured():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries log, warn and print about their own workings from the console."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), silent(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class Runner(ABC):
    """A file of the format, loaded.

    Attributes:
        takes: NumPy's name of the input's type, and its sides behind the batch; None where the runtime does not tell.
    """

    takes: tuple[str, tuple[int, ...]] | None = None

    @abstractmethod
    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name, batch first.

        Args:
            images: as the graph's input says; the caller has checked type and shape.
        """


class Format(ABC):
    """One way of writing a model down.

    Attributes:
        name: as ``--format`` takes it.
        file: name of the file in the folder.
        parts: names of files that belong to it, such as one of weights.
        beside: names of files that :meth:`write` makes for those who use the file elsewhere.
        writes_with: modules that writing needs beside torch.
        quantizes_with: modules that writing in int8 needs beside those.
        runs_with: modules that running needs.
        precisions: names of the precisions that it can write (:class:`mobilevision.deploy.precision.Precision`).
        weight_steps: in int8, of a channel's largest weight: 127, or half of that where some kernels saturate.
        decodes: whether a detector's boxes can be decoded in the file; if not, it ends where ``--raw`` ends.
        batch: images that a file takes at once, where that is fixed; a runner takes any number even so.
        extra: what brings all of the modules, as ``pip install "mobilevision[EXTRA]"``.
        note: what else is to be known of installing them.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()
    beside: ClassVar[tuple[str, ...]] = ()
    writes_with: ClassVar[tuple[str, ...]]
    quantizes_with: ClassVar[tuple[str, ...]] = ()
    runs_with: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    weight_steps: ClassVar[int] = WHOLE
    decodes: ClassVar[bool] = True
    batch: int | None = None
    extra: ClassVar[str]
    note: ClassVar[str] = ""

    @abstractmethod
    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """Write a graph; this alone needs torch.

        Args:
            graph: in evaluation mode.
            path: the file; its parts are written beside it.
            precision: one of ``precisions``.

        Raises:
            UserError: the graph holds what the format does not have.
        """

    def noise(self, path: Path, precision: Precision) -> dict[str, float]:
        """After :meth:`write` in int8: the error that each layer brings in, the largest first; empty: it is not known.

        Args:
            path: the file that was written, in the folder where that left what it needs for this.
            precision: as it was written.
        """
        del path, precision
        return {}

    def about(self, path: Path) -> dict[str, Any]:
        """What model.json says of a file that :meth:`write` made, beside what it says of every format's.

        Args:
            path: the file.
        """
        del path
        return {}

    def largest_weight(self, path: Path) -> int | None:
        """Of a file that :meth:`write` made in int8, the largest weight in steps; None where a file does not tell.

        Args:
            path: the file.
        """
        del path
        return None

    @abstractmethod
    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """Load a file that :meth:`write` made.

        Args:
            path: the file.
            outputs: the names that it has to give.
            threads: of the CPU; None leaves it to the runtime.

        Raises:
            UserError: the runtime cannot load it, or it gives other outputs.
        """

    def can_write(self, precision: str) -> None:
        """Say what is missing, before any work is done.

        Raises:
            UserError: the format has no such precision, or a module is to be installed first.
        """
        if precision not in self.precisions:
            only = "; leave --quantize out" if len(self.precisions) == 1 else ""
            raise UserError(f"--quantize {precision}: format {self.name} has {', '.join(self.precisions)}{only}")
        self.require(self.modules(precision))

    def modules(self, precision: str) -> tuple[str, ...]:
        """What writing in this precision and trying what was written need beside torch."""
        more = self.quantizes_with if precision == "int8" else ()
        return tuple(dict.fromkeys((*self.writes_with, *more, *self.runs_with)))

    def require(self, modules: tuple[str, ...]) -> None:
        """Say what is to be installed.

        Raises:
            UserError: one of the modules is not there.
        """
        if missing := [name for name in modules if find_spec(name) is None]:
            if self.note and modules == self.runs_with:  # using a file needs no environment of its own
                names = " ".join(name.replace("_", "-") for name in missing)
                raise UserError(f"format {self.name} needs {', '.join(missing)}: pip install {names}")
            needs = f"format {self.name} needs {', '.join(missing)}{self.note}:"
            raise UserError(f'{needs} pip install "mobilevision[{self.extra}]"')
