"""An exported model, ready to predict: NumPy, Pillow and the runtime of its format, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.formats import find_format
from mobilevision.deploy.manifest import Manifest
from mobilevision.deploy.preprocessing import ImageLike, Prepared, is_one
from mobilevision.errors import UserError
from mobilevision.images.pixels import Pixels

Prediction = dict[str, NDArray[Any]]


@final
class Artifact:
    """The folder of an exported model, with the face of :class:`mobilevision.prediction.model.Model`.

    Args:
        folder: holds model.json and the file that it names.
        threads: of the CPU; None leaves it to the runtime.

    Attributes:
        folder: the same.
        manifest: what model.json says.
        classes: class names, in the order of the outputs.
        resolution: (height, width) of its input in pixels.
        channels: channels of its input.

    Raises:
        UserError: anything about the folder that the user can mend.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        self.manifest = Manifest.read(folder)
        form = find_format(self.manifest.format)
        self.answer = find_answer(self.manifest, str(folder))
        file = self.manifest.check(Path(folder))
        self.run = form.open(file, outputs=tuple(port.name for port in self.manifest.outputs), threads=threads)
        image = self.manifest.input
        if self.run.takes not in (None, (image.dtype, image.shape[1:])):
            raise UserError(f"{file}: takes another input than model.json says: copy the whole folder again")
        self.classes = self.manifest.classes
        self.preprocessing = self.manifest.preprocessing
        self.resolution = self.preprocessing.height, self.preprocessing.width
        self.channels = self.preprocessing.channels
        self.folder = Path(folder)

    def __repr__(self) -> str:
        told, (height, width) = self.manifest, self.resolution
        what = f"{told.task}, {len(self.classes)} classes, {height}x{width}x{self.channels}"
        return f"Artifact({str(self.folder)!r}: {what}, {told.format} {told.precision})"

    @overload
    def predict(self, images: ImageLike, *, batch_size: int = 32) -> dict[str, Any]: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Sequence[ImageLike], *, batch_size: int = 32) -> list[dict[str, Any]]: ...

    def predict(
        self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 32
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """What the model says of one picture, or of each of many; as ``Model.predict`` of a run."""
        if is_one(images):
            return self._described([images])[0]  # type: ignore[list-item]
        many: Sequence[ImageLike] = images  # type: ignore[assignment]
        rows: list[dict[str, Any]] = []
        for start in range(0, len(many), batch_size):
            rows += self._described(many[start : start + batch_size])
        return rows

    def prepare(self, image: ImageLike) -> Prepared:
        """The picture as the model takes it, and how it lies there."""
        return self.preprocessing.prepare(image)

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
        """The prediction of each of some prepared pictures; places are those of the input."""
        outputs = self.outputs(np.stack(list(tensors)))
        return [{name: value[place] for name, value in outputs.items()} for place in range(len(tensors))]

    def describe(self, prediction: Mapping[str, NDArray[Any]], prepared: Prepared | None = None) -> dict[str, Any]:
        """A prediction of :meth:`raw` as a row of plain values; where it is told of what, places are the picture's."""
        placed = prediction if prepared is None else self.answer.locate(prediction, prepared.to_picture)
        return self.answer.describe(placed)

    def draw(
        self, image: ImageLike, prediction: Mapping[str, NDArray[Any]], prepared: Prepared, *, side: int = 640
    ) -> Image.Image:
        """A prediction of :meth:`raw` on the whole picture, whose longer side is ``side`` pixels at most."""
        pixels = self.preprocessing.whole(image, side=side)
        located = self.answer.locate(prediction, prepared.to_shown(pixels.shape))
        drawn: Image.Image = self.answer.draw(pixels, located)
        return drawn

    def _described(self, images: Sequence[ImageLike]) -> list[dict[str, Any]]:
        prepared = [self.prepare(image) for image in images]
        predictions = self.raw([each.pixels for each in prepared])
        return [self.describe(prediction, each) for prediction, each in zip(predictions, prepared, strict=True)]
