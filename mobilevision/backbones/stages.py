"""Taking a timm model apart: its last stage as a module of its own, and removing what nobody asks for."""

from __future__ import annotations

from collections.abc import Mapping

from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

Levels = Mapping[int, tuple[int, int]]
"""Stride -> (index among timm's intermediates, channels)."""

BEFORE_TAIL = 16
"""Stride of the map that the tail is fed with."""


def levels_of(model: nn.Module) -> dict[int, tuple[int, int]]:
    """The feature maps of a timm model; the deepest where several share a stride."""
    if not hasattr(model, "forward_intermediates"):
        return {}
    noted = getattr(model, "feature_info", ())
    infos = noted if isinstance(noted, list | tuple) else noted.info
    return {info["reduction"]: (index, info["num_chs"]) for index, info in enumerate(infos)}


def tail_width(model: nn.Module, levels: Levels) -> int | None:
    """Channels that the stage after the map of stride 16 gives; None where it cannot be taken out.

    It can in models of timm's EfficientNet and MobileNetV3 (all MobileNets are), where nothing but convolutions
    has a stride.
    """
    stages = _after_stride_16(model, levels)
    strided = [layer for layer in stages.modules() if _strided(layer)]
    if not len(stages) or not all(isinstance(layer, nn.Conv2d) for layer in strided):
        return None
    return max(levels.values())[1]


def take_tail(model: nn.Module, levels: Levels) -> nn.Sequential:
    """The stage after the map of stride 16, at stride 1, cut out of ``model``, which ends at that map from then on.

    Args:
        model: a timm model of which :func:`tail_width` is known.
        levels: its feature maps.
    """
    tail = nn.Sequential(*_after_stride_16(model, levels))
    for parent in list(tail.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d) and _strided(layer):
                setattr(parent, name, _unstrided(layer))
    prune(model, levels[BEFORE_TAIL][0])
    return tail


def prune(model: nn.Module, deepest: int) -> None:
    """Remove what comes after intermediate number ``deepest``, where timm knows how."""
    if hasattr(model, "prune_intermediate_layers"):
        model.prune_intermediate_layers([deepest], prune_norm=True, prune_head=True)  # type: ignore[operator]


def _after_stride_16(model: nn.Module, levels: Levels) -> nn.Sequential:
    if not isinstance(model, EfficientNet | MobileNetV3) or not {16, 32} <= set(levels):
        return nn.Sequential()
    after: nn.Sequential = model.blocks[model.stage_ends[levels[BEFORE_TAIL][0]] :]
    return after


def _strided(layer: nn.Module) -> bool:
    return getattr(layer, "stride", 1) not in (1, (1, 1))


def _unstrided(layer: nn.Conv2d) -> nn.Conv2d:
    """The same weights at stride 1; SAME padding is then as much on one side as on the other."""
    (height, width), (down, right) = kernel, dilation = _pair(layer.kernel_size), _pair(layer.dilation)
    made = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel,
        padding=(down * (height - 1) // 2, right * (width - 1) // 2),
        dilation=dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
        device="meta",
    )
    made.weight, made.bias = layer.weight, layer.bias
    return made


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
