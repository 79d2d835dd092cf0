"""MobileNet V2: inverted residuals with linear bottlenecks.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, Table 2. Built by timm, at
any width.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from timm.models.efficientnet import _gen_mobilenet_v2
from torch import nn

from mobilevision.backbones.assemble import Architecture, Width, Wishes, assemble, check_width, published
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import Preset
from mobilevision.ranges import ShareBelowOne, check_ranges

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)  # published


@check_ranges("backbone")
def mobilenet_v2(
    *,
    width: Width = 1.0,
    weights: str | None = None,
    preset: str | Mapping[str, Any] | None = None,
    activation: str | None = None,
    padding: str | None = None,
    channels: int = 3,
    drop_rate: ShareBelowOne = 0.0,
    drop_path: ShareBelowOne = 0.0,
) -> Backbone:
    """A MobileNet V2 as a backbone.

    Args:
        width: factor on the channels, rounded to eights; the last 1280 grow with widths above 1 and never shrink.
        weights: None, ``timm``, a timm ``model.tag``, a file, or a run folder of ours.
        preset: a preset's name or its values; None: the weights' own, else the architecture's.
        activation: overrides the preset's.
        padding: overrides the preset's; ``same`` or ``symmetric``.
        channels: channels of a picture.
        drop_rate: dropout on the pooled vector.
        drop_path: stochastic depth of the residual blocks.

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
    return assemble(architecture, Wishes(weights, preset, activation, padding, channels, drop_rate, drop_path))


def _at(width: float) -> partial[nn.Module]:
    check_width(width, "MobileNet V2", WIDTHS)
    return partial(_gen_mobilenet_v2, "mobilenetv2_100", width)
