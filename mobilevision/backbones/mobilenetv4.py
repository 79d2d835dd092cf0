"""MobileNet V4: universal inverted bottlenecks, in the hybrids with mobile attention.

Qin et al., "MobileNetV4: Universal Models for the Mobile Ecosystem", arXiv 2404.10518. timm's builder, at any width.
"""

from __future__ import annotations

from functools import partial
from typing import Unpack

from timm.models.mobilenetv3 import _gen_mobilenet_v4
from torch import nn

from mobilevision.backbones.assemble import Architecture, Options, Width, Wishes, assemble, check_width, published
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import Preset
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

SIDES = {"conv_small": 224, "conv_medium": 256, "conv_large": 384, "hybrid_medium": 256, "hybrid_large": 384}
"""Variant -> the side of its input in the paper."""
WIDTHS = {"conv_small": (0.35, 0.5, 1.0), "hybrid_medium": (0.75, 1.0), "hybrid_large": (0.75, 1.0)}
"""Variant -> the widths that timm defines, where there are others than 1."""


@check_ranges("backbone")
def mobilenet_v4(
    *,
    variant: str = "conv_small",
    width: Width = 1.0,
    **options: Unpack[Options],
) -> Backbone:
    """A MobileNet V4 as a backbone.

    Args:
        variant: ``conv_small``, ``conv_medium``, ``conv_large``, ``hybrid_medium`` or ``hybrid_large``.
        width: factor on the channels, rounded to eights; the layer before the classifier keeps its size.
        **options: :class:`~mobilevision.backbones.assemble.Wishes`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    if variant not in SIDES:
        raise UserError(f"backbone.variant={variant}: there are {', '.join(SIDES)}")
    ending = "" if width == 1 else f"_{round(100 * width):03d}"
    architecture = Architecture(
        name=f"mobilenet_v4_{variant}_{width:g}",
        build=_at(width, variant),
        default=Preset(side=SIDES[variant]),
        hub=published(f"mobilenetv4_{variant}{ending}"),
        at_width=partial(_at, variant=variant),
        widths=WIDTHS.get(variant, (1.0,)),
    )
    return assemble(architecture, Wishes(**options))


def _at(width: float, variant: str) -> partial[nn.Module]:
    check_width(width, f"MobileNet V4 {variant}", WIDTHS.get(variant, (1.0,)))
    return partial(_gen_mobilenet_v4, f"mobilenetv4_{variant}", width)
