"""A trained model in Python: ``mobilevision.load(run).predict(image)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor

from mobilevision.deploy.predictor import Predictor
from mobilevision.deploy.preprocessing import ImageLike, Preprocessing
from mobilevision.engine.restore import load_run
from mobilevision.ops.rows import take
from mobilevision.tasks.base import Task


@final
class Model(Predictor):
    """A run's model, ready to predict.

    Args:
        task: the run's.
        device: where it computes.

    Attributes:
        task: the model itself.
    """

    def __init__(self, task: Task, *, device: str | torch.device = "cpu") -> None:
        spec = task.data_spec
        preprocessing = Preprocessing.of(spec, task.backbone.preset.crop)
        super().__init__(task, answer=task.current_answer, classes=spec.classes, preprocessing=preprocessing)
        self.task = task.eval().to(device)

    def preprocess(self, image: ImageLike) -> Tensor:
        """The image as the model takes it: uint8 [channels, height, width]."""
        return torch.from_numpy(self.prepare(image).pixels)

    @torch.inference_mode()
    def raw(self, tensors: Sequence[Any]) -> list[dict[str, Tensor]]:
        """See :class:`Predictor`."""
        batch = torch.stack([torch.as_tensor(pixels) for pixels in tensors]).to(self.task.device)
        decoded = self.task.predict(batch.contiguous(memory_format=torch.channels_last))
        predictions = {name: value.cpu() for name, value in decoded.items()}
        return [take(predictions, index) for index in range(len(tensors))]


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
