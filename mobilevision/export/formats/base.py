"""The face of a format: it writes a graph into a file, and runs such a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.export.graph import Graph

Arrays = Mapping[str, NDArray[Any]]


class Runner(ABC):
    """A file of the format, loaded."""

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
        writes_with: modules that writing needs beside torch.
        runs_with: modules that running needs.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    writes_with: ClassVar[tuple[str, ...]]
    runs_with: ClassVar[tuple[str, ...]]

    @abstractmethod
    def write(self, graph: Graph, path: Path) -> None:
        """Write a graph; this alone needs torch.

        Raises:
            UserError: the graph holds what the format does not have.
        """

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

    def require(self, modules: tuple[str, ...]) -> None:
        """Say what is to be installed, before any work is done.

        Raises:
            UserError: one of the modules is not there.
        """
        if missing := [name for name in modules if find_spec(name) is None]:
            raise UserError(f"format {self.name} needs {', '.join(missing)}: pip install {' '.join(missing)}")
