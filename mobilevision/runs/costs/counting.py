"""From a composed config to its cost: backbone and head, built of shapes alone, traced once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from mobilevision.cost import Cost, Unfilled, count
from mobilevision.errors import UserError
from mobilevision.heads import Head
from mobilevision.runs.auto_settings import without_training
from mobilevision.runs.build import build_backbone, default_side, instantiate
from mobilevision.runs.costs.classes import Known
from mobilevision.runs.costs.presets import without_weights
from mobilevision.runs.costs.stand_in import spec_of

if TYPE_CHECKING:
    from mobilevision.backbones import Backbone

_NO_VALUES = (
    RuntimeError,
    AssertionError,
    TypeError,
    ValueError,
)  # what torch, and models, say where values are missing


@dataclass(frozen=True)
class Counted:
    """A model's cost, and for what input and outputs it holds.

    Attributes:
        cost: of one picture.
        backbone: what the backbone calls itself.
        resolution: (height, width) of the input in pixels.
        channels: of the input.
        classes: classes that the head was made for; of a detector without background.
    """

    cost: Cost
    backbone: str
    resolution: tuple[int, int]
    channels: int
    classes: int


def cost_of(
    cfg: DictConfig,
    *,
    classes: int,
    cells: dict[str, Any] | None = None,
    resolution: tuple[int, int] | None = None,
) -> Counted:
    """Count what a config describes, without data, weights, loss or teacher; nothing takes memory.

    A tenth of a second for a MobileNet. To count many, compose once and change values of a copy: composing takes
    longer than counting.

    Args:
        cfg: composed; it is left as it is.
        classes: how many the head tells apart; of a detector without background.
        cells: of Earth, where the classes are such; None takes as many somewhere.
        resolution: (height, width) of the input; None: ``data.resolution``, else what head or weights expect.

    Raises:
        UserError: head and backbone that do not fit, values that they refuse, or an input they do not run on.
    """
    try:
        return _counted(cfg, Known(classes, cells), resolution, "meta")
    except _NO_VALUES:  # something, perhaps of a plugin, looks at values: let there be some
        pass
    try:
        return _counted(cfg, Known(classes, cells), resolution, "cpu")
    except _NO_VALUES as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{backbone_and_head(cfg)} do not run on this input: {reason}") from error


@final
class Deployed(nn.Module):
    """What of a task predicts: the backbone, as far as the head needs it, and the head.

    Args:
        backbone: it gives its last stage to a head that takes it, and loses what the head does without.
        head: made for it.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        if head.needs.tail:
            head.take_tail(backbone.split_tail())
        backbone.keep(head.needs)
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of pictures [B, C, H, W], uint8."""
        return self.head(self.backbone(images, self.head.needs))


def deployed(
    cfg: DictConfig,
    *,
    classes: int,
    cells: dict[str, Any] | None = None,
    resolution: tuple[int, int] | None = None,
    device: str = "cpu",
) -> tuple[Deployed, Tensor]:
    """What a config describes as it predicts, with random weights, and a grey picture for it.

    Args:
        cfg: composed; it is left as it is.
        classes: how many the head tells apart; of a detector without background.
        cells: as for :func:`cost_of`.
        resolution: (height, width) of the input; None: as for :func:`cost_of`.
        device: where both lie; on ``meta`` there are shapes only.

    Returns:
        The model in training mode, and uint8 [1, channels, height, width].

    Raises:
        UserError: head and backbone that do not fit, or values that they refuse.
    """
    bare = without_training(without_weights(cfg))
    with torch.device(device), Unfilled():
        backbone = build_backbone(bare)
        side = default_side(bare, backbone)
        size = resolution or _pair(bare.data.resolution) or (side, side)
        kind, channels = str(bare.task.kind), backbone.channels
        spec = spec_of(kind, classes=classes, channels=channels, resolution=size, cells=cells)
        head = instantiate(bare.head, drop=("kinds",), backbone=backbone.spec, data=spec)
        return Deployed(backbone, head), torch.full((1, channels, *size), 128, dtype=torch.uint8)


def _counted(cfg: DictConfig, known: Known, resolution: tuple[int, int] | None, device: str) -> Counted:
    """On the meta device there are shapes only; on another, a real model looks at a grey picture."""
    model, picture = deployed(cfg, **known._asdict(), resolution=resolution, device=device)
    _, channels, height, width = picture.shape
    return Counted(count(model, picture), model.backbone.name, (height, width), channels, known.classes)


def backbone_and_head(cfg: DictConfig) -> str:
    """Both by the names of their code."""
    return " and ".join(str(node["_target_"]).rpartition(".")[2] for node in (cfg.backbone, cfg.head))


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = OmegaConf.to_container(value) if not isinstance(value, int) else [value, value]
    if not isinstance(sides, list) or len(sides) != 2 or min(sides) < 1:
        raise UserError(f"data.resolution={value}: give a side or [height, width] in pixels")
    return int(sides[0]), int(sides[1])
