"""The interface of a data format: it reads a file or folder into splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.io.near_paths import did_you_mean_path


class DataFormat(ABC):
    """Reads a place into splits. One format a file; its own settings are keyword arguments of its constructor.

    Attributes:
        kinds: what can be learnt from this format: ``class``, ``attributes``, ``identity``, ``coordinate``, ``boxes``,
            or a plugin's own word. Written as plain strings, since the check of a configuration reads them off the
            source.
        expected: what should lie at ``data.root``, completing "it should be ..."; empty where no root is needed.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    expected: ClassVar[str] = ""

    @abstractmethod
    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """Read the place.

        Args:
            root: the folder or file of ``data.root``.
            kind: one of ``kinds``; what the task learns from.
            channels: channels of an image.
            seed: for whatever is decided at random.

        Returns:
            The splits. Rows that cannot be used are left out of them and listed as problems; whether that is an error
            is decided by ``data.on_error``.

        Raises:
            UserError: the place is not of this format.
        """

    def claims(self, root: Path) -> bool:
        """Whether the place looks like this format at a glance; ``data=auto`` asks."""
        return False

    def place(self, root: Path | None) -> Path:
        """``root``, or an error that says what should lie there.

        Raises:
            UserError: no root, or nothing there.
        """
        if root is None:
            raise UserError(f"data.root is not set; it should be {self.expected}")
        if not root.exists():
            wanted = did_you_mean_path(root) or f"; it should be {self.expected}"
            raise UserError(f"data.root={root}: no such file or folder{wanted}")
        return root
