"""Boxes round objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.manifest import Manifest
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels
from mobilevision.ops.boxes import iou
from mobilevision.visualization import draw_boxes

_SAME = 0.9
_SAME_IN_INT8 = 0.5
"""IoU from which two boxes are one. Rounding makes a second stage start from another of several like proposals; then it
is the same object as COCO means it, and the metric says how well its place is kept."""


@final
class Boxes(Answer):
    """``boxes`` float [D, 4] (left, top, right, bottom), ``scores`` [D], best first, ``labels`` [D].

    Where there are fewer than D, score 0 and label -1.
    """

    name: ClassVar[str] = "boxes"
    outputs: ClassVar[Mapping[str, bool]] = {"boxes": False, "scores": False, "labels": False}

    def __init__(self, manifest: Manifest, where: str) -> None:
        super().__init__(manifest, where)
        self.same = _SAME_IN_INT8 if manifest.precision == "int8" else _SAME
        self.agreement = f"shown detections that both have, of the same class and overlapping by {self.same} or more"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found``, such as "2 cat, 1 dog", and ``detections`` from the threshold of their class on, best first."""
        kept = self._kept(prediction)
        rows = [
            {"label": label, "score": round(score, 4), "box": [round(value, 1) for value in box]}
            for label, score, box in kept
        ]
        counted = Counter(label for label, *_ in kept).most_common()
        return {"found": ", ".join(f"{count} {label}" for label, count in counted) or "nothing", "detections": rows}

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """The detections on the picture."""
        found = [draw_boxes.Shown(box, label, score) for label, score, box in self._kept(prediction)]
        return draw_boxes.compared(image, prediction=found)

    def locate(self, prediction: Prediction, mapping: Affine) -> Prediction:
        """Boxes moved by ``mapping``."""
        return {**prediction, "boxes": mapping.boxes(prediction["boxes"])}

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """Detections matched by class and place, not by their order: ties of scores change that.

        What either model shows counts; the other must have it too, at half of the threshold or more.
        """
        one, two = (self._missed(*pair) for pair in ((mine, other), (other, mine)))
        shown = one[1] + two[1]
        return Agreed(float(shown - one[0] - two[0]), float(shown))

    def same_detections(self, mine: Prediction, other: Prediction) -> bool:
        """Whether the detections that both show at the thresholds go together in pairs, with none left over."""
        one, two = self._from(mine, 1.0), self._from(other, 1.0)
        if one.sum() != two.sum():
            return False
        overlap = iou(mine["boxes"][one].astype(np.float64)[:, None], other["boxes"][two].astype(np.float64))
        overlap[mine["labels"][one][:, None] != other["labels"][two]] = 0.0
        for _ in range(len(overlap)):  # the pair that overlaps most, and on with what is left
            first, second = np.unravel_index(overlap.argmax(), overlap.shape)
            if overlap[first, second] < self.same:
                return False
            overlap[first], overlap[:, second] = -1.0, -1.0
        return True

    def _missed(self, shown: Prediction, other: Prediction) -> tuple[int, int]:
        """How many of those shown the other has not, and how many are shown."""
        sure, likely = self._from(shown, 1.0), self._from(other, 0.5)
        overlap = iou(shown["boxes"][sure].astype(np.float64)[:, None], other["boxes"][likely].astype(np.float64))
        same = shown["labels"][sure][:, None] == other["labels"][likely]
        missed = int((~((overlap >= self.same) & same).any(axis=1)).sum())
        return missed, int(sure.sum())

    def _from(self, prediction: Prediction, share: float) -> NDArray[np.bool_]:
        labels = prediction["labels"]
        least = np.array([*self.shown(), np.inf])[labels]  # label -1 takes the last
        there: NDArray[np.bool_] = (labels >= 0) & (prediction["scores"] >= share * least)
        return there

    def _kept(self, prediction: Prediction) -> Sequence[tuple[str, float, list[float]]]:
        kept = self._from(prediction, 1.0)
        rows = zip(*(prediction[key][kept].tolist() for key in ("labels", "scores", "boxes")), strict=True)
        return [(self.classes[label], score, box) for label, score, box in rows]
