"""The outputs as they are, for tasks of which nothing else is known here, such as a plugin's."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.ops import draw
from mobilevision.ops.pixels import Pixels

_TOLERANCE = 1e-3


@final
class Numbers(Answer):
    """Every output by its name."""

    name: ClassVar[str] = "numbers"
    agreement: ClassVar[str] = "pictures with the same outputs, to a thousandth"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """The outputs as plain values."""
        return {name: _plain(value) for name, value in prediction.items()}

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture over the first number of each output."""
        first = {name: value.ravel()[0] for name, value in prediction.items() if value.size}
        return draw.captioned(image, prediction=", ".join(f"{name} {value:.4g}" for name, value in first.items()))

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Whether all outputs are the same, to a thousandth."""
        pairs = [(mine[name], other[name]) for name in mine]
        same = all(a.shape == b.shape and np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE) for a, b in pairs)
        return Agreed(float(same), 1.0)


def _plain(value: Any) -> Any:
    return np.round(value.astype(np.float64), 6).tolist() if value.dtype.kind == "f" else value.tolist()
