"""MobileNet V2: inverted residuals with linear bottlenecks.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, Table 2. Built by timm, at
any width.
"""

from __future__ import annotations

from functools import partial
from typing import Unpack

from timm.models.efficientnet import _gen_mobilenet_v2
from torch import nn

from mobilevision.backbones.assemble import Architecture, Options, Width, Wishes, assemble, check_width, published
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import Preset
from mobilevision.ranges import check_ranges

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)  # published


@check_ranges("backbone")
def mobilenet_v2(
    *,
    width: Width = 1.0,
    **options: Unpack[Options],
) -> Backbone:
    """A MobileNet V2 as a backbone.

    Args:
        width: factor on the channels, rounded to eights; the last 1280 grow with widths above 1 and never shrink.
        **options: :class:`~mobilevision.backbones.assemble.Wishes`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    architecture = Architecture(
        name=f"mobilenet_v2_{width:g}",
        build=_at(width),
        default=Preset(),
        hub=published(f"mobilenetv2_{round(100 * width):03d}"),
        at_width=_at,
        widths=WIDTHS,
    )
    return assemble(architecture, Wishes(**options))


def _at(width: float) -> partial[nn.Module]:
    check_width(width, "MobileNet V2", WIDTHS)
    return partial(_gen_mobilenet_v2, "mobilenetv2_100", width)
