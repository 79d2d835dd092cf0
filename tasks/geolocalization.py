"""Where an image was taken: PlaNet with a small body (arXiv 1602.05314; arXiv 1704.04861, section 4.4)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor

from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import directions, unit_vectors
from mobilevision.metrics import TaskMetric
from mobilevision.metrics.geolocation import GeolocationMetrics
from mobilevision.ranges import PositiveInt, check_ranges
from mobilevision.spec import OutputKind
from mobilevision.tasks.base import Batch, Stage, Task
from mobilevision.visualization.world_map import prediction_map, shares


@final
class Geolocalization(Task):
    """A softmax over cells of Earth, which become a coordinate; measured in kilometres.

    Args:
        answer: ``cell``, the photo centre of the most probable cell, or ``mean``, the mean on the sphere of the most
            probable ones' centres, weighted by their probabilities: nearer on average, but perhaps between two places.
        top: how many cells ``mean`` takes.
        places: how many of the most probable places are told.
        parts: as in :class:`Task`.
    """

    kind: ClassVar[str] = "coordinate"
    primary: ClassVar[str] = "mean_within"
    output_kind: ClassVar[OutputKind | None] = "softmax"
    answers: ClassVar[str] = "places"

    @check_ranges("task")
    def __init__(
        self, *, answer: Literal["cell", "mean"] = "cell", top: PositiveInt = 5, places: PositiveInt = 5, **parts: Any
    ) -> None:
        self.cells = Cells.from_dict(parts["data"].cells)
        super().__init__(**parts)
        self.answer, self.top, self.places = answer, top, places
        self.centres = unit_vectors(self.cells.latitude, self.cells.longitude)

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """Predictions of logits [B, K].

        Returns:
            ``probabilities`` float [B, K]; ``cells`` int64 [B, k], the most probable first; ``coordinate`` float64
            [B, 2], degrees, on the CPU: not every accelerator knows float64.
        """
        probabilities = outputs.float().softmax(dim=1)
        shares, cells = probabilities.topk(self._most(probabilities), dim=1)
        return {
            "probabilities": probabilities,
            "cells": cells,
            "coordinate": self._coordinate(shares.cpu().double(), cells.cpu()),
        }

    def deploy(self, outputs: Tensor) -> dict[str, Tensor]:
        """As :meth:`decode`, with ``coordinate`` in float32, to about a metre: graphs may lack float64."""
        probabilities = outputs.float().softmax(dim=1)
        shares, cells = probabilities.topk(self._most(probabilities), dim=1)
        number = self.top if self.answer == "mean" else 1
        centres = torch.from_numpy(self.centres).float().T.to(outputs.device)
        x, y, z = (centres[cells[:, :number]] * shares[:, :number, None]).sum(dim=1).unbind(dim=1)
        coordinate = torch.stack([torch.atan2(z, (x * x + y * y).sqrt()), torch.atan2(y, x)], dim=1)
        return {"probabilities": probabilities, "cells": cells, "coordinate": coordinate.rad2deg()}

    def facts(self) -> dict[str, Any]:
        """The cells of Earth, and how many places are told."""
        return {"cells": self.data_spec.cells, "places": self.places}

    def explained(self, outputs: Tensor) -> Tensor | None:
        """The logit of the most probable cell."""
        return outputs.amax(dim=1)

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return GeolocationMetrics(cells=self.data_spec.cells)

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``answers``: truth and answers on a map; ``shares``: found within each radius, against guessing."""
        tables = self.tables(stage)
        rows = tables.get("answers")
        if not rows:
            return {}
        names = ("latitude", "longitude", "answer_latitude", "answer_longitude")
        north, east, answer_north, answer_east = (np.array([row[name] for row in rows]) for name in names)
        return {
            "answers": prediction_map((north, east), (answer_north, answer_east)),
            "shares": shares(tables["radii"]),
        }

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """As Lightning does it, but coordinates stay on the CPU: they are float64, which not every device knows."""
        target = batch["target"]
        moved: Batch = super().transfer_batch_to_device({**batch, "target": target["cell"]}, device, dataloader_idx)
        return {**moved, "target": {"coordinate": target["coordinate"], "cell": moved["target"]}}

    def _most(self, probabilities: Tensor) -> int:
        """How many of the most probable cells are told of."""
        return min(max(self.top, self.places, 5), probabilities.shape[1])

    def _coordinate(self, shares: Tensor, cells: Tensor) -> Tensor:
        """Float64 [B, 2] from probabilities and cells [B, k], the most probable first."""
        number = self.top if self.answer == "mean" else 1
        weights = shares[:, :number].numpy()
        vectors = (self.centres[:, cells[:, :number].numpy()] * weights).sum(axis=-1)
        return torch.from_numpy(np.stack(directions(vectors), axis=-1))
