"""model.json: all that whoever has the file of an exported model must know to use it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from mobilevision.deploy.fields import Fields
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.io.regular_files import open_regular, read_text
from mobilevision.version import __version__

_MOST_BYTES = 16_000_000  # of model.json
_HUGE = 1e30  # no threshold or temperature

VERSION = 1
"""Raised when an older mobilevision could no longer use the folder as it should be used."""

NAME = "model.json"
CARD = "README.md"


@final
@dataclass(frozen=True)
class Port:
    """An input or output of the graph.

    Attributes:
        name: as the graph calls it.
        dtype: NumPy's name of its type, such as ``uint8``.
        shape: its sides; None for a batch of any size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in model.json."""
        return {"name": self.name, "type": self.dtype, "shape": list(self.shape)}

    def of(self, batch: int | None) -> Port:
        """The same for so many images at once."""
        return replace(self, shape=(batch, *self.shape[1:]))

    @classmethod
    def read(cls, fields: Fields) -> Port:
        """Undo :meth:`to_dict`."""
        shape = fields.take("shape", list)
        if not all(side is None or (isinstance(side, int) and side > 0) for side in shape):
            raise fields.wrong("shape", "it has to be a list of sides, null for the batch")
        if (dtype := fields.take("type", str)) not in np.sctypeDict:
            raise fields.wrong("type", "it has to be NumPy's name of a type, such as uint8")
        return cls(fields.take("name", str), dtype, tuple(shape))


@final
@dataclass(frozen=True)
class ModelFile:
    """The file with the graph, and how to know that it is all there and no other."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> ModelFile:
        """The note of a file as it is now."""
        return cls(path.name, path.stat().st_size, _sha256(path))

    def check(self, folder: Path) -> Path:
        """Its path.

        Raises:
            UserError: it is missing, cut off or another.
        """
        path = folder / self.name
        if not path.is_file():
            raise UserError(f"{path} is missing: copy the whole folder of the exported model")
        if (size := path.stat().st_size) != self.size:
            raise UserError(f"{path} has {size:,} bytes instead of {self.size:,}: copy the whole folder again")
        if _sha256(path) != self.sha256:
            raise UserError(f"{path} is not the file that {NAME} describes: copy the whole folder, or export again")
        return path

    def to_dict(self) -> dict[str, Any]:
        """As it stands in model.json."""
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def read(cls, fields: Fields) -> ModelFile:
        """Undo :meth:`to_dict`."""
        name = fields.take("name", str)
        if name != Path(name).name or name in {"", ".", ".."} or "\\" in name:
            raise fields.wrong("name", "it has to be a file in this folder")
        return cls(name, fields.take("bytes", int), fields.take("sha256", str))


