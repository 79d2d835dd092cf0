"""What a stopwatch is held to: anything with a ``run()``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

_SQUARE = {"cpu": 1024, "cuda": 4096}  # sides of the matrices whose product is the machine's peak


class Timed(ABC):
    """One piece of work that can be done again and again.

    Attributes:
        mult_adds: of one :meth:`run`.
        device: where it runs, such as ``cpu``.
        threads: of the CPU that it may use.
    """

    mult_adds: int
    device: str
    threads: int

    @abstractmethod
    def run(self) -> None:
        """Do it once, and come back when it is done."""


@final
class TorchModel(Timed):
    """A forward pass of a model in eager torch.

    Args:
        model: takes uint8 images; it is put into evaluation mode and onto the device.
        images: uint8 [batch, channels, height, width].
        mult_adds: of one image.
        device: where it runs.
        threads: of the CPU.
        channels_last: the memory layout that convolutions like best.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        *,
        mult_adds: int,
        device: str = "cpu",
        threads: int = 1,
        channels_last: bool = True,
    ) -> None:
        self.mult_adds, self.device, self.threads = mult_adds * len(images), device, threads
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self._model = model.eval().to(device, memory_format=layout)  # type: ignore[call-overload]
        self._images = images.to(device).contiguous(memory_format=layout)

    def run(self) -> None:
        """One forward pass, waited for."""
        with torch.inference_mode():
            self._model(self._images)
        _wait(self.device)


@final
class MatrixProduct(Timed):
    """A product of two square float32 matrices: what the machine reaches at best, for others to be a share of.

    Args:
        device: where it runs; on CUDA in TF32 where convolutions are allowed it.
        threads: of the CPU.
    """

    def __init__(self, *, device: str = "cpu", threads: int = 1) -> None:
        self.device, self.threads = device, threads
        if device.startswith("cuda"):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        side = _SQUARE.get(device.partition(":")[0], _SQUARE["cpu"])
        self.mult_adds = side**3
        self._left, self._right = torch.rand(2, side, side, device=device)

    def run(self) -> None:
        """One product, waited for."""
        torch.mm(self._left, self._right)
        _wait(self.device)


def _wait(device: str) -> None:
    """A GPU goes on by itself after a call comes back."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()
