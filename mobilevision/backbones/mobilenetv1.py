"""MobileNet V1: depthwise separable convolutions in a plain stack.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", arXiv 1704.04861:
Table 1 (the body), section 3.3 (width multiplier), Table 4 (``conv=full``), Table 5 (``depth=shallow``). Built from
timm's blocks under timm's names, so that timm's ``mobilenetv1_100`` weights load into width 1.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Unpack

from timm.models import generate_default_cfgs, register_model
from timm.models._efficientnet_builder import decode_arch_def, resolve_act_layer, resolve_bn_args
from timm.models.efficientnet import _create_effnet
from torch import nn

from mobilevision.backbones.assemble import Architecture, BackboneOptions, assemble
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import IMAGENET_MEAN, IMAGENET_STD, Preset
from mobilevision.errors import UserError
from mobilevision.ranges import Range, check_ranges

CONVS = {"separable": "dsa", "full": "cn"}  # ours -> timm's block
DEPTHS = {"standard": 6, "shallow": 1}  # blocks at 512 channels; shallow leaves out the five of stride 1
TYPICAL_WIDTHS = (0.25, 0.5, 0.75, 1.0)
Width = Annotated[
    float, Range(above=0, max=1, hint="timm's wider MobileNet V1 is backbone=timm backbone.name=mobilenetv1_125")
]
"""Factor on the channels of every layer."""

default_cfgs = generate_default_cfgs(
    {
        "mobilevision_mobilenetv1.untrained": {
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "crop_pct": 0.875,
            "interpolation": "bilinear",
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        }
    }
)


@register_model  # type: ignore[untyped-decorator]
@check_ranges("backbone")
def mobilevision_mobilenetv1(
    pretrained: bool = False,
    *,
    width: Width = 1.0,
    conv: str = "separable",
    depth: str = "standard",
    **kwargs: Any,
) -> nn.Module:
    """The family as ``timm.create_model("mobilevision_mobilenetv1", width=0.5, features_only=True)`` makes it.

    Args:
        pretrained: must be False; weights come through :func:`mobilenet_v1`.
        width: factor on the channels of every layer, above 0 and up to 1.
        conv: ``separable``, or ``full`` for one 3x3 convolution instead of each depthwise and pointwise pair.
        depth: ``standard``, or ``shallow`` without the five blocks of 512 channels and stride 1.
        **kwargs: what timm's EfficientNet takes.

    Raises:
        UserError: a width, conv or depth outside those.
    """
    _check(conv, depth)
    block, middle = CONVS[conv], DEPTHS[depth]
    stages = [(1, 1, 64), (2, 2, 128), (2, 2, 256), (middle, 2, 512), (2, 2, 1024)]
    arguments = {
        "block_args": decode_arch_def([[f"{block}_r{n}_k3_s{stride}_c{width}"] for n, stride, width in stages]),
        "num_features": 0,
        "stem_size": 32,
        "round_chs_fn": lambda channels: max(1, int(channels * width)),  # the paper's rule
        "norm_layer": partial(nn.BatchNorm2d, **resolve_bn_args(kwargs)),
        "act_layer": resolve_act_layer(kwargs, "relu"),
    }
    model: nn.Module = _create_effnet("mobilevision_mobilenetv1", pretrained, **arguments, **kwargs)
    return model


@check_ranges("backbone")
def mobilenet_v1(
    *,
    width: Width = 1.0,
    conv: str = "separable",
    depth: str = "standard",
    **options: Unpack[BackboneOptions],
) -> Backbone:
    """A MobileNet V1 of any width as a backbone.

    Args:
        width: factor on the channels of every layer, above 0 and up to 1.
        conv: ``separable`` or ``full``.
        depth: ``standard`` or ``shallow``.
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    _check(conv, depth)
    form = {"conv": conv, "depth": depth}
    endings = [f"_{word}" for word in (conv, depth) if word not in ("separable", "standard")]
    plain = width == 1.0 and not endings
    architecture = Architecture(
        name=f"mobilenet_v1_{width:g}" + "".join(endings),
        build=partial(mobilevision_mobilenetv1, width=width, **form),
        width=width,
        default=Preset(activation="relu", padding="symmetric", bn_eps=1e-5),
        hub="mobilenetv1_100" if plain else None,
        keras_width=None if endings else width,
        at_width=lambda other: partial(mobilevision_mobilenetv1, width=other, **form),
        widths=[n / 32 for n in range(1, 33)],
    )
    return assemble(architecture, **options)


def _check(conv: str, depth: str) -> None:
    for key, value, known in (("conv", conv, CONVS), ("depth", depth, DEPTHS)):
        if value not in known:
            raise UserError(f"backbone.{key}={value}: there are {' and '.join(known)}")
