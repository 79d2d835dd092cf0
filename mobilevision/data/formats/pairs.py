"""Pairs of pictures without names: nothing can be trained on them, but a model can be judged by them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.pair_lists import read_pairs
from mobilevision.data.identities import UNKNOWN, IdentityTargets
from mobilevision.data.records import Splits
from mobilevision.errors import UserError


@final
class PairTable(DataFormat):
    """Reads rows of path, path and 1 (the same) or 0 (not), perhaps with a fold; or LFW's lists of pairs.

    Args:
        images: folder that paths start from; None takes the list's folder.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)
    expected: ClassVar[str] = "a list of pairs: a table with rows path,path,0 or 1, or LFW's pairs.txt"

    def __init__(self, *, images: str | None = None) -> None:
        self.images = images

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`; the pictures of the list are the test."""
        root = self.place(root)
        if not root.is_file():
            raise UserError(f"data.root={root}: is a folder; it should be {self.expected}")
        base = Path(self.images).expanduser() if self.images else root.parent
        splits = Splits()
        found = read_pairs(root, base, splits.problems)
        numbers = np.arange(len(found.paths))
        targets = IdentityTargets(np.full(len(numbers), UNKNOWN), numbers, found.pairs)
        splits.test = FileRecords(paths=found.paths, targets=targets, channels=channels, root=base)
        splits.notes.append(f"pairs: {len(found.pairs)} of {len(numbers)} pictures; who they show is not known")
        return splits
