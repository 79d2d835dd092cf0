"""What outputs mean, one small class a kind of answer."""

from __future__ import annotations

from mobilevision.deploy.answers.attributes import Attributes
from mobilevision.deploy.answers.base import Agreed, Answer
from mobilevision.deploy.answers.boxes import Boxes
from mobilevision.deploy.answers.classes import Classes
from mobilevision.deploy.answers.embedding import Embedding
from mobilevision.deploy.answers.numbers import Numbers
from mobilevision.deploy.answers.places import Places
from mobilevision.deploy.answers.raw_boxes import RawBoxes
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError

__all__ = ["ANSWERS", "Agreed", "Answer", "find_answer"]

ANSWERS: dict[str, type[Answer]] = {
    each.name: each for each in (Classes, Attributes, Embedding, Places, Boxes, RawBoxes, Numbers)
}
"""By name, as tasks and model.json know them."""


def find_answer(manifest: Manifest, where: str) -> Answer:
    """What the outputs of a model mean.

    Raises:
        UserError: nobody knows that answer, or the outputs are not such.
    """
    if manifest.answer not in ANSWERS:
        raise UserError(f"{where}/model.json: answer={manifest.answer}: there are {', '.join(ANSWERS)}")
    return ANSWERS[manifest.answer](manifest, where)
