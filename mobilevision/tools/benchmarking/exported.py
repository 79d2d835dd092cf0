"""An exported model under the stopwatch: as it is, in the runtime of its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from mobilevision.cost import Cost
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.timed import Timed
from mobilevision.tools.costs.counting import Counted


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
@dataclass(frozen=True)
class Exported:
    """An exported model whose time is taken.

    Attributes:
        argument: its folder, as the user typed it.
        head: the class of its head.
        format: of its file.
        precision: of its numbers.
        counted: the cost that its model.json states.
    """

    argument: str
    head: str
    format: str
    precision: str
    counted: Counted

    @property
    def name(self) -> str:
        """Backbone, head, side, format, and the precision where it is not float32."""
        height, width = self.counted.resolution
        side = f"{height}" if height == width else f"{height}x{width}"
        smaller = "" if self.precision == "float32" else f" {self.precision}"
        return f"{self.counted.backbone} + {self.head} {side} {self.format}{smaller}"

    @property
    def how(self) -> str:
        """What runs it, in words."""
        return f"exported: {self.format}, {self.precision}"

    def timed(self, *, batch: int, threads: int, device: str, fold: bool, channels_last: bool) -> Timed:
        """The model before ``batch`` images of noise; how torch would lay things out is nothing to it.

        Raises:
            UserError: any device but the CPU.
        """
        if device != "cpu":
            raise UserError(f"--device {device}: {self.argument} is an exported model, which runs on the CPU")
        cost = self.counted.cost.mult_adds
        return RuntimeModel(Path(self.argument), batch=batch, mult_adds=cost, threads=threads)


def exported(folder: str) -> Exported:
    """The exported model in a folder.

    Raises:
        UserError: model.json cannot be read, or does not say what the model costs.
    """
    manifest = Manifest.read(folder)
    about, how = manifest.about, manifest.preprocessing
    try:
        cost = Cost(int(about["cost"]["parameters"]), int(about["cost"]["mult_adds"]), ())
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder}/model.json: about.cost is missing: export the model again") from None
    counted = Counted(cost, str(about.get("backbone")), (how.height, how.width), how.channels, len(manifest.classes))
    head = str(about.get("head")).removesuffix("Head").lower()
    return Exported(folder, head, manifest.format, manifest.precision, counted)
