"""What predictions mean, one small class a kind of answer; tasks and exported models use the same ones."""

from __future__ import annotations

from mobilevision.deploy.answers.base import Agreed, Answer
from mobilevision.deploy.answers.boxes import Boxes, Detections, RawBoxes
from mobilevision.deploy.answers.multitask import Parts
from mobilevision.deploy.answers.places import Places
from mobilevision.deploy.answers.whole_image import Attributes, Classes, Embedding, Numbers
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError

__all__ = [
    "ANSWERS",
    "Agreed",
    "Answer",
    "Attributes",
    "Boxes",
    "Classes",
    "Detections",
    "Embedding",
    "Numbers",
    "Parts",
    "Places",
    "RawBoxes",
    "answer_named",
    "find_answer",
]

ANSWERS = Answer.by_name
"""By name, as tasks and model.json know them; those of plugins join when their modules are imported."""


def answer_named(name: str, source: str) -> type[Answer]:
    """The class of answers of this name, ours or a plugin's.

    Raises:
        UserError: there is none; ``source`` is what the message calls whoever asks.
    """
    found = Answer.named(name)
    if found is None:
        there = ", ".join(sorted(ANSWERS))
        raise UserError(f"{source}: answer={name}: there are {there}; a plugin that has it has to be installed")
    return found


def find_answer(manifest: Manifest, where: str) -> Answer:
    """What the outputs of an exported model mean.

    Raises:
        UserError: nobody knows that answer, or the outputs are not such.
    """
    return answer_named(manifest.answer, f"{where}/model.json")(
        classes=manifest.classes,
        decision=manifest.decision,
        facts=manifest.facts,
        precision=manifest.precision,
        outputs=manifest.outputs,
        source=f"{where}/model.json",
    )
