"""One interface for every backbone: images in, feature maps by stride and a pooled vector out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from timm.models._efficientnet_blocks import InvertedResidual
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from mobilevision.backbones.loading import Classifier, LoadReport
from mobilevision.backbones.presets import Preset
from mobilevision.errors import UserError
from mobilevision.spec import BackboneSpec, EntryChannels, Features, Inside, Needs

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


def entries_of(model: nn.Module, levels: Levels) -> dict[int, EntryChannels]:
    """Channels of the first block at each stride that can be looked into; see :func:`forward_entries`."""
    found = {}
    for stride in levels:
        block = _first_block(model, levels, stride)
        if block is not None:
            found[stride] = EntryChannels(block.conv_pw.out_channels, block.conv_pwl.out_channels)
    return found


def forward_entries(model: nn.Module, levels: Levels, x: Tensor, needs: Needs) -> Features:
    """As timm's ``forward_intermediates``, with the maps inside and behind the first blocks that are asked for.

    Args:
        model: a timm model of which :func:`entries_of` is known for ``needs.entries``.
        levels: its feature maps.
        x: normalised images.
        needs: what is wanted; a pooled vector is not made.
    """
    ends = {_stages(model, levels, stride): stride for stride in needs.strides}
    firsts = {_stages(model, levels, stride // 2): stride for stride in needs.entries}
    maps: dict[int | Inside, Tensor] = {}
    x = model.bn1(model.conv_stem(x))  # type: ignore[operator]
    if 0 in ends:
        maps[ends[0]] = x
    for number in range(max(*ends, *(first + 1 for first in firsts))):
        first, *rest = model.blocks[number]  # type: ignore[index]
        if number in firsts:
            stride, (expanded, x) = firsts[number], _enter(first, x)
            maps |= {Inside(stride, "expanded"): expanded, Inside(stride, "output"): x}
        else:
            x = first(x)
        for block in rest:
            x = block(x)
        if number + 1 in ends:
            maps[ends[number + 1]] = x
    return Features(maps, None)


def _first_block(model: nn.Module, levels: Levels, stride: int) -> InvertedResidual | None:
    """The block that halves the map of half the stride, where it is an inverted residual that stands alone."""
    if not isinstance(model, EfficientNet | MobileNetV3) or stride // 2 not in levels:
        return None
    number = _stages(model, levels, stride // 2)
    if number >= len(model.blocks):
        return None
    block: Any = model.blocks[number][0]
    return block if type(block) is InvertedResidual and not block.has_skip else None


def _stages(model: nn.Module, levels: Levels, stride: int) -> int:
    """Stages, as timm groups blocks, up to the map of a stride."""
    return int(model.stage_ends[levels[stride][0]])  # type: ignore[index]


def _enter(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What an inverted residual without a skip expands its input to, and what it gives."""
    expanded = block.bn1(block.conv_pw(x))  # type: ignore[operator]
    narrow = block.se(block.aa(block.bn2(block.conv_dw(expanded))))  # type: ignore[operator]
    return expanded, block.bn3(block.conv_pwl(narrow))  # type: ignore[operator]


def prune(model: nn.Module, deepest: int) -> None:
    """Remove what comes after intermediate number ``deepest``, where timm knows how."""
    if hasattr(model, "prune_intermediate_layers"):
        model.prune_intermediate_layers([deepest], prune_norm=True, prune_head=True)  # type: ignore[operator]


def _after_stride_16(model: nn.Module, levels: Levels) -> nn.Sequential:
    if not isinstance(model, EfficientNet | MobileNetV3) or not {16, 32} <= set(levels):
        return nn.Sequential()
    after: nn.Sequential = model.blocks[model.stage_ends[levels[BEFORE_TAIL][0]] :]
    return after


def dilate(model: nn.Module, levels: Levels, output_stride: int) -> bool:
    """Dilate the stages after the map of ``output_stride`` in place of their strides; false where that cannot be done.

    As in DeepLab (Chen et al., arXiv 1706.05587): a convolution that loses its stride keeps its own dilation, those
    after it have twice as much. It can be done where :func:`tail_width` can take a stage out.
    """
    if not isinstance(model, EfficientNet | MobileNetV3) or output_stride not in levels:
        return False
    stages = model.blocks[_stages(model, levels, output_stride) :]
    dilation = 1
    for parent in list(stages.modules()):
        for name, layer in parent.named_children():
            if not isinstance(layer, nn.Conv2d):
                if _strided(layer):
                    return False
                continue
            if _strided(layer) or (dilation > 1 and layer.kernel_size != (1, 1)):
                setattr(parent, name, _unstrided(layer, dilation))
                dilation *= layer.stride[0]
    return True


