"""The face of an answer: what a task makes of one picture's outputs, in NumPy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels

Prediction = Mapping[str, NDArray[Any]]
"""One picture's outputs by name, without the batch."""


class Agreed(NamedTuple):
    """How far two predictions for one picture say the same: so much of so much."""

    same: float
    of: float


class Answer(ABC):
    """What the outputs of an exported model mean.

    Args:
        manifest: of the exported model.
        where: what messages call it.

    Attributes:
        name: as model.json has it.
        outputs: those that the graph must have, and whether each has a number a class.
        agreement: what :meth:`agree` counts, in words.
        beside: files that whoever runs the graph without us needs beside it, and the module that each is a copy of.

    Raises:
        UserError: an output is missing, or is not as long as the list of classes.
    """

    name: ClassVar[str]
    outputs: ClassVar[Mapping[str, bool]] = {}
    agreement: str
    beside: ClassVar[Mapping[str, str]] = {}

    def __init__(self, manifest: Manifest, where: str) -> None:
        self.manifest, self.classes = manifest, manifest.classes
        there = {port.name: port.shape for port in manifest.outputs}
        for name, by_class in self.outputs.items():
            if name not in there:
                raise UserError(f"{where}/model.json: answer {self.name} needs the output {name}, which is missing")
            if by_class and there[name][1:] != (len(self.classes),):
                shape = list(there[name][1:])
                raise UserError(f"{where}/model.json: {len(self.classes)} classes, but {name} has the shape {shape}")

    @abstractmethod
    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """A row of plain values, the same as the task's."""

    @abstractmethod
    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The prediction on its picture, a PIL image."""

    @abstractmethod
    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How far another model's prediction for the same input says the same."""

    def alike(self, mine: Prediction, other: Prediction) -> float | None:
        """How much of the probability both put on the same classes, 0 to 1; None where that is not what is predicted.

        Of some images only, a class that is the same by accident hides a broken model; probabilities show it.
        """
        del mine, other
        return None

    def same_detections(self, mine: Prediction, other: Prediction) -> bool | None:
        """Whether both show the same detections, no more and no fewer; None where nothing is detected."""
        del mine, other
        return None

    def finish(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Predictions of a batch from what the graph gives: the same, but where it leaves something to do."""
        return dict(outputs)

    def locate(self, prediction: Prediction, mapping: Affine) -> Prediction:
        """The prediction with all places moved from the input's pixels by ``mapping``."""
        del mapping
        return prediction

    def shown(self, thresholds: str = "thresholds", fallback: float = 0.5) -> list[float]:
        """What val chose, a number a class."""
        chosen = self.manifest.decision.get(thresholds)
        if isinstance(chosen, list) and len(chosen) == len(self.classes):
            return [fallback if value is None else float(value) for value in chosen]
        return [fallback] * len(self.classes)


def shared_probability(one: NDArray[Any], two: NDArray[Any]) -> float:
    """What two distributions [K] have in common: 1 less their total variation distance."""
    return float(np.minimum(one, two).sum(dtype=np.float64))
