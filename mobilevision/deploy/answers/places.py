"""Where an image was taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from mobilevision.deploy.answers.base import DistributionAnswer, Prediction
from mobilevision.deploy.fields import Fields
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import haversine
from mobilevision.images.pixels import Pixels
from mobilevision.visualization.draw_places import Area, Place, located, words
from mobilevision.visualization.world_map import around

_DRAWN = 60  # cells on a map, the most probable ones
_FAINT = 0.01  # of the most probable cell's probability: less is not drawn


@final
class Places(DistributionAnswer):
    """``probabilities`` float [K] of cells of Earth, ``cells`` the most probable ones, ``coordinate`` in degrees.

    Of ``facts``: ``cells``, as :meth:`mobilevision.geo.partition.Cells.to_dict` gives them, and ``places``, how many of
    the most probable places are told. Targets have a ``coordinate``, float64 [2] in degrees.
    """

    name: ClassVar[str] = "places"
    needs: ClassVar[Mapping[str, bool]] = {"probabilities": True, "cells": False, "coordinate": False}
    agreement: str = "images that both put into the same cell"

    def __init__(self, *, facts: Mapping[str, Any], source: str = "model.json", **parts: Any) -> None:
        super().__init__(facts=facts, source=source, **parts)
        self.cells = Cells.from_dict(facts.get("cells"), source=source)
        self.places = Fields({"places": 1, **facts}, f"{source}: facts").take("places", int, least=1)

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, ``latitude`` and ``longitude``, and ``places``: the most probable ones."""
        latitude, longitude = _place(prediction["coordinate"])
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

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The image beside a map of the probabilities, with the answer, the most probable places and the truth."""
        answer = _place(prediction["coordinate"])
        truth = None if target is None else _place(target["coordinate"])
        return located(
            image,
            answer=answer,
            candidates=self._candidates(prediction),
            areas=self._areas(prediction["probabilities"]),
            truth=truth,
            distance=None if truth is None else float(haversine(*answer, *truth)),
            window=around((self.cells.latitude, self.cells.longitude)),
        )

    def truth(self, target: Any) -> str:
        """Latitude and longitude in degrees."""
        return " ".join(f"{degrees:.5f}" for degrees in target["coordinate"].tolist())

    def _candidates(self, prediction: Prediction) -> list[tuple[Place, float]]:
        cells = prediction["cells"][: self.places].tolist()
        shares = prediction["probabilities"][cells].tolist()
        places = ((float(self.cells.latitude[cell]), float(self.cells.longitude[cell])) for cell in cells)
        return list(zip(places, shares, strict=True))

    def _areas(self, probabilities: Any) -> list[Area]:
        best = np.argsort(-probabilities, kind="stable")[:_DRAWN]
        shown = best[probabilities[best] >= _FAINT * probabilities[best[0]]]
        latitude, longitude = s2.corners(self.cells.ids[shown], points=4)
        return [Area(*area) for area in zip(latitude, longitude, probabilities[shown].tolist(), strict=True)]


def _place(coordinate: Any) -> Place:
    latitude, longitude = coordinate.tolist()
    return latitude, longitude
