"""Boxes round objects: of a graph that decodes them, and of one that leaves that to whoever runs it."""

from __future__ import annotations

from abc import ABC
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.decode_raw_boxes import decode
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.manifest import Port
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels
from mobilevision.ops.boxes import iou
from mobilevision.visualization import draw_boxes

_SHOWN_FROM = 0.5  # score from which a detection is shown where val has chosen none
_SAME = 0.9
_SAME_IN_INT8 = 0.5
"""IoU from which two boxes are one. Rounding makes a second stage start from another of several like proposals; then it
is the same object as COCO means it, and the metric says how well its place is kept."""


class Detections(Answer, ABC):
    """``boxes`` float [D, 4] (left, top, right, bottom), ``scores`` [D], best first, ``labels`` [D].

    Where there are fewer than D, score 0 and label -1. Targets are those of :data:`mobilevision.data.boxes.Target`.
    """

    takes_threshold: ClassVar[bool] = True

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.same = _SAME_IN_INT8 if self.precision == "int8" else _SAME
        self.agreement = f"shown detections that both have, of the same class and overlapping by {self.same} or more"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found``, such as "2 cat, 1 dog", and ``detections`` from the threshold of their class on, best first."""
        rows = self._rows(prediction, self._from(prediction, 1.0))
        return {"found": _counted(str(row["label"]) for row in rows), "detections": rows}

    def scores(self, prediction: Prediction) -> dict[str, Any]:
        """``all_detections``, those below the threshold, too."""
        return {"all_detections": self._rows(prediction, prediction["labels"] >= 0)}

    def certainty(self, prediction: Prediction) -> float:
        """How far the score that is nearest to the threshold of its class is from it; 1 where nothing is detected."""
        there = prediction["labels"] >= 0
        least = np.array(self._thresholds())[prediction["labels"][there]]
        return float(np.abs(prediction["scores"][there] - least).min(initial=1.0))

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """Truth, where known, and detections side by side; right ones green, wrong ones red, what was missed marked."""
        found = [draw_boxes.Shown(box, label, score) for label, score, box in self._kept(prediction)]
        return draw_boxes.compared(image, prediction=found, truth=None if target is None else self._annotated(target))

    def truth(self, target: Any) -> str:
        """The objects counted by class."""
        return _counted(shown.label for shown in self._annotated(target))

    def locate(self, values: Any, mapping: Affine) -> Any:
        """Boxes moved by ``mapping``; everything else as it is."""
        return {**values, "boxes": mapping.boxes(values["boxes"])}

    def outlines(self, prediction: Prediction, target: Any) -> dict[str, list[dict[str, Any]]]:
        """Layers ``prediction`` and ``truth``, in the pixels in which the boxes are given."""
        truth = [{"label": shown.label, "box": list(shown.box)} for shown in self._annotated(target)]
        return {"prediction": self.describe(prediction)["detections"], "truth": truth}

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
        least = np.array([*self._thresholds(), np.inf])[labels]  # label -1 takes the last
        there: NDArray[np.bool_] = (labels >= 0) & (prediction["scores"] >= share * least)
        return there

    def _kept(
        self, prediction: Prediction, kept: NDArray[np.bool_] | None = None
    ) -> Sequence[tuple[str, float, list[float]]]:
        """Label, score and box of the detections that reach the threshold of their class, or of those named."""
        there = self._from(prediction, 1.0) if kept is None else kept
        rows = zip(*(prediction[key][there].tolist() for key in ("labels", "scores", "boxes")), strict=True)
        return [(self.classes[label], score, box) for label, score, box in rows]

    def _rows(self, prediction: Prediction, kept: NDArray[np.bool_]) -> list[dict[str, Any]]:
        return [
            {"label": label, "score": round(score, 4), "box": [round(value, 1) for value in box]}
            for label, score, box in self._kept(prediction, kept)
        ]

    def _thresholds(self) -> list[float]:
        """The score of each class from which a detection is shown, as val chose it."""
        if self.threshold is not None:
            return [self.threshold] * len(self.classes)
        chosen = self.decision.get("thresholds")
        if isinstance(chosen, list) and len(chosen) == len(self.classes):
            return [_SHOWN_FROM if value is None else float(value) for value in chosen]
        return [_SHOWN_FROM] * len(self.classes)

    def _annotated(self, target: Any) -> list[draw_boxes.Shown]:
        rows = zip(*(target[key].tolist() for key in ("labels", "boxes", "crowd", "difficult")), strict=True)
        return [
            draw_boxes.Shown(box, self.classes[label], crowd=crowd, difficult=difficult)
            for label, box, crowd, difficult in rows
            if label >= 0
        ]


@final
class Boxes(Detections):
    """Detections as the graph, or the task, gives them."""

    name: ClassVar[str] = "boxes"
    needs: ClassVar[Mapping[str, bool]] = {"boxes": False, "scores": False, "labels": False}


@final
class RawBoxes(Detections):
    """Detections from ``logits`` float [A, O] and ``deltas`` float [A, 4] of anchors.

    Of ``facts``: all that :func:`mobilevision.deploy.decode_raw_boxes.decode` reads.
    """

    name: ClassVar[str] = "raw_boxes"
    needs: ClassVar[Mapping[str, bool]] = {"logits": False, "deltas": False}
    beside: ClassVar[Mapping[str, str]] = {"decode.py": "mobilevision.deploy.decode_raw_boxes"}

    def __init__(
        self, *, facts: Mapping[str, Any], outputs: Sequence[Port], source: str = "model.json", **parts: Any
    ) -> None:
        super().__init__(facts=facts, outputs=outputs, source=source, **parts)
        shapes = {port.name: port.shape for port in outputs}
        fields = Fields(facts, f"{source}: facts")
        self.raw_facts = _checked(fields, shapes["logits"], shapes["deltas"], len(self.classes))

    def finish(self, outputs: Prediction) -> dict[str, NDArray[Any]]:
        """``boxes``, ``scores`` and ``labels``."""
        return decode(outputs["logits"], outputs["deltas"], self.raw_facts)


def _counted(labels: Iterable[str]) -> str:
    """``2 cat, 1 dog``; ``nothing`` of no labels."""
    return ", ".join(f"{count} {label}" for label, count in Counter(labels).most_common()) or "nothing"


def _checked(facts: Fields, logits: tuple[int | None, ...], deltas: tuple[int | None, ...], known: int) -> Any:
    """The facts, each of its type and as long as it has to be."""
    anchors = facts.take("anchors", list)
    if not all(isinstance(row, list) and len(row) == 4 and all(map(_is_number, row)) for row in anchors):
        raise facts.wrong("anchors", "it has to be a list of [left, top, right, bottom]")
    if logits[1:2] != (len(anchors),) or deltas[1:] != (len(anchors), 4):
        raise facts.wrong("anchors", f"{len(anchors)} anchors for logits {list(logits)} and deltas {list(deltas)}")
    coding = facts.values.get("coding", "offsets")  # files from before heads without anchors do not say
    if coding not in ("offsets", "distances"):
        raise facts.wrong("coding", "it has to be offsets or distances")
    offsets = coding == "offsets"
    for name, length in [("coding_weights", 4)] * offsets + [("clip", 2)]:
        row = facts.take(name, list)
        if len(row) != length or not all(_is_number(each) and each > 0 for each in row):
            raise facts.wrong(name, f"it has to be {length} numbers above 0")
    outputs, background = logits[2] or 0, None
    if facts.values.get("background", 0) is not None:
        background = facts.take("background", int, least=0)
    classes, kinds = facts.take("classes", int, least=1), outputs - (background is not None)
    if classes != known or classes > kinds or (background is not None and background >= outputs):
        raise facts.wrong("classes", f"there are {known} classes, and {outputs} outputs with background {background}")
    facts.take("detections", int, least=1)
    for name in ["largest_log_scale"] * offsets + ["score_threshold", "nms_iou"]:
        facts.take(name, float, least=0)
    if facts.values.get("per_class", 0) is not None:
        facts.take("per_class", int, least=1)
    return facts.values


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
