"""Answers about an image as a whole: its class, its attributes, its embedding, or the numbers as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, DistributionAnswer, Prediction
from mobilevision.images.pixels import Pixels
from mobilevision.visualization import draw
from mobilevision.visualization.draw import Entry, listed

_PRESENT = 0.5  # an attribute's label from which it is there
_TOLERANCE, _INT8_TOLERANCE = 1e-3, 0.1  # error of an output over its norm


@final
class Classes(DistributionAnswer):
    """``probabilities`` float [K]: the most probable class, and the five most probable ones; targets are int64 []."""

    name: ClassVar[str] = "classes"
    needs: ClassVar[Mapping[str, bool]] = {"probabilities": True}
    agreement: str = "images of which both name the same class"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``label``, ``score`` and ``top5``, the five most probable classes with their probabilities."""
        probabilities = prediction["probabilities"]
        best = np.argsort(-probabilities, kind="stable")[:5]
        top = [{"label": self.classes[index], "score": round(float(probabilities[index]), 6)} for index in best]
        return {**top[0], "top5": top}

    def scores(self, prediction: Prediction) -> dict[str, Any]:
        """``probabilities`` by class."""
        return {"probabilities": _by_name(self.classes, prediction["probabilities"])}

    def certainty(self, prediction: Prediction) -> float:
        """How much more probable the best class is than the second."""
        first = -np.sort(-prediction["probabilities"].astype(np.float64))[:2]
        return float(first[0] - first[1:].sum())

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The image over a line with the predicted class and, where known, the true one."""
        row = self.describe(prediction)
        truth = None if target is None else self.truth(target)
        correct = None if truth is None else truth == row["label"]
        return draw.captioned(image, prediction=f"{row['label']} {row['score']:.2f}", truth=truth, correct=correct)

    def truth(self, target: Any) -> str:
        """The class by its name."""
        return self.classes[int(target)]


@final
class Attributes(Answer):
    """``probabilities`` float [A], calibrated, and ``present`` bool [A], by the thresholds that val chose.

    Targets are float [A]: 1 there, 0 not there, NaN not known.
    """

    name: ClassVar[str] = "attributes"
    needs: ClassVar[Mapping[str, bool]] = {"probabilities": True, "present": True}
    agreement: str = "attributes that both call, or both do not"
    takes_threshold: ClassVar[bool] = True

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, predicted ``attributes``, most probable first, and all ``probabilities``."""
        entries = [entry._replace(probability=round(entry.probability, 4)) for entry in self._entries(prediction)]
        present = sorted((entry for entry in entries if entry.predicted), key=lambda entry: -entry.probability)
        return {
            "found": ", ".join(f"{entry.name} {entry.probability:.2f}" for entry in present) or "no attribute",
            "attributes": [entry.name for entry in present],
            "probabilities": {entry.name: entry.probability for entry in entries},
        }

    def certainty(self, prediction: Prediction) -> float:
        """Twice how far the probability that is nearest to one half is from it."""
        return float(2 * np.abs(prediction["probabilities"].astype(np.float64) - 0.5).min())

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The image beside what is predicted, right and wrong in colours, and what is missed."""
        return listed(image, self._entries(prediction, target))

    def truth(self, target: Any) -> str:
        """The attributes that are there, by name."""
        values = zip(self.classes, target.tolist(), strict=True)
        return ", ".join(name for name, value in values if value >= _PRESENT) or "no attribute"

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How many attributes are called alike."""
        same = mine["present"] == other["present"]
        return Agreed(float(same.sum()), float(same.size))

    def _entries(self, prediction: Prediction, target: Any = None) -> list[Entry]:
        probabilities = prediction["probabilities"]
        present = prediction["present"] if self.threshold is None else probabilities >= self.threshold
        values = zip(
            self.classes,
            probabilities.tolist(),
            present.tolist(),
            [math.nan] * len(self.classes) if target is None else target.tolist(),
            strict=True,
        )
        return [
            Entry(name, p, present, None if math.isnan(true) else true >= _PRESENT) for name, p, present, true in values
        ]


@final
class Embedding(Answer):
    """``embedding`` float [D] of unit length; the cosine of two is their likeness.

    Targets are int64 [2] with the identity's number first.
    """

    name: ClassVar[str] = "embedding"
    needs: ClassVar[Mapping[str, bool]] = {"embedding": False}
    agreement: str = "mean cosine of both embeddings"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, and ``embedding``, the numbers themselves."""
        vector = [round(value, 6) for value in prediction["embedding"].tolist()]
        return {"found": f"{len(vector)} numbers", "embedding": vector}

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The image over the first numbers of its embedding, named as such, and, where known, who it is."""
        vector = prediction["embedding"].tolist()
        first = " ".join(f"{value:+.2f}" for value in vector[:3])
        truth = None if target is None else self.truth(target)
        return draw.captioned(image, prediction=f"embedding of {len(vector)}: {first} ...", truth=truth)

    def truth(self, target: Any) -> str:
        """The identity by its name."""
        number = int(target[0])
        return self.classes[number] if 0 <= number < len(self.classes) else "not known"

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """The cosine; both of length 0 are the same."""
        one, two = (each["embedding"].astype(np.float64) for each in (mine, other))
        lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
        return Agreed(float(one @ two) / lengths if lengths else float(np.array_equal(one, two)), 1.0)


@final
class Numbers(Answer):
    """Every output by its name, for tasks of which nothing else is known here, such as a plugin's."""

    name: ClassVar[str] = "numbers"

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.tolerance = _INT8_TOLERANCE if self.precision == "int8" else _TOLERANCE
        self.agreement = f"images with the same outputs, to {self.tolerance:g} of their size"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """The outputs as plain values."""
        return {name: _plain(value) for name, value in prediction.items()}

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The image over the first number of each output and, where known, the truth."""
        first = {name: value.ravel()[0] for name, value in prediction.items() if value.size}
        caption = ", ".join(f"{name} {value:.4g}" for name, value in first.items())
        return draw.captioned(image, prediction=caption, truth=None if target is None else self.truth(target))

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether all outputs are the same: the error of each is small beside it."""
        pairs = [(mine[name].astype(np.float64), other[name].astype(np.float64)) for name in mine]
        same = all(a.shape == b.shape and self._near(a, b) for a, b in pairs)
        return Agreed(float(same), 1.0)

    def _near(self, one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
        size = np.linalg.norm(one) + np.sqrt(one.size) * _TOLERANCE  # what is nothing may be a little
        return bool(np.linalg.norm(one - two) <= self.tolerance * size)


def _by_name(names: tuple[str, ...], probabilities: NDArray[Any]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(names, probabilities.tolist(), strict=True)}


def _plain(value: Any) -> Any:
    return np.round(value.astype(np.float64), 6).tolist() if value.dtype.kind == "f" else value.tolist()
