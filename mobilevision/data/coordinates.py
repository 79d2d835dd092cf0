"""Where each image was taken: targets of ``kind=coordinate``, and the cells of Earth that a model chooses among."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.data.records import Records, Splits
from mobilevision.errors import UserError
from mobilevision.geo.partition import FINEST, Cells, adaptive, fixed, oracle, scaled
from mobilevision.ranges import PositiveInt, Range, check

Degrees = NDArray[np.float64]
NOWHERE = -1
"""Cell of an image that lies in none."""


@final
class CoordinateTargets:
    """The places of a split.

    Args:
        places: float64 [n, 2], latitude and longitude in degrees; NaN where nobody knows.
        cells: int64 [n], the cell that each lies in; None before there are cells, -1 in none.
    """

    ndim = 2  # no class a sample: whoever asks arrays for their dimensions asks this too

    def __init__(self, places: Degrees, cells: NDArray[np.int64] | None = None) -> None:
        self.places = places
        self.cells = np.full(len(places), NOWHERE) if cells is None else cells

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        """The place of one sample, float64 [2], or the :class:`CoordinateTargets` of an array of them."""
        if isinstance(index, int | np.integer):
            return self.places[index]
        rows = np.asarray(index)
        return CoordinateTargets(self.places[rows], self.cells[rows])

    def tensor(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The target of a batch: ``coordinate`` float64 [B, 2] in degrees, and ``cell`` int64 [B], -1 in none."""
        rows = np.asarray(indices)
        return {"coordinate": torch.from_numpy(self.places[rows]), "cell": torch.from_numpy(self.cells[rows])}

    def within(self, cells: Cells) -> CoordinateTargets:
        """The same places, in these cells."""
        return CoordinateTargets(self.places, cells.assign(*self.places.T))

    def extended(self, more: int) -> CoordinateTargets:
        """With so many places behind them that nobody knows."""
        unknown = np.full((more, 2), np.nan)
        return CoordinateTargets(
            np.concatenate([self.places, unknown]), np.concatenate([self.cells, np.full(more, NOWHERE)])
        )


Level = Annotated[int, Range(min=0, max=30)]
"""Of S2's cells."""


@final
@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """How Earth is cut into the cells that a model chooses among.

    Attributes:
        file: a file of ``mobilevision cells``, instead of cells made of the training photos.
        level: all cells of this level of S2, 0 to 30, instead of cells by the density of photos.
        most: a cell with more photos is cut into four; None chooses by the number of photos, see
            :func:`mobilevision.geo.partition.scaled`.
        least: a cell with fewer photos is dropped; None likewise.
        coarsest: level of the largest cells.
        finest: level of the smallest ones; 16 is some 150 m across.
    """

    file: str | None = None
    level: Level | None = None
    most: PositiveInt | None = None
    least: PositiveInt | None = None
    coarsest: Level = 0
    finest: Level = FINEST

    def __post_init__(self) -> None:
        check(type(self), vars(self), "data.cells")

    def cut(self, places: Degrees) -> Cells:
        """The cells of training photos, float64 [n, 2].

        Raises:
            UserError: options that do not go together, or a file that holds no cells.
        """
        if self.file is not None:
            return read_cells(self.file)
        usual_most, usual_least = scaled(len(places))
        most = usual_most if self.most is None else self.most
        least = min(usual_least, most) if self.least is None else self.least
        try:
            if self.level is not None:
                return fixed(*places.T, level=self.level, least=least)
            return adaptive(*places.T, most=most, least=least, coarsest=self.coarsest, finest=self.finest)
        except ValueError as error:
            raise UserError(f"data.cells: {error}") from None


def read_cells(file: str | Path) -> Cells:
    """The cells of a file that ``mobilevision cells`` made.

    Raises:
        UserError: no such file, or none of cells.
    """
    path = Path(file).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"data.cells.file={file}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"data.cells.file={file}: no JSON; `mobilevision cells` makes such files") from None
    return Cells.from_dict(content, source=str(file))


def assign_cells(splits: Splits, options: CellOptions) -> Cells | None:
    """Cut Earth into cells by the training photos, and find the cell of each sample.

    Training photos in no cell are left out; those of val and test stay, as photos that are always missed.

    Args:
        splits: complete and checked; changed in place.
        options: how to cut.

    Returns:
        The cells, by whose tokens ``splits.classes`` are named; None where nothing can be cut: without train.

    Raises:
        UserError: fewer than two cells.
    """
    if splits.train is None and options.file is None:
        return None
    cells = options.cut(splits.train.targets.places if splits.train is not None else np.zeros((0, 2)))
    if len(cells) < 2:
        raise UserError(
            f"data.cells: {len(cells)} cell(s) with the photos of train, and there is nothing to choose among:"
            " give more photos, or smaller data.cells.most and data.cells.least"
        )
    splits.classes = tuple(cells.to_dict()["tokens"])
    for name, records in list(splits.items()):
        setattr(splits, name, located(records, cells))
    _leave_out(splits, cells)
    _describe(splits, cells)
    return cells


def located(records: Records, cells: Cells) -> Records:
    """The records, with the cell that each lies in."""
    found = records.subset(np.arange(len(records)))
    found.targets = records.targets.within(cells)
    return found


def _leave_out(splits: Splits, cells: Cells) -> None:
    """Take training photos in no cell out."""
    if splits.train is None:
        return
    known = splits.train.targets.cells != NOWHERE
    if not known.all():
        few = f"{np.count_nonzero(~known):,} of {len(known):,} training photos"
        splits.notes.append(f"{few} lie in cells with too few photos, which are dropped: left out of train")
        splits.train = splits.train.subset(np.flatnonzero(known))


def _describe(splits: Splits, cells: Cells) -> None:
    splits.notes.append(f"cells: {len(cells):,} of {cells.counts.min():,} to {cells.counts.max():,} photos")
    for name, records in splits.items():
        if name == "train" or not len(records):
            continue
        reached = oracle(cells, *records.targets.places.T)
        radii, shares = " / ".join(map(str, reached)), " / ".join(f"{share:.2f}" for share in reached.values())
        outside = np.count_nonzero(records.targets.cells == NOWHERE)
        missed = f"; {outside:,} of {len(records):,} lie in no cell" if outside else ""
        splits.notes.append(f"{name}: with the right cell always found, within {radii} km are {shares}{missed}")
