"""One interface for every backbone: images in, feature maps by stride and a pooled vector out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from mobilevision.backbones.loading import Classifier, LoadReport
from mobilevision.backbones.presets import Preset
from mobilevision.errors import UserError
from mobilevision.spec import BackboneSpec, Features, Needs

# Taking a timm model apart: its last stage as a module of its own, and removing what nobody asks for.

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
    (height, width), (down, right) = layer.kernel_size, layer.dilation
    made = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        (height, width),
        padding=(down * (height - 1) // 2, right * (width - 1) // 2),
        dilation=(down, right),
        groups=layer.groups,
        bias=layer.bias is not None,
        device="meta",
    )
    made.weight, made.bias = layer.weight, layer.bias
    return made


@final
class Backbone(nn.Module):
    """A timm model without its classifier, and the normalisation its weights expect.

    Args:
        name: what to call it, e.g. ``mobilenet_v1_0.5``.
        model: a timm model with ``num_classes=0``, under timm's own key names.
        preset: what the weights expect, everything resolved; ``mean`` and ``std`` of ``channels`` entries.
        channels: channels of an image.
        classifier: the last layer that came with the weights, for a head of as many classes to take.
        report: what came of loading the weights, None without any.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        name: str,
        model: nn.Module,
        preset: Preset,
        channels: int = 3,
        classifier: Classifier | None = None,
        report: LoadReport | None = None,
    ) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        self.model = model
        self.classifier, self.report = classifier, report
        self._levels, self._pools = levels_of(model), True
        self.spec = BackboneSpec(pooled_width(model), self._widths(), tail_width(model, self._levels))
        self.set_preset(preset)

    def set_preset(self, preset: Preset) -> None:
        """Take images as weights expect them that were trained with this preset: with its mean and deviation."""
        self.preset = preset
        self.register_buffer("mean", torch.tensor(preset.mean) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(preset.std) * 255, persistent=False)

    def forward(self, images: Tensor, needs: Needs) -> Features:
        """Features of images; only what ``needs`` asks for is computed.

        Args:
            images: [batch, channels, height, width], uint8 or float, 0..255.
            needs: the strides and whether the pooled vector is wanted.

        Returns:
            Maps [batch, spec.strides[stride], ceil(height / stride), ceil(width / stride)], and [batch, spec.width].

        Raises:
            UserError: a stride that this backbone does not have, or a pooled vector after its last layers went.
        """
        if needs.pooled and not self._pools:
            raise UserError(f"{self.name} gives no pooled vector any more: its last layers were taken off it")
        x = self.normalize(images)
        if not needs.strides:
            return Features({}, self._pool(self.model.forward_features(x)) if needs.pooled else None)  # type: ignore[operator]
        indices = [self._level(stride) for stride in needs.strides]
        if not needs.pooled:
            maps = self.model.forward_intermediates(x, indices=indices, intermediates_only=True, stop_early=True)  # type: ignore[operator]
            return Features(_by_stride(needs, indices, maps), None)
        x, maps = self.model.forward_intermediates(x, indices=indices)  # type: ignore[operator]
        return Features(_by_stride(needs, indices, maps), self._pool(x))

    def lowest_stages(self, count: int) -> list[nn.Module]:
        """The layers with weights in the stem and the stages after it, ``count`` of them in all, as timm groups them.

        Args:
            count: 0 gives none, 1 the stem; more than there are gives all.
        """
        from timm.models import group_parameters

        if count < 1:
            return []
        groups = group_parameters(self.model, self.model.group_matcher(coarse=True))  # type: ignore[operator]
        names = [name for group, members in groups.items() if group < count for name in members]
        return [self.model.get_submodule(name) for name in dict.fromkeys(name.rpartition(".")[0] for name in names)]

    def split_tail(self) -> nn.Module:
        """Cut the last stage off, as the second stage of a detector over regions (``Needs.tail``).

        Its strides become 1, so that 7 x 7 stays 7 x 7, and its weights move with it; no map of stride 32 is left here.

        Returns:
            A module from [n, spec.strides[16], h, w] to [n, spec.tail, h, w].

        Raises:
            UserError: this backbone's last stage is not such a one.
        """
        if self.spec.tail is None:
            raise UserError(f"{self.name} has no last stage that head=faster_rcnn could take: use head=faster_rcnn_fpn")
        tail = take_tail(self.model, self._levels)
        self._end_at(self._level(16))
        return tail

    def keep(self, needs: Needs) -> None:
        """Remove the layers that ``needs`` does without, so that no weight waits for a gradient that never comes.

        What stays keeps its name in the state dict; for the pooled vector everything stays.

        Raises:
            UserError: a stride that this backbone does not have.
        """
        if needs.pooled or not needs.strides:
            return
        deepest = max(self._level(stride) for stride in needs.strides)
        prune(self.model, deepest)
        self._end_at(deepest)

    def _end_at(self, deepest: int) -> None:
        """Note that only the maps up to timm's intermediate ``deepest`` are left."""
        self._levels = {stride: level for stride, level in self._levels.items() if level[0] <= deepest}
        self._pools = False
        self.spec = BackboneSpec(self.spec.width, self._widths())

    def _widths(self) -> dict[int, int]:
        return {stride: width for stride, (_, width) in self._levels.items()}

    def normalize(self, images: Tensor) -> Tensor:
        """Pixels 0..255 [batch, channels, height, width] to what the weights expect, in the layers' float type.

        Where the channels lie innermost in memory, whole rows are normalised at a stretch: four times as fast.
        """
        mean, std = self.mean, self.std
        rows = not torch.compiler.is_compiling() and images.is_contiguous(memory_format=torch.channels_last)
        if not rows or images.shape[1] == 1:
            return (images.to(mean.dtype) - mean[:, None, None]) / std[:, None, None]
        batch, channels, height, width = images.shape
        pixels = images.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
        x = (pixels - mean.repeat(width)).div_(std.repeat(width))
        return x.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _pool(self, x: Tensor) -> Tensor:
        return self.model.forward_head(x, pre_logits=True)  # type: ignore[operator, no-any-return]

    def _level(self, stride: int) -> int:
        if stride not in self._levels:
            have = ", ".join(map(str, self._levels)) or "none"
            raise UserError(f"{self.name} has no feature map of stride {stride}; it has {have}")
        return self._levels[stride][0]


def pooled_width(model: nn.Module) -> int:
    """Length of a timm model's pooled vector: the layer before its classifier."""
    return int(getattr(model, "head_hidden_size", None) or model.num_features)  # type: ignore[arg-type]


def _by_stride(needs: Needs, indices: list[int], maps: list[Tensor]) -> dict[int, Tensor]:
    """Maps by stride: timm gives maps in the order of depth, whatever order was asked for."""
    found = dict(zip(sorted(indices), maps, strict=True))
    return {stride: found[index] for stride, index in zip(needs.strides, indices, strict=True)}
