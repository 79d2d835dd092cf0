"""Boxes round objects, of a graph that leaves decoding to whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.answers.boxes import Boxes
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.manifest import Manifest, Port
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels

# Detections of a one-stage detector from its raw outputs, in NumPy alone.

Array = np.ndarray[Any, Any]


def decode(logits: Array, deltas: Array, facts: Mapping[str, Any]) -> dict[str, Array]:
    """Softmax, boxes, non-maximum suppression within each class, and the best of all.

    Args:
        logits: float [B, A, O], class scores of each anchor before softmax.
        deltas: float [B, A, 4], (dx, dy, dw, dh) of each box relative to its anchor.
        facts: anchors and settings, as in model.json.

    Returns:
        ``boxes`` float32 [B, D, 4], (left, top, right, bottom) in pixels of the input; ``scores`` float32 [B, D], best
        first, 0 where there is no detection; ``labels`` int64 [B, D], places in the list of classes, -1 there.
    """
    scores, boxes = _probabilities(logits, facts), _boxes(deltas, facts)
    most = facts["detections"]
    found = {
        "boxes": np.zeros((len(scores), most, 4), np.float32),
        "scores": np.zeros((len(scores), most), np.float32),
        "labels": np.full((len(scores), most), -1, np.int64),
    }
    for row in range(len(scores)):
        anchors, labels = _best(scores[row], boxes[row], facts)
        count = len(anchors)
        found["boxes"][row, :count] = boxes[row, anchors]
        found["scores"][row, :count] = scores[row, anchors, labels]
        found["labels"][row, :count] = labels
    return found


def _probabilities(logits: Array, facts: Mapping[str, Any]) -> Array:
    """Of the classes, without background and without outputs that stand for nothing: [B, A, classes]."""
    powers = np.exp(logits.astype(np.float32) - logits.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    known: Array = np.delete(shares, facts["background"], axis=-1)[..., : facts["classes"]]
    return known


def _boxes(deltas: Array, facts: Mapping[str, Any]) -> Array:
    """Boxes cut to the input, float32 [B, A, 4]: a centre moved by parts of the anchor's sides, sides times exp."""
    left, top, right, bottom = np.asarray(facts["anchors"], np.float32).T
    wide, high = right - left, bottom - top
    dx, dy, dw, dh = np.moveaxis(deltas.astype(np.float32) / np.asarray(facts["coding_weights"], np.float32), -1, 0)
    x, y = dx * wide + (left + 0.5 * wide), dy * high + (top + 0.5 * high)
    largest = np.float32(facts["largest_log_scale"])
    half_width = 0.5 * (np.exp(np.minimum(dw, largest)) * wide)
    half_height = 0.5 * (np.exp(np.minimum(dh, largest)) * high)
    corners = np.stack((x - half_width, y - half_height, x + half_width, y + half_height), axis=-1)
    width, height = facts["clip"]
    inside: Array = np.minimum(np.maximum(corners, 0), np.asarray((width, height, width, height), np.float32))
    return inside


def _best(scores: Array, boxes: Array, facts: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Anchors and labels of one picture's detections, best first."""
    anchors, labels = (scores > facts["score_threshold"]).nonzero()
    order = np.argsort(-scores[anchors, labels], kind="stable")
    limit = len(order) if facts["per_class"] is None else facts["per_class"]
    seen = np.zeros(scores.shape[1], np.int64)
    kept, of = np.zeros((facts["detections"], 4)), np.zeros(facts["detections"], np.int64)
    chosen: list[int] = []
    for anchor, label in zip(anchors[order].tolist(), labels[order].tolist(), strict=True):
        if len(chosen) == facts["detections"]:
            break
        seen[label] += 1
        if seen[label] > limit:
            continue
        rivals = kept[: len(chosen)][of[: len(chosen)] == label]
        if (_overlap(boxes[anchor].astype(np.float64), rivals) > facts["nms_iou"]).any():
            continue
        kept[len(chosen)], of[len(chosen)] = boxes[anchor], label
        chosen.append(anchor)
    return chosen, of[: len(chosen)].tolist()


def _overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box with each of others, [n]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    overlap: Array = common / np.maximum(areas - common, 1e-12)
    return overlap


@final
class RawBoxes(Answer):
    """``logits`` float [A, O] and ``deltas`` float [A, 4] of anchors, which become what :class:`Boxes` takes.

    Of ``facts``: all that :func:`mobilevision.deploy.answers.raw_boxes.decode` reads.
    """

    name: ClassVar[str] = "raw_boxes"
    outputs: ClassVar[Mapping[str, bool]] = {"logits": False, "deltas": False}
    beside: ClassVar[Mapping[str, str]] = {"decode.py": "mobilevision.deploy.answers.raw_boxes"}

    def __init__(self, manifest: Manifest, where: str) -> None:
        super().__init__(manifest, where)
        facts = Fields(manifest.facts, f"{where}/model.json: facts")
        shapes = {port.name: port.shape for port in manifest.outputs}
        self.facts = _checked(facts, shapes["logits"], shapes["deltas"], len(self.classes))
        most = self.facts["detections"]
        ends = {"boxes": ("float32", most, 4), "scores": ("float32", most), "labels": ("int64", most)}
        ports = tuple(Port(name, str(kind), (None, *map(int, shape))) for name, (kind, *shape) in ends.items())
        self.boxes = Boxes(replace(manifest, outputs=ports), where)
        self.agreement = self.boxes.agreement

    def finish(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """``boxes``, ``scores`` and ``labels``."""
        return decode(outputs["logits"], outputs["deltas"], self.facts)

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """As :class:`Boxes`."""
        return self.boxes.describe(prediction)

    def draw(self, image: Pixels, prediction: Prediction) -> Any:
        """As :class:`Boxes`."""
        return self.boxes.draw(image, prediction)

    def locate(self, prediction: Prediction, mapping: Affine) -> Prediction:
        """As :class:`Boxes`."""
        return self.boxes.locate(prediction, mapping)

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """As :class:`Boxes`."""
        return self.boxes.agree(mine, other)

    def same_detections(self, mine: Prediction, other: Prediction) -> bool:
        """As :class:`Boxes`."""
        return self.boxes.same_detections(mine, other)


def _checked(facts: Fields, logits: tuple[int | None, ...], deltas: tuple[int | None, ...], known: int) -> Any:
    """The facts, each of its type and as long as it has to be."""
    anchors = facts.take("anchors", list)
    if not all(isinstance(row, list) and len(row) == 4 and all(map(_is_number, row)) for row in anchors):
        raise facts.wrong("anchors", "it has to be a list of [left, top, right, bottom]")
    if logits[1:2] != (len(anchors),) or deltas[1:] != (len(anchors), 4):
        raise facts.wrong("anchors", f"{len(anchors)} anchors for logits {list(logits)} and deltas {list(deltas)}")
    for name, length in (("coding_weights", 4), ("clip", 2)):
        row = facts.take(name, list)
        if len(row) != length or not all(_is_number(each) and each > 0 for each in row):
            raise facts.wrong(name, f"it has to be {length} numbers above 0")
    outputs, background = logits[2] or 0, facts.take("background", int, least=0)
    classes = facts.take("classes", int, least=1)
    if classes != known or background >= outputs or classes > outputs - 1:
        raise facts.wrong("classes", f"there are {known} classes, and {outputs} outputs with background {background}")
    facts.take("detections", int, least=1)
    for name in ("largest_log_scale", "score_threshold", "nms_iou"):
        facts.take(name, float, least=0)
    if facts.values.get("per_class", 0) is not None:
        facts.take("per_class", int, least=1)
    return facts.values


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
