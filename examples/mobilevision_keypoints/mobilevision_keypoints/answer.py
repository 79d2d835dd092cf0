"""What keypoints say, in NumPy: for the run, and for what is exported from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.api import Affine, Agreed, Answer, Pixels, Prediction, panels, to_image

PREDICTED, TRUE = "#e0651e", "#2f9bde"
SEEN = 0.3
"""Score from which a point is shown."""
NEAR = 0.05
"""Share of the found object's longer side by which the points of two models may differ."""


@final
class PointAnswer(Answer):
    """``points`` float [K, 2], (x, y) in pixels, and ``scores`` float [K]; targets have ``visible`` in their place.

    Of ``facts``: ``skeleton``, pairs of the numbers of points between which lines are drawn.
    """

    name: ClassVar[str] = "keypoints"
    needs: ClassVar[Mapping[str, bool]] = {"points": False, "scores": True}
    agreement: str = f"points that both see within {NEAR:.0%} of the object's side of each other, or that neither sees"
    takes_threshold: ClassVar[bool] = True
    page: ClassVar[Path | None] = Path(__file__).parent / "page.js"

    @property
    def least(self) -> float:
        """The score from which a point is shown."""
        return SEEN if self.threshold is None else self.threshold

    def locate(self, values: Any, mapping: Affine) -> Any:
        """A prediction, or a target, with its points moved by ``mapping``."""
        return {**values, "points": mapping.points(values["points"])}

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, and under ``points`` x, y and score by name."""
        seen = self._seen(prediction)
        missing = ", ".join(name for name, shown in zip(self.classes, seen.tolist(), strict=True) if not shown)
        rows = np.column_stack([prediction["points"], prediction["scores"]]).tolist()
        points = {
            name: [round(x, 1), round(y, 1), round(score, 3)] for name, (x, y, score) in self._by_name(rows).items()
        }
        found = f"{seen.sum()} of {len(seen)} points" + (f", without {missing}" if missing and seen.any() else "")
        return {"found": found, "points": points}

    def truth(self, target: Any) -> str:
        """The points that are labelled, as ``found`` has them."""
        return f"{int(self._seen(target).sum())} of {len(self.classes)} points"

    def certainty(self, prediction: Prediction) -> float:
        """The mean score."""
        return float(prediction["scores"].mean())

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The points with their skeleton, those of the truth in another colour beside them."""
        both = [("prediction", PREDICTED, prediction), *([] if target is None else [("truth", TRUE, target)])]
        return panels([(title, self._drawn(image, values, colour)) for title, colour, values in both])

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How many points both see at the same place, or neither sees."""
        points = mine["points"]
        near = NEAR * float((points.max(axis=0) - points.min(axis=0)).max())
        same = np.linalg.norm(points - other["points"], axis=1) <= max(near, 1.0)
        seen = self._seen(mine), self._seen(other)
        return Agreed(float(((same & seen[0] & seen[1]) | ~(seen[0] | seen[1])).sum()), float(len(points)))

    def _seen(self, values: Any) -> NDArray[np.bool_]:
        seen: NDArray[np.bool_] = (
            values["scores"] >= self.least if "scores" in values else np.asarray(values["visible"]) > 0
        )
        return seen

    def _by_name(self, rows: list[Any]) -> dict[str, Any]:
        return dict(zip(self.classes, rows, strict=True))

    def _drawn(self, image: Pixels, values: Any, colour: str) -> Image.Image:
        drawn = to_image(image)
        points = np.asarray(values["points"]) * (drawn.width / image.shape[1], drawn.height / image.shape[0])
        seen, pen, size = self._seen(values), ImageDraw.Draw(drawn), max(2, max(drawn.size) // 90)
        for one, other in self.facts.get("skeleton") or ():
            if seen[one] and seen[other]:
                pen.line([*points[one], *points[other]], fill=colour, width=size)
        for x, y in points[seen].tolist():
            pen.ellipse((x - size, y - size, x + size, y + size), fill=colour, outline="#ffffff")
        return drawn
