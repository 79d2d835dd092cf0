"""A trained model in Python: ``mobilevision.load(run).predict(picture)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final, overload

import torch
from PIL import Image
from torch import Tensor

from mobilevision.deploy.preprocessing import is_one
from mobilevision.engine.restore import load_run
from mobilevision.ops.rows import take
from mobilevision.prediction.preprocess import ImageLike, Prepared, prepare, whole


@final
class Model:
    """A run's model, ready to predict.

    Args:
        task: a :class:`mobilevision.tasks.base.Task`.
        device: where it computes.

    Attributes:
        task: the model itself.
        classes: class names, in the order of the outputs.
        resolution: (height, width) of its input in pixels.
        channels: channels of its input.
    """

    def __init__(self, task: Any, *, device: str | torch.device = "cpu") -> None:
        self.task = task.eval().to(device)
        self.classes: tuple[str, ...] = task.data_spec.classes
        self.resolution: tuple[int, int] = task.data_spec.resolution
        self.channels: int = task.data_spec.channels

    @overload
    def predict(self, images: ImageLike, *, batch_size: int = 32) -> dict[str, Any]: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Sequence[ImageLike], *, batch_size: int = 32) -> list[dict[str, Any]]: ...

    def predict(
        self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 32
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """What the model says of one picture, or of each of many.

        Args:
            images: a file, a Pillow image or uint8 pixels [height, width(, channels)] in RGB; or a sequence of them
                (an array [n, height, width, channels] is one, too).
            batch_size: pictures that go through the model at once.

        Returns:
            A row of plain values a picture; for classification ``label``, ``score`` (0 to 1) and ``top5``.

        Raises:
            UserError: a file that cannot be read, or an array that is no picture.
        """
        if is_one(images):
            return self.describe_all([self.prepare(images)])[0]  # type: ignore[arg-type]
        rows: list[dict[str, Any]] = []
        many: Sequence[ImageLike] = images  # type: ignore[assignment]
        for start in range(0, len(many), batch_size):
            rows += self.describe_all([self.prepare(image) for image in many[start : start + batch_size]])
        return rows

    def prepare(self, image: ImageLike) -> Prepared:
        """The picture as the model takes it, and how it lies there."""
        return prepare(image, spec=self.task.data_spec, crop=self.task.backbone.preset.crop)

    def preprocess(self, image: ImageLike) -> Tensor:
        """The picture as the model takes it: uint8 [channels, height, width]."""
        return self.prepare(image).pixels

    @torch.inference_mode()
    def raw(self, tensors: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """The decoded prediction of each of some preprocessed pictures, on the CPU; places are those of the input."""
        batch = torch.stack(list(tensors)).to(self.task.device).contiguous(memory_format=torch.channels_last)
        decoded = {name: value.cpu() for name, value in self.task.predict(batch).items()}
        return [take(decoded, place) for place in range(len(tensors))]

    def describe_all(self, prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
        """What the model says of prepared pictures; places are pixels of the upright pictures themselves."""
        predictions = self.raw([one.pixels for one in prepared])
        return [self.describe(p, one) for p, one in zip(predictions, prepared, strict=True)]

    def describe(self, prediction: Mapping[str, Tensor], prepared: Prepared | None = None) -> dict[str, Any]:
        """A prediction of :meth:`raw` as a row of plain values; where it is told of what, places are the picture's."""
        placed = prediction if prepared is None else self.task.locate(prediction, prepared.to_picture)
        row: dict[str, Any] = self.task.describe(placed)
        return row

    def draw(
        self, image: ImageLike, prediction: Mapping[str, Tensor], prepared: Prepared, *, side: int = 640
    ) -> Image.Image:
        """A prediction of :meth:`raw` on the whole picture, whose longer side is ``side`` pixels at most."""
        pixels = whole(image, channels=self.channels, side=side, white_level=self.task.data_spec.white_level)
        drawn: Image.Image = self.task.draw(pixels, self.task.locate(prediction, prepared.to_shown(pixels.shape)))
        return drawn


def load(run: str | Path, *, which: Literal["best", "last"] = "best", device: str | None = None) -> Model:
    """Load the model of a run.

    Args:
        run: the run folder.
        which: the best checkpoint, or the last.
        device: such as ``cpu`` or ``cuda``; None takes a GPU where there is one.

    Raises:
        UserError: no run there, or no such checkpoint.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Model(load_run(run, which=which).task, device=chosen)
