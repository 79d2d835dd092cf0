"""Times of several contenders that take turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor, nn

from mobilevision.deploy.artifact import Artifact
from mobilevision.errors import UserError

Clock = Literal["wall", "cpu"]
ROUNDS = 10
_BURST = 20  # runs of one contender in a row, at most
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
class RuntimeModel(Timed):
    """A run of an exported model before images of noise.

    Args:
        folder: of the exported model.
        batch: images at once.
        mult_adds: of one image.
        threads: of the CPU.
    """

    def __init__(self, folder: Path, *, batch: int, mult_adds: int, threads: int) -> None:
        self.mult_adds, self.device, self.threads = mult_adds * batch, "cpu", threads
        artifact = Artifact(folder, threads=threads)
        shape = batch, artifact.channels, *artifact.resolution
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        self._images: Any = images.astype(artifact.manifest.input.dtype)
        self._run, self._finish = artifact.run, artifact.answer.finish

    def run(self) -> None:
        """One batch, answers included."""
        self._finish(self._run(self._images))


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


@final
@dataclass
class Times:
    """Seconds of every run of one contender.

    Attributes:
        wall: by the clock on the wall: what a user waits.
        cpu: the processor's, all threads together; on one thread what a quiet machine's clock would show.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def median(self, clock: Clock = "wall") -> float:
        """Half of the runs took less."""
        return statistics.median(self.of(clock))

    def quartiles(self, clock: Clock = "wall") -> tuple[float, float]:
        """Half of the runs lie between these."""
        first, _, third = statistics.quantiles(self.of(clock), n=4, method="inclusive")
        return first, third

    def of(self, clock: Clock) -> list[float]:
        """The runs by one of the clocks."""
        return self.wall if clock == "wall" else self.cpu

    @property
    def busy(self) -> float:
        """The part of the time that the processor was ours, for one thread: below 1 where others wanted it too."""
        return sum(self.cpu) / max(sum(self.wall), 1e-9)


def measure(
    contenders: Sequence[Timed],
    *,
    seconds: float = 1.0,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] | None = None,
) -> list[Times]:
    """Take the times of all contenders in turns.

    Each is run a few times before anything is noted. In every round each has a burst of runs, and one before it that is
    not noted, since others have just been at the caches.

    Args:
        contenders: what is measured; those of equal threads follow one another best.
        seconds: about so long in all for each, but every contender runs at least once a round.
        rounds: how often each has its turn.
        progress: is told how far it is.

    Raises:
        UserError: torch does not change its number of threads.
    """
    bursts = [max(1, min(_BURST, round(seconds / rounds / max(impression(each), 1e-6)))) for each in contenders]
    times = [Times() for _ in contenders]
    for number in range(rounds):
        if progress is not None:
            progress(f"round {number + 1} of {rounds}")
        for each, runs, found in zip(contenders, bursts, times, strict=True):
            _threads(each.threads)
            each.run()
            for _ in range(runs):
                _note(each, found)
    return times


def impression(contender: Timed, clock: Clock = "wall") -> float:
    """The least seconds of three runs after the first."""
    _threads(contender.threads)
    contender.run()
    found = Times()
    for _ in range(3):
        _note(contender, found)
    return min(found.of(clock))


def _note(contender: Timed, found: Times) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    contender.run()
    found.wall.append(time.perf_counter() - wall)
    found.cpu.append(time.process_time() - cpu)


def _threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    if torch.get_num_threads() != count:  # torch built on a thread pool of its own keeps the first number
        raise UserError(
            f"--threads: this build of torch stays at {torch.get_num_threads()}: measure one number a command"
        )
