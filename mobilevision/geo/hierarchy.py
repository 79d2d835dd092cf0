"""Coarser cells above those that a model chooses among."""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.geo import s2
from mobilevision.geo.cells import Cells


@final
class Groups(NamedTuple):
    """Cells that share a parent.

    Attributes:
        of: int64 [K], the group of each cell, from 0.
        number: how many groups there are.
    """

    of: NDArray[np.int64]
    number: int


def groups(cells: Cells, level: int) -> Groups:
    """The cells by their parents at a level of S2; one that is coarser itself is a group of its own.

    Args:
        cells: what a model chooses among.
        level: 0 to 30.

    Raises:
        ValueError: no such level.
    """
    if not 0 <= level <= s2.LEVELS:
        raise ValueError(f"level {level}: S2 has levels 0 to {s2.LEVELS}")
    parents = cells.ids.copy()
    finer = s2.levels(parents) > level
    parents[finer] = s2.parents(parents[finer], level)
    found, of = np.unique(parents, return_inverse=True)
    return Groups(of.astype(np.int64), len(found))