@final
@dataclass(frozen=True)
class Manifest:
    """What model.json says.

    Attributes:
        task: the task's name, such as ``classification``.
        answer: how outputs become an answer, a name of :data:`mobilevision.deploy.answers.ANSWERS`.
        format: a name of :data:`mobilevision.deploy.formats.FORMATS`.
        precision: a name of :class:`mobilevision.deploy.precision.Precision`.
        file: the graph's file.
        classes: class names, in the order of the outputs.
        input: the image; the range of its values is 0 to 255, whatever its type.
        preprocessing: how an image becomes the input.
        outputs: by the names that the task's predictions have.
        decision: what val chose: thresholds and temperatures; temperatures are in the graph.
        facts: what else the answer needs, such as cells of Earth.
        about: for people: backbone, cost, metrics and gate, versions, command.
        parts: files that belong to the graph's, such as one of weights.
    """

    task: str
    answer: str
    format: str
    precision: str
    file: ModelFile
    classes: tuple[str, ...]
    input: Port
    preprocessing: Preprocessing
    outputs: tuple[Port, ...]
    decision: dict[str, Any]
    facts: dict[str, Any]
    about: dict[str, Any]
    parts: tuple[ModelFile, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the gate has seen that it answers otherwise than its checkpoint."""
        gate = self.about.get("gate")
        return isinstance(gate, dict) and gate.get("passed") is False

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The graph's file and what belongs to it."""
        return self.file, *self.parts

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(file.size for file in self.files)

    def check(self, folder: Path) -> Path:
        """The path of the graph's file, where all files are as they were.

        Raises:
            UserError: one is missing, cut off or another.
        """
        for part in self.parts:
            part.check(folder)
        return self.file.check(folder)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in model.json."""
        return {
            "mobilevision_artifact": VERSION,
            "mobilevision": __version__,
            **{"task": self.task, "answer": self.answer, "format": self.format, "precision": self.precision},
            "file": self.file.to_dict(),
            **({"parts": [part.to_dict() for part in self.parts]} if self.parts else {}),
            "input": {**self.input.to_dict(), "layout": "NCHW", "range": [0, 255]},
            "preprocessing": self.preprocessing.to_dict(),
            "outputs": [port.to_dict() for port in self.outputs],
            "classes": list(self.classes),
            **{"decision": self.decision, "facts": self.facts, "about": self.about},
        }

    def write(self, folder: Path) -> None:
        """Write model.json; infinite and undefined numbers, which JSON has not, become null."""
        text = json.dumps(_finite(self.to_dict()), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """Read and check model.json; nothing in it is executed.

        Raises:
            UserError: it is missing, broken, of another program or of a newer mobilevision.
        """
        path = Path(folder) / NAME
        fields = Fields(_json(path), str(path))
        _check_version(fields)
        image, look = Port.read(fields.inner("input")), Preprocessing.read(fields.inner("preprocessing"))
        if image.shape[1:] != (look.channels, look.height, look.width):
            raise fields.inner("input").wrong("shape", "preprocessing has other channels, height or width")
        return cls(
            task=_name(fields, "task"),
            answer=fields.take("answer", str),
            format=fields.take("format", str),
            precision=fields.take("precision", str),
            file=ModelFile.read(fields.inner("file")),
            classes=fields.texts("classes"),
            input=image,
            preprocessing=look,
            outputs=tuple(Port.read(each) for each in fields.each("outputs")),
            decision=_decision(fields),
            facts=fields.take("facts", dict),
            about=fields.take("about", dict),
            parts=tuple(map(ModelFile.read, fields.each("parts"))) if "parts" in fields.values else (),
        )


def is_artifact(path: str | Path) -> bool:
    """Whether a folder says that it holds an exported model, be it a good one or not."""
    return (Path(path) / NAME).is_file()


def _name(fields: Fields, name: str) -> str:
    value = fields.take(name, str)
    if not re.fullmatch(r"[\w.-]{1,100}", value):
        raise fields.wrong(name, "it has to be a name: letters, digits, _, - and points")
    return value


def _decision(fields: Fields) -> dict[str, Any]:
    """What val chose: numbers, or lists of numbers, with null where there is none; of several parts, by part."""
    inner = fields.inner("decision")
    each = [inner.inner(name) for name in inner.values] if fields.values.get("answer") == "parts" else [inner]
    for chosen in each:
        for name, value in chosen.values.items():
            numbers = value if isinstance(value, list) else [value]
            if not all(one is None or (isinstance(one, int | float) and abs(one) < _HUGE) for one in numbers):
                raise chosen.wrong(name, "it has to be a number or a list of numbers")
    return dict(inner.values)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path, most_bytes=_MOST_BYTES))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name the folder of an exported model") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable JSON ({error}): copy the folder again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not the description of an exported model")
    return found


def _check_version(fields: Fields) -> None:
    version = fields.values.get("mobilevision_artifact")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UserError(f"{fields.where}: not written by mobilevision export (no mobilevision_artifact in it)")
    if version > VERSION:
        made = fields.values.get("mobilevision", "?")
        raise UserError(
            f"{fields.where}: made by mobilevision {made}, format {version}; this is {__version__},"
            f" which reads up to format {VERSION}: install a newer one"
        )


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not (abs(value) < float("inf")) else value
