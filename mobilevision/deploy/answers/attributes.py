"""Many yes-or-no questions about a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.images.pixels import Pixels
from mobilevision.visualization.draw_attributes import Entry, listed


@final
class Attributes(Answer):
    """``probabilities`` float [A], calibrated, and ``present`` bool [A], by the thresholds that val chose."""

    name: ClassVar[str] = "attributes"
    outputs: ClassVar[Mapping[str, bool]] = {"probabilities": True, "present": True}
    agreement: str = "attributes that both call, or both do not"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, ``attributes`` that are there, most probable first, ``probabilities`` of all."""
        rows = list(zip(*self._columns(prediction), strict=True))
        present = dict(sorted(((name, value) for name, value, there in rows if there), key=lambda pair: -pair[1]))
        return {
            "found": ", ".join(f"{name} {value:.2f}" for name, value in present.items()) or "no attribute",
            "attributes": list(present),
            "probabilities": {name: value for name, value, _ in rows},
        }

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture beside what is said of it."""
        rows = zip(self.classes, prediction["probabilities"].tolist(), prediction["present"].tolist(), strict=True)
        return listed(image, [Entry(name, value, there, None) for name, value, there in rows])

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How many attributes are called alike."""
        same = mine["present"] == other["present"]
        return Agreed(float(same.sum()), float(same.size))

    def _columns(self, prediction: Prediction) -> tuple[tuple[str, ...], list[float], list[bool]]:
        numbers = [round(value, 4) for value in prediction["probabilities"].tolist()]
        return self.classes, numbers, prediction["present"].tolist()