def _strided(layer: nn.Module) -> bool:
    return getattr(layer, "stride", 1) not in (1, (1, 1))


def _unstrided(layer: nn.Conv2d, dilation: int = 1) -> nn.Conv2d:
    """The same weights at stride 1, with so much more dilation; SAME padding is then alike on both sides."""
    (height, width), (down, right) = layer.kernel_size, (dilation * each for each in layer.dilation)
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
        width: the width multiplier, for heads whose channels follow it.
        classifier: the last layer that came with the weights, for a head of as many classes to take.
        report: what came of loading the weights, None without any.

    Attributes:
        detector: of a detector's weights what is no part of the body, for a head to take; None without.
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
        width: float = 1.0,
        classifier: Classifier | None = None,
        report: LoadReport | None = None,
    ) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        self.model = model
        self.classifier, self.report = classifier, report
        self._levels, self._pools = levels_of(model), True
        self.detector: Mapping[str, Tensor] | None = None
        tail, entries = tail_width(model, self._levels), entries_of(model, self._levels)
        self.spec = BackboneSpec(pooled_width(model), self._widths(), tail, entries, width)
        self.set_preset(preset)

    def set_preset(self, preset: Preset) -> None:
        """Take images as weights expect them that were trained with this preset: with its mean and deviation."""
        self.preset = preset
        self.register_buffer("mean", torch.tensor(preset.mean) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(preset.std) * 255, persistent=False)

    def note(self, lines: Sequence[str]) -> None:
        """Add to what came of loading the weights."""
        if self.report is not None:
            self.report = replace(self.report, notes=(*self.report.notes, *lines))

    def forward(self, images: Tensor, needs: Needs) -> Features:
        """Features of images; only what ``needs`` asks for is computed.

        Args:
            images: [batch, channels, height, width], uint8 or float, 0..255.
            needs: the strides and whether the pooled vector is wanted.

        Returns:
            Maps [batch, spec.strides[stride], ceil(height / stride), ceil(width / stride)], and [batch, spec.width].

        Raises:
            UserError: a stride that this backbone does not have, a first block that cannot be looked into, a pooled
                vector beside such ones, or after its last layers went.
        """
        if needs.entries:
            return self._with_entries(images, needs)
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

    def _with_entries(self, images: Tensor, needs: Needs) -> Features:
        for stride in needs.strides:
            self._level(stride)
        if needs.pooled or not set(needs.entries) <= set(self.spec.entries):
            have = ", ".join(map(str, self.spec.entries)) or "none"
            raise UserError(f"{self.name} can be looked into at strides {have}, without a pooled vector")
        return forward_entries(self.model, self._levels, self.normalize(images), needs)

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

        What stays keeps its name in the state dict; for the pooled vector everything stays. Stages beyond
        ``needs.output_stride`` are dilated.

        Raises:
            UserError: a stride that this backbone does not have, or stages that cannot be dilated.
        """
        dilated, deepest = needs.output_stride, max(self._levels, default=0)
        if dilated is not None and dilated < deepest and not dilate(self.model, self._levels, dilated):
            raise UserError(
                f"head.output_stride={dilated}: the stages of {self.name} cannot be dilated, which MobileNets and"
                f" EfficientNets of timm can: head.output_stride={deepest}"
            )
        if needs.pooled or not needs.strides:
            return
        deepest = max(self._level(stride) for stride in needs.strides)
        prune(self.model, deepest)
        self._end_at(deepest)

    def _end_at(self, deepest: int) -> None:
        """Note that only the maps up to timm's intermediate ``deepest`` are left."""
        self._levels = {stride: level for stride, level in self._levels.items() if level[0] <= deepest}
        self._pools = False
        entries = {stride: found for stride, found in self.spec.entries.items() if stride in self._levels}
        self.spec = replace(self.spec, strides=self._widths(), tail=None, entries=entries)

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


def _by_stride(needs: Needs, indices: list[int], maps: list[Tensor]) -> dict[int | Inside, Tensor]:
    """Maps by stride: timm gives maps in the order of depth, whatever order was asked for."""
    found = dict(zip(sorted(indices), maps, strict=True))
    return {stride: found[index] for stride, index in zip(needs.strides, indices, strict=True)}
