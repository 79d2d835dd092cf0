"""A model ready to predict: from images to rows of plain values and drawings, whatever computes in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, overload

import numpy as np
from PIL import Image

from mobilevision.deploy.answers import Answer
from mobilevision.deploy.preprocessing import ImageLike, Prepared, Preprocessing, is_one
from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels


class Presenter(Protocol):
    """Describes and draws predictions: a task, or the answer of an exported model."""

    def locate(self, values: Any, mapping: Affine, /) -> Any:
        """The prediction with boxes moved from the input's pixels."""

    def describe(self, prediction: Any, /) -> dict[str, Any]:
        """A row of plain values."""

    def draw(self, image: Pixels, prediction: Any, /) -> Any:
        """The prediction on the image, a PIL image."""


class Predictor(ABC):
    """A run's model or an exported one.

    Args:
        presenter: describes and draws predictions of :meth:`raw`.
        answer: what these predictions mean.
        classes: class names, in the order of the outputs.
        preprocessing: from an image to the input.

    Attributes:
        answer: the same; its ``threshold`` may be set.
        classes: the same.
        preprocessing: the same.
        resolution: (height, width) of the input in pixels.
        channels: channels of the input.
    """

    def __init__(
        self, presenter: Presenter, *, answer: Answer, classes: tuple[str, ...], preprocessing: Preprocessing
    ) -> None:
        self._presenter, self.answer = presenter, answer
        self.classes, self.preprocessing = classes, preprocessing
        self.resolution = preprocessing.height, preprocessing.width
        self.channels = preprocessing.channels

    @abstractmethod
    def raw(self, tensors: Sequence[Any]) -> list[dict[str, Any]]:
        """The decoded prediction of each of some prepared images.

        Args:
            tensors: ``pixels`` of :meth:`prepare`: uint8 [channels, height, width].

        Returns:
            Named tensors (of a run) or arrays (of an exported model), on the CPU; boxes are in pixels of the input.
        """

    @overload
    def predict(self, images: ImageLike, *, batch_size: int = 32) -> dict[str, Any]: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Sequence[ImageLike], *, batch_size: int = 32) -> list[dict[str, Any]]: ...

    def predict(
        self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 32
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """What the model says of one image, or of each of many.

        Args:
            images: a file, a Pillow image or uint8 pixels [height, width(, channels)] in RGB; or a sequence of them
                (an array [n, height, width, channels] is one, too).
            batch_size: images that go through the model at once.

        Returns:
            A row of plain values an image; for classification ``label``, ``score`` (0 to 1) and ``top5``.

        Raises:
            UserError: a file that cannot be read, or an array that is no image.
        """
        if is_one(images):
            return self._rows([images])[0]  # type: ignore[list-item]
        many: Sequence[ImageLike] = images  # type: ignore[assignment]
        rows: list[dict[str, Any]] = []
        for start in range(0, len(many), batch_size):
            rows += self._rows(many[start : start + batch_size])
        return rows

    def prepare(self, image: ImageLike) -> Prepared:
        """The image as the model takes it, and how it lies there."""
        return self.preprocessing.prepare(image)

    def describe(self, prediction: Any, prepared: Prepared | None = None) -> dict[str, Any]:
        """A prediction of :meth:`raw` as a row of plain values; boxes are the image's where it is told of which."""
        placed = prediction if prepared is None else self._presenter.locate(prediction, prepared.to_image)
        return self._presenter.describe(placed)

    def scores(self, prediction: Any, prepared: Prepared) -> dict[str, Any]:
        """All detections, or the probability of every class, of a prediction of :meth:`raw`; as plain values."""
        return self.answer.scores(_arrays(self._presenter.locate(prediction, prepared.to_image)))

    def files(self, prediction: Any, prepared: Prepared) -> dict[str, Any]:
        """What a row cannot hold of a prediction of :meth:`raw`: PIL images by the folder that they go to."""
        located = _arrays(self._presenter.locate(prediction, prepared.to_image))
        return self.answer.files(located, prepared.shape)

    def certainty(self, prediction: Any) -> float:
        """How sure the model is of an image, 0 to 1 (:meth:`mobilevision.deploy.answers.Answer.certainty`)."""
        return self.answer.certainty(_arrays(prediction))

    def draw(self, image: ImageLike, prediction: Any, prepared: Prepared, *, side: int = 640) -> Image.Image:
        """A prediction of :meth:`raw` on the whole image, whose longer side is ``side`` pixels at most."""
        pixels = self.preprocessing.whole(image, side=side)
        located = self._presenter.locate(prediction, prepared.to_shown(pixels.shape))
        drawn: Image.Image = self._presenter.draw(pixels, located)
        return drawn

    def _rows(self, images: Sequence[ImageLike]) -> list[dict[str, Any]]:
        prepared = [self.prepare(image) for image in images]
        predictions = self.raw([each.pixels for each in prepared])
        return [self.describe(prediction, each) for prediction, each in zip(predictions, prepared, strict=True)]


def _arrays(prediction: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in prediction.items()}
