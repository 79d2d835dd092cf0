"""A point on the unit sphere for each picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.images.pixels import Pixels
from mobilevision.visualization import draw


@final
class Embedding(Answer):
    """``embedding`` float [D] of unit length; the cosine of two is their likeness."""

    name: ClassVar[str] = "embedding"
    outputs: ClassVar[Mapping[str, bool]] = {"embedding": False}
    agreement: str = "mean cosine of both embeddings"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, and ``embedding``, the numbers themselves."""
        vector = [round(value, 6) for value in prediction["embedding"].tolist()]
        return {"found": f"{len(vector)} numbers", "embedding": vector}

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The picture over its first numbers."""
        first = " ".join(f"{value:+.2f}" for value in prediction["embedding"][:5].tolist())
        return draw.captioned(image, prediction=f"{first} ...")

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """The cosine; both of length 0 are the same."""
        one, two = (each["embedding"].astype(np.float64) for each in (mine, other))
        lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
        return Agreed(float(one @ two) / lengths if lengths else float(np.array_equal(one, two)), 1.0)
