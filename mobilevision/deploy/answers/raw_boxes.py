"""Boxes round objects, of a graph that leaves decoding to whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, final

from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.answers.boxes import Boxes
from mobilevision.deploy.decode_raw_boxes import decode
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.manifest import Manifest, Port
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels


@final
class RawBoxes(Answer):
    """``logits`` float [A, O] and ``deltas`` float [A, 4] of anchors, which become what :class:`Boxes` takes.

    Of ``facts``: all that :func:`mobilevision.deploy.decode_raw_boxes.decode` reads.
    """

    name: ClassVar[str] = "raw_boxes"
    outputs: ClassVar[Mapping[str, bool]] = {"logits": False, "deltas": False}
    beside: ClassVar[Mapping[str, str]] = {"decode.py": "mobilevision.deploy.decode_raw_boxes"}

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
