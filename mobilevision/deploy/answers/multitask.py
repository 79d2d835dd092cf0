"""The answers of several tasks that share a backbone, each under the name of its part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers.base import Agreed, Answer, Prediction
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.manifest import Port
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels
from mobilevision.ops.parts import of_part, with_parts
from mobilevision.visualization.draw import panels


@final
class Parts(Answer):
    """Outputs ``part/name`` of several tasks; ``facts["parts"]`` says which answer and classes each part has.

    Targets are, by part, ``known`` and the part's own ``target``.

    Attributes:
        parts: the answer of each part.
    """

    name: ClassVar[str] = "parts"
    takes_threshold: ClassVar[bool] = True

    def __init__(
        self,
        *,
        classes: tuple[str, ...],
        decision: Mapping[str, Any],
        facts: Mapping[str, Any],
        precision: str = "float32",
        outputs: Sequence[Port] | None = None,
        source: str = "model.json",
    ) -> None:
        super().__init__(
            classes=classes, decision=decision, facts=facts, precision=precision, outputs=outputs, source=source
        )
        described = facts.get("parts")
        if not isinstance(described, Mapping) or not described:
            raise UserError(f"{source}: answer parts needs facts.parts, which is missing")
        self.parts: dict[str, Answer] = {}
        for name, part in described.items():
            ports = of_part({port.name: port for port in outputs or ()}, name)
            own = None if outputs is None else [replace(port, name=key) for key, port in ports.items()]
            fields = Fields(dict(part) if isinstance(part, Mapping) else {}, f"{source}: facts.parts.{name}")
            kind = fields.take("answer", str)
            own_answer = Answer.named(kind)
            if own_answer is None or kind == self.name:
                raise fields.wrong(
                    "answer", f"it has to be one of {', '.join(sorted({*Answer.by_name} - {self.name}))}"
                )
            chosen = decision.get(name, {})
            if not isinstance(chosen, Mapping):
                raise UserError(f"{source}: decision.{name}={str(chosen)[:40]}: it has to be an object, of part {name}")
            self.parts[name] = own_answer(
                classes=fields.texts("classes"),
                decision=chosen,
                facts=fields.take("facts", dict),
                precision=precision,
                outputs=own,
                source=f"{source}, part {name}",
            )
        self.agreement = "of each image, the mean over the parts of how far both answer alike"

    @property
    def threshold(self) -> float | None:
        """The same for every part that takes one."""
        return next((part.threshold for part in self.parts.values() if part.takes_threshold), None)

    @threshold.setter
    def threshold(self, value: float | None) -> None:
        for part in self.parts.values():
            part.threshold = value

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, and by part the row of its own answer."""
        rows = {name: part.describe(of_part(prediction, name)) for name, part in self.parts.items()}
        return {"found": "; ".join(f"{name}: {_in_words(row)}" for name, row in rows.items()), **rows}

    def scores(self, prediction: Prediction) -> dict[str, Any]:
        """By part, what its row leaves out."""
        found = {name: part.scores(of_part(prediction, name)) for name, part in self.parts.items()}
        return {name: values for name, values in found.items() if values}

    def files(self, prediction: Prediction, shape: tuple[int, int]) -> dict[str, Any]:
        """Those of every part, in folders ``part/name``."""
        found = {name: part.files(of_part(prediction, name), shape) for name, part in self.parts.items()}
        return {f"{name}/{folder}": image for name, files in found.items() for folder, image in files.items()}

    def certainty(self, prediction: Prediction) -> float:
        """That of the part which is least sure."""
        return min(part.certainty(of_part(prediction, name)) for name, part in self.parts.items())

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """Every part's drawing beside each other, under its name."""
        drawn = []
        for name, part in self.parts.items():
            drawn.append((name, part.draw(image, of_part(prediction, name), _known(target, name))))
        return panels(drawn)

    def truth(self, target: Any) -> str:
        """What is known, in words, by part."""
        known = {name: _known(target, name) for name in self.parts}
        return "; ".join(f"{name}: {self.parts[name].truth(own)}" for name, own in known.items() if own is not None)

    def locate(self, values: Any, mapping: Affine) -> Any:
        """Boxes of every part moved by ``mapping``."""
        moved = dict(values)
        for name, part in self.parts.items():
            if name in values:  # a target, which may lack a part
                moved[name] = {**values[name], "target": part.locate(values[name]["target"], mapping)}
            elif predicted := of_part(values, name):
                moved |= with_parts({name: part.locate(predicted, mapping)})
        return moved

    def outlines(self, prediction: Prediction, target: Any) -> dict[str, list[dict[str, Any]]]:
        """Layers of every part that has some, as ``part prediction`` and ``part truth``."""
        layers: dict[str, list[dict[str, Any]]] = {}
        for name, part in self.parts.items():
            own = _known(target, name)
            if own is not None:
                found = part.outlines(of_part(prediction, name), own)
                layers |= {f"{name} {layer}": rows for layer, rows in found.items()}
        return layers

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """The mean over the parts that have something to agree on."""
        each = self.agree_by_part(mine, other).values()
        shares = [part.same / part.of for part in each if part.of]
        return Agreed(float(np.mean(shares)), 1.0) if shares else Agreed(0.0, 0.0)

    def agree_by_part(self, mine: Prediction, other: Prediction) -> dict[str, Agreed]:
        """How far both answer alike, by part."""
        return {name: part.agree(of_part(mine, name), of_part(other, name)) for name, part in self.parts.items()}

    def same_detections(self, mine: Prediction, other: Prediction) -> bool | None:
        """Whether every part that detects shows the same detections."""
        found = [part.same_detections(of_part(mine, name), of_part(other, name)) for name, part in self.parts.items()]
        seen = [each for each in found if each is not None]
        return all(seen) if seen else None

    def finish(self, outputs: Prediction) -> dict[str, NDArray[Any]]:
        """As every part's own."""
        return with_parts({name: part.finish(of_part(outputs, name)) for name, part in self.parts.items()})


def _in_words(row: Mapping[str, Any]) -> str:
    return str(row["found"]) if "found" in row else f"{row.get('label', '')} {row.get('score', 0.0):.2f}"


def _known(target: Any, name: str) -> Any:
    """The part's own target of one image; None where it is not known."""
    if target is None or name not in target or not bool(target[name]["known"]):
        return None
    return target[name]["target"]
