"""MobileNet V2, V3 and V4, built by timm at any width.

- V2: inverted residuals with linear bottlenecks. Sandler et al., "MobileNetV2: Inverted Residuals and Linear
  Bottlenecks", arXiv 1801.04381, Table 2.
- V3, large and small: searched blocks with squeeze-and-excitation and hard swish. Howard et al., "Searching for
  MobileNetV3", arXiv 1905.02244, Tables 1 and 2.
- V4: universal inverted bottlenecks, in the hybrids with mobile attention. Qin et al., "MobileNetV4: Universal Models
  for the Mobile Ecosystem", arXiv 2404.10518.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Unpack

import timm
from timm.models.efficientnet import _gen_mobilenet_v2
from timm.models.mobilenetv3 import _gen_mobilenet_v3, _gen_mobilenet_v4
from torch import nn

from mobilevision.backbones.assemble import Architecture, BackboneOptions, assemble
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import Preset
from mobilevision.errors import UserError
from mobilevision.ranges import Range, check_ranges

Width = Annotated[float, Range(above=0, max=4)]
"""Factor on the channels of every layer."""

V2_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
V3_WIDTHS = {"large": (0.75, 1.0), "small": (0.5, 0.75, 1.0)}
V4_WIDTHS = {"conv_small": (0.35, 0.5, 1.0), "hybrid_medium": (0.75, 1.0), "hybrid_large": (0.75, 1.0)}
"""The published widths; of V4 by variant, where there are others than 1."""
V4_SIDES = {"conv_small": 224, "conv_medium": 256, "conv_large": 384, "hybrid_medium": 256, "hybrid_large": 384}
"""Variant -> the side of its input in the paper."""


@check_ranges("backbone")
def mobilenet_v2(*, width: Width = 1.0, **options: Unpack[BackboneOptions]) -> Backbone:
    """A MobileNet V2 as a backbone.

    Args:
        width: factor on the channels, rounded to eights; the last 1280 grow with widths above 1 and never shrink.
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    build = partial(_gen_mobilenet_v2, "mobilenetv2_100")
    torchvision = "mobilenet_v2" if width == 1 else None
    weights = f"mobilenetv2_{round(100 * width):03d}"
    return _built_by_timm("mobilenet_v2", build, width, V2_WIDTHS, Preset(), weights, options, torchvision)


@check_ranges("backbone")
def mobilenet_v3(*, size: str = "large", width: Width = 1.0, **options: Unpack[BackboneOptions]) -> Backbone:
    """A MobileNet V3 as a backbone.

    Args:
        size: ``large`` or ``small``.
        width: factor on the channels, rounded to eights; the layer before the classifier keeps its size.
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    if size not in V3_WIDTHS:
        raise UserError(f"backbone.size={size}: there are {' and '.join(V3_WIDTHS)}")
    build = partial(_gen_mobilenet_v3, f"mobilenetv3_{size}_100")
    weights = f"mobilenetv3_{size}_{round(100 * width):03d}"
    name = f"mobilenet_v3_{size}"
    torchvision = name if width == 1 else None
    return _built_by_timm(name, build, width, V3_WIDTHS[size], Preset(), weights, options, torchvision)


@check_ranges("backbone")
def mobilenet_v4(*, variant: str = "conv_small", width: Width = 1.0, **options: Unpack[BackboneOptions]) -> Backbone:
    """A MobileNet V4 as a backbone.

    Args:
        variant: ``conv_small``, ``conv_medium``, ``conv_large``, ``hybrid_medium`` or ``hybrid_large``.
        width: factor on the channels, rounded to eights; the layer before the classifier keeps its size.
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    if variant not in V4_SIDES:
        raise UserError(f"backbone.variant={variant}: there are {', '.join(V4_SIDES)}")
    build = partial(_gen_mobilenet_v4, f"mobilenetv4_{variant}")
    weights = f"mobilenetv4_{variant}" + ("" if width == 1 else f"_{round(100 * width):03d}")
    widths, preset = V4_WIDTHS.get(variant, (1.0,)), Preset(side=V4_SIDES[variant])
    return _built_by_timm(f"mobilenet_v4_{variant}", build, width, widths, preset, weights, options)


def _built_by_timm(
    name: str,
    build: Callable[..., nn.Module],
    width: float,
    widths: Sequence[float],
    preset: Preset,
    weights: str,
    options: BackboneOptions,
    torchvision: str | None = None,
) -> Backbone:
    """A backbone by one of timm's builders, which take the width first.

    ``weights`` is what timm would call its own, ``torchvision`` what torchvision calls the same model.
    """
    architecture = Architecture(
        name=f"{name}_{width:g}",
        build=partial(build, width),
        default=preset,
        hub=weights if timm.is_model(weights) and timm.is_model_pretrained(weights) else None,
        torchvision_model=torchvision,
        at_width=lambda other: partial(build, other),
        widths=widths,
    )
    return assemble(architecture, **options)
