"""Teachers: a frozen model that runs on the student's images, or outputs that were computed before."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.spec import Features, Needs


class ModelOutputs(NamedTuple):
    """Outputs of a model for a batch.

    Attributes:
        outputs: raw outputs of its head.
        features: the features that were asked for; None where a teacher has outputs only.
    """

    outputs: Any
    features: Features | None


class Teacher(ABC):
    """A model whose outputs the student imitates.

    It is no module on purpose: what a task holds as one ends up in its checkpoints, its optimiser and its averages.

    Attributes:
        name: for people.
        classes: in the order of its outputs; empty where they have no names.
        sees_images: whether it computes its outputs from images; otherwise it has them by index in train.
    """

    name: str
    classes: tuple[str, ...]
    sees_images: bool = True

    @abstractmethod
    def __call__(self, batch: Mapping[str, Any], needs: Needs) -> ModelOutputs:
        """Outputs for a batch, without gradients.

        Args:
            batch: ``image`` uint8 or float [B, C, H, W], 0..255, and ``index`` int64 [B].
            needs: features that are wanted beside the outputs.
        """

    @abstractmethod
    def digest(self) -> str:
        """A short text that differs for teachers that differ."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        """The same: nothing in it ever changes, so whoever copies a task (a moving average does) need not copy it."""
        return self


@final
class Joined(nn.Module):
    """Backbone and head of a model, from images to raw outputs.

    Args:
        backbone: images and :class:`~mobilevision.spec.Needs` in, features out; normalises by itself.
        head: features in, raw outputs out; has ``needs``.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def see(self, images: Tensor, more: Needs) -> ModelOutputs:
        """Raw outputs of images [B, C, H, W], and the features that the head needs and more."""
        own: Any = self.head.needs
        features: Features = self.backbone(images, own | more)
        return ModelOutputs(self.head(features), features)

    def forward(self, images: Tensor) -> Any:
        """Raw outputs."""
        return self.see(images, Needs()).outputs


@final
class ModelTeacher(Teacher):
    """A trained model: frozen, in evaluation mode, with its own side and normalisation.

    The student's batch is resized to the teacher's side on the device, antialiased, so that both see the same crop.

    Args:
        backbone: as in :class:`Joined`.
        head: likewise.
        resolution: (height, width) of its input in pixels.
        classes: as in :class:`Teacher`.
        name: as in :class:`Teacher`.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        head: nn.Module,
        resolution: tuple[int, int],
        classes: tuple[str, ...],
        name: str,
    ) -> None:
        self.resolution, self.classes, self.name = resolution, classes, name
        self.model = Joined(backbone, head).requires_grad_(False).eval()
        self._device = torch.device("cpu")

    def __call__(self, batch: Mapping[str, Any], needs: Needs) -> ModelOutputs:
        """See :class:`Teacher`; boxes are given in pixels of the student's input."""
        images: Tensor = batch["image"]
        if images.device != self._device:
            self.model.to(images.device)
            self._device = images.device
        with torch.no_grad():
            seen = self.model.see(resized(images, self.resolution), needs)
        height, width = images.shape[2:]
        return seen._replace(outputs=rescaled(seen.outputs, width / self.resolution[1], height / self.resolution[0]))

    def digest(self) -> str:
        """See :class:`Teacher`: of every weight and statistic, and of the side."""
        return _digest(self.model, repr((self.resolution, self.classes)))

    def backbone_digest(self) -> str:
        """The same for teachers that have one backbone, such as parts of a run."""
        return _digest(self.model.backbone)


def _digest(model: nn.Module, beside: str = "") -> str:
    found = hashlib.sha256(beside.encode())
    for key, value in model.state_dict().items():
        found.update(key.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def resized(images: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Images [B, C, H, W] at another size: float with antialiased bilinear weights, or as they are where it fits."""
    if tuple(images.shape[2:]) == tuple(resolution):
        return images
    return functional.interpolate(images.float(), resolution, mode="bilinear", antialias=True)


def rescaled(outputs: Any, across: float, down: float) -> Any:
    """A detector's outputs with its anchors in other pixels; anything else as it is.

    Args:
        outputs: raw outputs of any head.
        across: factor on x.
        down: factor on y.
    """
    if not isinstance(outputs, DetectorOutputs) or across == down == 1:
        return outputs

    def one(candidates: Candidates) -> Candidates:
        factors = candidates.anchors.new_tensor([across, down, across, down])
        return candidates._replace(anchors=candidates.anchors * factors)

    return DetectorOutputs(one(outputs.final), None if outputs.proposals is None else one(outputs.proposals))


@final
class KnownOutputs(Teacher):
    """Gives a sample's outputs by its place in the split, whatever became of its pixels.

    Args:
        rows: float32 [n, K], raw outputs by place; NaN where nothing is known.
        classes: as in :class:`Teacher`.
        name: as in :class:`Teacher`.
    """

    sees_images = False

    def __init__(self, *, rows: Tensor, classes: tuple[str, ...], name: str) -> None:
        self.rows, self.classes, self.name = rows, classes, name

    def __call__(self, batch: Mapping[str, Any], needs: Needs) -> ModelOutputs:
        """See :class:`Teacher`.

        Raises:
            UserError: features are asked for.
        """
        if needs.strides or needs.pooled:
            raise UserError(
                f"distill.teacher={self.name}: only its outputs are known, no features: use distill=outputs"
            )
        index: Tensor = batch["index"]
        return ModelOutputs(self.rows[index.cpu()].to(index.device), None)

    def digest(self) -> str:
        """See :class:`Teacher`."""
        return hashlib.sha256(self.rows.numpy().tobytes()).hexdigest()[:16]
