"""The module that goes into a file: pixels in, finished predictions out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from mobilevision.deploy.manifest import Port

InputType = Literal["uint8", "float32"]


@final
class Graph(nn.Module):
    """A task as one function from a batch of pixels to named tensors: normalisation and decoding are in it.

    Args:
        task: a :class:`mobilevision.tasks.base.Task` in evaluation mode.
        shape: (channels, height, width) of the input.
        dtype: of the input; its values are 0 to 255 in any case.
        raw: leave decoding out.

    Attributes:
        input: the input's name.
        names: the outputs' names, in the order in which :meth:`forward` gives them.
    """

    input = "image"

    def __init__(
        self, task: Any, *, shape: tuple[int, int, int], dtype: InputType = "uint8", raw: bool = False
    ) -> None:
        super().__init__()
        # In channels_last, an average over places is traced with its strides, which later become a gather.
        self.task, self.raw = task.to(memory_format=torch.contiguous_format), raw
        self.shape, self.dtype = shape, dtype
        with torch.inference_mode():
            outputs = self._named(self.example())
        self.names = tuple(outputs)
        dtypes = [str(value.dtype).removeprefix("torch.") for value in outputs.values()]
        shapes = [(None, *value.shape[1:]) for value in outputs.values()]
        self.outputs = tuple(map(Port, self.names, dtypes, shapes))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the order of ``names``.

        Args:
            images: [B, C, H, W], 0..255.
        """
        return tuple(self._named(images).values())

    def example(self, batch: int = 2) -> Tensor:
        """An input to trace with: noise, so that detectors find something to decode."""
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (batch, *self.shape), generator=generator, dtype=torch.uint8)
        return pixels if self.dtype == "uint8" else pixels.float()

    @property
    def port(self) -> Port:
        """The input."""
        return Port(self.input, self.dtype, (None, *self.shape))

    def _named(self, images: Tensor) -> Mapping[str, Tensor]:
        outputs = self.task(images)
        named: Mapping[str, Tensor] = self.task.raw(outputs) if self.raw else self.task.deploy(outputs)
        return named
