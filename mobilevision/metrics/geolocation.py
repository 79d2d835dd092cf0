"""How far predictions lie from the truth: the paper's shares within five radii (arXiv 1704.04861, Table 11)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.geo import guessing
from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import RADII, haversine
from mobilevision.geo.partition import oracle
from mobilevision.metrics.metric import GatheredMetric

_BELT, _SECTOR = 30, 45  # degrees of a region of the table
_SHOWN = 400  # answers that are kept for the map
Numbers = NDArray[Any]


@final
class GeolocationMetrics(GatheredMetric):
    """Metrics of coordinates.

    ``within_1km`` to ``within_2500km``: share of images whose answer lies so near to the truth; ``mean_within``: the
    mean of the five, which tells models apart on the scale of a city as well as of the world; ``median_km``.
    ``prior_within_...``: what the best constant guess reaches, the cell with most training photos within the radius.
    ``cell_top1`` and ``cell_top5``: share whose cell is the most probable one, or among five; images in no cell are
    missed. Distances are float64, whatever the model computes in.

    Args:
        cells: what the model chooses among (:attr:`mobilevision.spec.DataSpec.cells`).
    """

    errors: frozenset[str] = frozenset({"median_km"})

    def __init__(self, *, cells: dict[str, Any] | None) -> None:
        coordinate = ((2,), torch.float64)
        cells_of_earth = {"cell": ((1,), torch.int64), "cells": ((5,), torch.int64)}
        super().__init__({"truth": coordinate, "answer": coordinate, **cells_of_earth})
        self.known = Cells.from_dict(cells)
        self._names = np.array(self.known.to_dict()["tokens"])

    def update(self, prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            prediction: ``coordinate`` float64 [B, 2], degrees, and ``cells`` int64 [B, k], the most probable first.
            target: ``coordinate`` float64 [B, 2] and ``cell`` int64 [B], -1 in none.
        """
        best = prediction["cells"][:, :5]
        five = torch.nn.functional.pad(best, (0, 5 - best.shape[1]), value=-2)  # of fewer cells than five
        rows = {"truth": target["coordinate"], "answer": prediction["coordinate"], "cell": target["cell"][:, None]}
        for name, values in {**rows, "cells": five}.items():
            self.append(name, values.cpu())  # not every accelerator has float64

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, float64; without an image shares are 0 and the distance is NaN."""
        truth, distance = self.joined("truth").numpy(), self.distances()
        shares = _within(distance)
        cell, five = self.joined("cell").numpy(), self.joined("cells").numpy()
        prior = guessing.prior(self.known, self._constants, *truth.T)
        values = {f"within_{radius}km": share for radius, share in shares.items()}
        values["mean_within"] = sum(shares.values()) / len(shares)
        values["median_km"] = float(np.median(distance)) if len(distance) else float("nan")
        values["cell_top1"] = float((five[:, :1] == cell).mean()) if len(cell) else 0.0
        values["cell_top5"] = float((five == cell).any(axis=1).mean()) if len(cell) else 0.0
        values |= {f"prior_within_{radius}km": share for radius, share in prior.items()}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def distances(self) -> NDArray[np.float64]:
        """Kilometres from each answer to the truth, float64 [n]."""
        return haversine(*self.joined("truth").numpy().T, *self.joined("answer").numpy().T)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``radii``, ``per_region``, ``per_cell`` and ``answers``.

        Returns:
            ``radii``: a row a radius: model, prior, chance (a cell at random), right_cell (the right cell always
            found). ``per_region``: belts of 30 and sectors of 45 degrees; ``per_cell``: cells of test images, those
            with most of them first. ``answers``: truth and answer of some images, for a map.
        """
        truth, answer, cells = (self.joined(name).numpy() for name in ("truth", "answer", "cell"))
        distance, cell = self.distances(), cells[:, 0]
        sources = {
            "model": _within(distance),
            "prior": guessing.prior(self.known, self._constants, *truth.T),
            "chance": guessing.chance(self.known, *truth.T),
            "right_cell": oracle(self.known, *truth.T),
        }
        radii = [{"radius_km": each, **{name: shares[each] for name, shares in sources.items()}} for each in RADII]
        some = np.unique(np.linspace(0, len(truth) - 1, min(_SHOWN, len(truth))).round().astype(np.int64))
        names = ("latitude", "longitude", "answer_latitude", "answer_longitude", "km")
        rows = np.column_stack([truth, answer, distance])[some].round(4).tolist()
        return {
            "radii": radii,
            "per_region": self._grouped("region", _regions(truth), distance),
            "per_cell": self._per_cell(cell, distance),
            "answers": [dict(zip(names, row, strict=True)) for row in rows],
        }

    @cached_property
    def _constants(self) -> dict[int, int]:
        return guessing.best_constants(self.known)  # seconds, for PlaNet's number of cells

    def _per_cell(self, cell: Numbers, distance: Numbers) -> list[dict[str, Any]]:
        found = self._grouped("cell", np.where(cell >= 0, self._names[cell], "none"), distance)
        number = {name: place for place, name in enumerate(self._names.tolist())}
        for row in found:
            place = number.get(row["cell"])
            row["latitude"] = None if place is None else round(float(self.known.latitude[place]), 4)
            row["longitude"] = None if place is None else round(float(self.known.longitude[place]), 4)
            row["train"] = 0 if place is None else int(self.known.counts[place])
        return found

    def _grouped(self, title: str, labels: Numbers, distance: Numbers) -> list[dict[str, Any]]:
        """A row a label, those of most images first."""
        names, of, counts = np.unique(labels, return_inverse=True, return_counts=True)
        rows = []
        for place in np.argsort(-counts, kind="stable"):
            here = distance[of == place]
            shares = {f"within_{radius}km": float((here <= radius).mean()) for radius in RADII[1:]}
            median = round(float(np.median(here)), 1)
            rows.append({title: str(names[place]), "pictures": int(counts[place]), "median_km": median, **shares})
        return rows


def _within(distance: Numbers) -> dict[int, float]:
    """The share of distances within each radius; 0 without any."""
    return {radius: float((distance <= radius).mean()) if len(distance) else 0.0 for radius in RADII}


def _regions(places: Numbers) -> Numbers:
    """Names such as ``30N-60N 0E-45E`` for places [n, 2]."""
    south = (np.clip(places[:, 0], -90, 89.999) // _BELT * _BELT).astype(int)
    west = (np.clip(places[:, 1], -180, 179.999) // _SECTOR * _SECTOR).astype(int)
    pairs = zip(south.tolist(), west.tolist(), strict=True)
    return np.array(
        [f"{_side(s, 'SN')}-{_side(s + _BELT, 'SN')} {_side(w, 'WE')}-{_side(w + _SECTOR, 'WE')}" for s, w in pairs]
    )


def _side(degrees: int, letters: str) -> str:
    return f"{abs(degrees)}{letters[degrees >= 0] if degrees else ''}"
