"""Where a picture was taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction, shared_probability
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.manifest import Manifest
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.images.pixels import Pixels
from mobilevision.visualization.draw_places import Area, Place, located, words

_DRAWN = 60  # cells on a map, the most probable ones
_FAINT = 0.01  # of the most probable cell's probability: less is not drawn


@final
class Places(Answer):
    """``probabilities`` float [K] of cells of Earth, ``cells`` the most probable ones, ``coordinate`` in degrees.

    Of ``facts``: ``cells``, as :meth:`mobilevision.geo.partition.Cells.to_dict` gives them, and ``places``, how many of
    the most probable places are told.
    """

    name: ClassVar[str] = "places"
    outputs: ClassVar[Mapping[str, bool]] = {"probabilities": True, "cells": False, "coordinate": False}
    agreement: str = "pictures that both put into the same cell"

    def __init__(self, manifest: Manifest, where: str) -> None:
        super().__init__(manifest, where)
        self.cells = Cells.from_dict(manifest.facts.get("cells"), source=f"{where}/model.json")
        facts = Fields({"places": 1, **manifest.facts}, f"{where}/model.json: facts")
        self.places = facts.take("places", int, least=1)

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, ``latitude`` and ``longitude``, and ``places``: the most probable ones."""
        latitude, longitude = (float(degrees) for degrees in prediction["coordinate"])
        places = [
            {"latitude": round(place[0], 5), "longitude": round(place[1], 5), "probability": round(share, 4)}
            for place, share in self._candidates(prediction)
        ]
        return {
            "found": f"{words((latitude, longitude))} ({places[0]['probability']:.2f})",
            "latitude": round(latitude, 5),
            "longitude": round(longitude, 5),
            "places": places,
        }

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture beside a map of the probabilities, with the answer and the most probable places."""
        from mobilevision.visualization.world_map import around

        latitude, longitude = (float(degrees) for degrees in prediction["coordinate"])
        return located(
            image,
            answer=(latitude, longitude),
            candidates=self._candidates(prediction),
            areas=self._areas(prediction),
            window=around((self.cells.latitude, self.cells.longitude)),
        )

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether the most probable cell is the same."""
        return Agreed(float(mine["probabilities"].argmax() == other["probabilities"].argmax()), 1.0)

    def alike(self, mine: Prediction, other: Prediction) -> float:
        """How much of the probability both put on the same cells."""
        return shared_probability(mine["probabilities"], other["probabilities"])

    def _candidates(self, prediction: Prediction) -> list[tuple[Place, float]]:
        cells = prediction["cells"][: self.places].tolist()
        shares = prediction["probabilities"][cells].tolist()
        places = ((float(self.cells.latitude[cell]), float(self.cells.longitude[cell])) for cell in cells)
        return list(zip(places, shares, strict=True))

    def _areas(self, prediction: Prediction) -> list[Area]:
        probabilities = prediction["probabilities"]
        best = np.argsort(-probabilities, kind="stable")[:_DRAWN]
        shown = best[probabilities[best] >= _FAINT * probabilities[best[0]]]
        latitude, longitude = s2.corners(self.cells.ids[shown], points=4)
        return [Area(*area) for area in zip(latitude, longitude, probabilities[shown].tolist(), strict=True)]
