"""MobileNet V3, large and small: searched blocks with squeeze-and-excitation and hard swish.

Howard et al., "Searching for MobileNetV3", arXiv 1905.02244, Tables 1 and 2. timm's builder, at any width.
"""

from __future__ import annotations

from functools import partial
from typing import Unpack

from timm.models.mobilenetv3 import _gen_mobilenet_v3
from torch import nn

from mobilevision.backbones.assemble import Architecture, Options, Width, Wishes, assemble, check_width, published
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import Preset
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

WIDTHS = {"large": (0.75, 1.0), "small": (0.5, 0.75, 1.0)}  # published


@check_ranges("backbone")
def mobilenet_v3(
    *,
    size: str = "large",
    width: Width = 1.0,
    **options: Unpack[Options],
) -> Backbone:
    """A MobileNet V3 as a backbone.

    Args:
        size: ``large`` or ``small``.
        width: factor on the channels, rounded to eights; the layer before the classifier keeps its size.
        **options: :class:`~mobilevision.backbones.assemble.Wishes`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    if size not in WIDTHS:
        raise UserError(f"backbone.size={size}: there are {' and '.join(WIDTHS)}")
    architecture = Architecture(
        name=f"mobilenet_v3_{size}_{width:g}",
        build=_at(width, size),
        default=Preset(),
        hub=published(f"mobilenetv3_{size}_{round(100 * width):03d}"),
        at_width=partial(_at, size=size),
        widths=WIDTHS[size],
    )
    return assemble(architecture, Wishes(**options))


def _at(width: float, size: str) -> partial[nn.Module]:
    check_width(width, f"MobileNet V3 {size}", WIDTHS[size])
    return partial(_gen_mobilenet_v3, f"mobilenetv3_{size}_100", width)
