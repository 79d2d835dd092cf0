"""One class a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction, shared_probability
from mobilevision.images.pixels import Pixels
from mobilevision.visualization import draw


@final
class Classes(Answer):
    """``probabilities`` float [K]: the most probable class, and the five most probable ones."""

    name: ClassVar[str] = "classes"
    outputs: ClassVar[Mapping[str, bool]] = {"probabilities": True}
    agreement: str = "pictures of which both name the same class"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``label``, ``score`` and ``top5``."""
        probabilities = prediction["probabilities"]
        best = np.argsort(-probabilities, kind="stable")[:5]
        top = [{"label": self.classes[place], "score": round(float(probabilities[place]), 6)} for place in best]
        return {**top[0], "top5": top}

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture over a line with the class."""
        row = self.describe(prediction)
        return draw.captioned(image, prediction=f"{row['label']} {row['score']:.2f}")

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether the class is the same."""
        return Agreed(float(mine["probabilities"].argmax() == other["probabilities"].argmax()), 1.0)

    def alike(self, mine: Prediction, other: Prediction) -> float:
        """How much of the probability both put on the same classes."""
        return shared_probability(mine["probabilities"], other["probabilities"])
