"""The outputs as they are, for tasks of which nothing else is known here, such as a plugin's."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.manifest import Manifest
from mobilevision.images.pixels import Pixels
from mobilevision.visualization import draw

_TOLERANCE, _IN_INT8 = 1e-3, 0.1


@final
class Numbers(Answer):
    """Every output by its name."""

    name: ClassVar[str] = "numbers"

    def __init__(self, manifest: Manifest, where: str) -> None:
        super().__init__(manifest, where)
        self.tolerance = _IN_INT8 if manifest.precision == "int8" else _TOLERANCE
        self.agreement = f"pictures with the same outputs, to {self.tolerance:g} of their size"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """The outputs as plain values."""
        return {name: _plain(value) for name, value in prediction.items()}

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture over the first number of each output."""
        first = {name: value.ravel()[0] for name, value in prediction.items() if value.size}
        return draw.captioned(image, prediction=", ".join(f"{name} {value:.4g}" for name, value in first.items()))

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether all outputs are the same: the error of each is small beside it."""
        pairs = [(mine[name].astype(np.float64), other[name].astype(np.float64)) for name in mine]
        same = all(a.shape == b.shape and self._near(a, b) for a, b in pairs)
        return Agreed(float(same), 1.0)

    def _near(self, one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
        size = np.linalg.norm(one) + np.sqrt(one.size) * _TOLERANCE  # what is nothing may be a little
        return bool(np.linalg.norm(one - two) <= self.tolerance * size)


def _plain(value: Any) -> Any:
    return np.round(value.astype(np.float64), 6).tolist() if value.dtype.kind == "f" else value.tolist()
