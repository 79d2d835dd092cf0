"""An exported model, ready to predict: NumPy, Pillow and the runtime of its format, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.formats import find_format
from mobilevision.deploy.manifest import Manifest
from mobilevision.deploy.predictor import Predictor
from mobilevision.errors import UserError
from mobilevision.images.pixels import Pixels

Prediction = dict[str, NDArray[Any]]


@final
class Artifact(Predictor):
    """The folder of an exported model.

    Args:
        folder: holds model.json and the file that it names.
        threads: of the CPU; None leaves it to the runtime.

    Attributes:
        folder: the same.
        manifest: what model.json says.

    Raises:
        UserError: anything about the folder that the user can mend.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        self.folder, self.manifest = Path(folder), Manifest.read(folder)
        form = find_format(self.manifest.format)
        answer, told = find_answer(self.manifest, str(folder)), self.manifest
        super().__init__(answer, answer=answer, classes=told.classes, preprocessing=told.preprocessing)
        file = self.manifest.check(self.folder)
        self.run = form.open(file, outputs=tuple(port.name for port in self.manifest.outputs), threads=threads)
        image = self.manifest.input
        if self.run.takes not in (None, (image.dtype, image.shape[1:])):
            raise UserError(f"{file}: takes another input than model.json says: copy the whole folder again")

    def __repr__(self) -> str:
        told, (height, width) = self.manifest, self.resolution
        what = f"{told.task}, {len(self.classes)} classes, {height}x{width}x{self.channels}"
        return f"Artifact({str(self.folder)!r}: {what}, {told.format} {told.precision})"

    def outputs(self, images: NDArray[Any]) -> Prediction:
        """What the graph gives for a batch, finished where it leaves something to do.

        Args:
            images: as ``manifest.input`` says; uint8 is taken in any case.

        Raises:
            UserError: another type or shape.
        """
        port = self.manifest.input
        wanted = np.dtype(port.dtype)
        given = images.astype(wanted) if images.dtype == np.uint8 else images
        if given.dtype != wanted or given.ndim != 4 or given.shape[1:] != port.shape[1:] or not len(given):
            expected = ", ".join(map(str, port.shape[1:]))
            raise UserError(
                f"the model takes {port.dtype} [batch, {expected}], 0 to 255, not {images.dtype} {list(images.shape)}"
            )
        found = self.run(given)
        plain = {port.name: found[port.name].astype(port.dtype, copy=False) for port in self.manifest.outputs}
        return self.answer.finish(plain)

    def raw(self, tensors: Sequence[Pixels]) -> list[Prediction]:
        """See :class:`Predictor`."""
        outputs = self.outputs(np.stack(list(tensors)))
        return [{name: value[place] for name, value in outputs.items()} for place in range(len(tensors))]
