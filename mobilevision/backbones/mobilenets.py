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
from typing import Annotated, Any, Unpack

import timm
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, resolve_act_layer, resolve_bn_args, round_channels
from timm.models.efficientnet import _gen_mobilenet_v2
from timm.models.mobilenetv3 import _create_mnv3, _gen_mobilenet_v3, _gen_mobilenet_v4
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


# The stages of MobileNet V3 in timm's notation (arXiv 1905.02244, Tables 1 and 2) up to the last of stride 16, and
# what comes after it with half of its channels.
_V3_STAGES = {
    "large": (
        ["ds_r1_k3_s1_e1_c16_nre"],
        ["ir_r1_k3_s2_e4_c24_nre", "ir_r1_k3_s1_e3_c24_nre"],
        ["ir_r3_k5_s2_e3_c40_se0.25_nre"],
        ["ir_r1_k3_s2_e6_c80", "ir_r1_k3_s1_e2.5_c80", "ir_r2_k3_s1_e2.3_c80"],
        ["ir_r2_k3_s1_e6_c112_se0.25"],
        ["ir_r3_k5_s2_e6_c80_se0.25"],
        ["cn_r1_k1_s1_c480"],
    ),
    "small": (
        ["ds_r1_k3_s2_e1_c16_se0.25_nre"],
        ["ir_r1_k3_s2_e4.5_c24_nre", "ir_r1_k3_s1_e3.67_c24_nre"],
        ["ir_r1_k5_s2_e4_c40_se0.25", "ir_r2_k5_s1_e6_c40_se0.25"],
        ["ir_r2_k5_s1_e3_c48_se0.25"],
        ["ir_r3_k5_s2_e6_c48_se0.25"],
        ["cn_r1_k1_s1_c288"],
    ),
}
_V3_POOLED = {"large": 640, "small": 512}


def _reduced_v3(size: str, width: float, **kwargs: Any) -> nn.Module:
    """MobileNet V3 with half the channels after stride 16, as the paper's detectors have it (section 6.3)."""
    arguments = {
        "block_args": decode_arch_def(list(_V3_STAGES[size])),
        "num_features": _V3_POOLED[size],
        "stem_size": 16,
        "fix_stem": width < 0.75,
        "round_chs_fn": partial(round_channels, multiplier=width),
        "norm_layer": partial(nn.BatchNorm2d, **resolve_bn_args(kwargs)),
        "act_layer": resolve_act_layer(kwargs, "hard_swish"),
        "se_layer": partial(
            SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels
        ),
    }
    model: nn.Module = _create_mnv3(f"mobilenetv3_{size}_100", False, **arguments, **kwargs)
    return model


@check_ranges("backbone")
def mobilenet_v3(
    *, size: str = "large", width: Width = 1.0, reduced_tail: bool = False, **options: Unpack[BackboneOptions]
) -> Backbone:
    """A MobileNet V3 as a backbone.

    Args:
        size: ``large`` or ``small``.
        width: factor on the channels, rounded to eights; the layer before the classifier keeps its size.
        reduced_tail: half the channels of all layers after stride 16, as the paper's detectors have it (section 6.3).
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    if size not in V3_WIDTHS:
        raise UserError(f"backbone.size={size}: there are {' and '.join(V3_WIDTHS)}")
    if reduced_tail:
        name, build = f"mobilenet_v3_{size}_reduced_tail", partial(_reduced_v3, size)
        return _built_by_timm(name, build, width, V3_WIDTHS[size], Preset(), "", options)
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
        width=width,
        default=preset,
        hub=weights if timm.is_model(weights) and timm.is_model_pretrained(weights) else None,
        torchvision_model=torchvision,
        at_width=lambda other: partial(build, other),
        widths=widths,
    )
    return assemble(architecture, **options)
