"""What every kind of answer has: what a prediction means, in NumPy, for a task and for the model exported from it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision import plugins
from mobilevision.deploy.manifest import Port
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels

Prediction = Mapping[str, NDArray[Any]]
"""One image's outputs by name, without the batch."""


class Agreed(NamedTuple):
    """How far two predictions for one image say the same: so much of so much."""

    same: float
    of: float


class Answer(ABC):
    """What predictions mean.

    Args:
        classes: class names, in the order of the outputs.
        decision: what val chose, such as thresholds; plain values.
        facts: what else is needed, such as cells of Earth; plain values.
        precision: of the exported model whose predictions these are.
        outputs: of the exported model's graph; None for predictions that a task makes itself.
        source: what messages call where the above was read.

    Attributes:
        name: as tasks and model.json have it; a plugin's package imports its answers, so that they are found by it.
        needs: outputs that the graph must have, and whether each has a number a class.
        agreement: what :meth:`agree` counts, in words.
        threshold: score from which something is shown, in place of what val chose; None leaves it at that.
        takes_threshold: whether there is something that a threshold decides.
        beside: files that whoever runs the graph without us needs beside it, and the module that each is a copy of.
        page: of a plugin's answer, the JavaScript module that shows it on the page of ``mobilevision demo``, whose
            default export is a class as page/answers/index.js describes; None shows the numbers.

    Raises:
        UserError: an output is missing, or is not as long as the list of classes.
    """

    by_name: ClassVar[dict[str, type[Answer]]] = {}
    name: ClassVar[str]
    needs: ClassVar[Mapping[str, bool]] = {}
    agreement: str
    threshold: float | None = None
    takes_threshold: ClassVar[bool] = False
    beside: ClassVar[Mapping[str, str]] = {}
    page: ClassVar[Path | None] = None

    @classmethod
    def named(cls, name: str) -> type[Answer] | None:
        """The class of this name, for which plugins are imported if need be; None where there is none."""
        if name not in Answer.by_name:
            plugins.load()
        return Answer.by_name.get(name)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = cls.__dict__.get("name")
        if name is None:
            return
        other = Answer.by_name.setdefault(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__module__}: an answer called {name} is in {other.__module__} already: rename it")
        Answer.by_name[name] = cls

    def __init__(
        self,
        *,
        classes: tuple[str, ...],
        decision: Mapping[str, Any],
        facts: Mapping[str, Any],
        precision: str = "float32",
        outputs: Sequence[Port] | None = None,
        source: str = "model.json",
    ) -> None:
        self.classes, self.decision, self.facts, self.precision = classes, decision, facts, precision
        shapes = {port.name: port.shape[1:] for port in outputs or ()}
        for name, by_class in self.needs.items() if outputs is not None else ():
            if name not in shapes:
                raise UserError(f"{source}: answer {self.name} needs the output {name}, which is missing")
            if by_class and shapes[name] != (len(classes),):
                raise UserError(f"{source}: {len(classes)} classes, but {name} has the shape {list(shapes[name])}")

    @abstractmethod
    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """A row of plain values for a table."""

    @abstractmethod
    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The prediction, and the ground truth where it is known, on the image.

        Args:
            image: uint8 [H, W, C].
            prediction: boxes in it are in pixels of ``image`` (see :meth:`locate`).
            target: the sample's target in arrays, or None; likewise.

        Returns:
            A PIL image.
        """

    @abstractmethod
    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How far another model's prediction for the same input says the same."""

    def scores(self, prediction: Prediction) -> dict[str, Any]:
        """What :meth:`describe` leaves out: all detections, or the probability of every class; plain values."""
        del prediction
        return {}

    def files(self, prediction: Prediction, shape: tuple[int, int]) -> dict[str, Any]:
        """What a row of a table cannot hold, such as a mask: PIL images by the name of the folder that they go to.

        Args:
            prediction: as :meth:`locate` gives it for the whole image.
            shape: (height, width) of the image in pixels.
        """
        del prediction, shape
        return {}

    def certainty(self, prediction: Prediction) -> float:
        """How sure the model is of an image, 0 to 1, so that people can look at the least certain ones first."""
        del prediction
        return 1.0

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

    def finish(self, outputs: Prediction) -> dict[str, NDArray[Any]]:
        """Predictions of a batch from what the graph gives: the same, but where it leaves something to do."""
        return dict(outputs)

    def truth(self, target: Any) -> str:
        """A sample's target in words, for a table."""
        return json.dumps(_plain(target))

    def locate(self, values: Any, mapping: Affine) -> Any:
        """A prediction, or a target, with all boxes moved from the input's pixels by ``mapping``; arrays or tensors."""
        del mapping
        return values

    def outlines(self, prediction: Prediction, target: Any) -> dict[str, list[dict[str, Any]]]:
        """Boxes that a tracker draws by itself, by layer (prediction, truth): rows of label, box and perhaps score."""
        del prediction, target
        return {}


class DistributionAnswer(Answer, ABC):
    """An answer that rests on ``probabilities`` float [K], whose sum is 1."""

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether the most probable class is the same."""
        return Agreed(float(mine["probabilities"].argmax() == other["probabilities"].argmax()), 1.0)

    def alike(self, mine: Prediction, other: Prediction) -> float:
        """What both distributions have in common: 1 less their total variation distance."""
        return float(np.minimum(mine["probabilities"], other["probabilities"]).sum(dtype=np.float64))


def _plain(target: Any) -> Any:
    if isinstance(target, Mapping):
        return {str(name): _plain(value) for name, value in target.items()}
    return target.tolist()
