"""What outputs mean, one small class a kind of answer."""

from __future__ import annotations

from mobilevision.errors import UserError
from mobilevision.export.answers.attributes import Attributes
from mobilevision.export.answers.base import Agreed, Answer
from mobilevision.export.answers.boxes import Boxes
from mobilevision.export.answers.classes import Classes
from mobilevision.export.answers.embedding import Embedding
from mobilevision.export.answers.numbers import Numbers
from mobilevision.export.answers.places import Places
from mobilevision.export.manifest import Manifest

__all__ = ["ANSWERS", "Agreed", "Answer", "find_answer"]

ANSWERS: dict[str, type[Answer]] = {
    each.name: each for each in (Classes, Attributes, Embedding, Places, Boxes, Numbers)
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
