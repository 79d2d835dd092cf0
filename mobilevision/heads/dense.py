"""What heads share that give something for every place of a map: their layers, and the maps that they take."""

from __future__ import annotations

from torch import nn

from mobilevision.errors import UserError
from mobilevision.spec import BackboneSpec, Needs


def conv_block(inputs: int, outputs: int, *, kernel: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm and ReLU, from [B, inputs, h, w] to [B, outputs, h, w].

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side of the convolution's kernel, odd.
        dilation: places between what it looks at.
        groups: of channels; ``inputs`` makes it depthwise.
    """
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def separable_block(inputs: int, outputs: int, *, dilation: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, with batch norm and ReLU (arXiv 1704.04861, section 3.1)."""
    depthwise = conv_block(inputs, inputs, kernel=3, dilation=dilation, groups=inputs)
    return nn.Sequential(depthwise, conv_block(inputs, outputs))


def dense_needs(backbone: BackboneSpec, strides: tuple[int, ...], output_stride: int) -> tuple[Needs, int]:
    """The maps of some strides and of the last stage, dilated to ``output_stride``; and the last stage's own stride.

    Args:
        backbone: what the backbone offers.
        strides: of the maps beside that of the last stage.
        output_stride: of the last stage's map; that stage's own stride or more dilates nothing.

    Raises:
        UserError: the backbone has no such maps.
    """
    deepest = max(backbone.strides, default=0)
    if deepest <= max(strides, default=4) or not set(strides) <= set(backbone.strides):
        wanted = ", ".join([*map(str, strides), "a deeper one"])
        have = ", ".join(map(str, backbone.strides)) or "none"
        raise UserError(f"head: maps of the strides {wanted} are wanted, and the backbone has {have}")
    return Needs((*strides, deepest), output_stride=output_stride if output_stride < deepest else None), deepest
