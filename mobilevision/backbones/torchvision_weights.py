"""MobileNet V2 and V3 as torchvision publishes them: fetched by name, and brought under timm's names.

torchvision numbers its layers (``features.4.block.2.fc1``) where timm names them (``blocks.2.0.se.conv_reduce``), but
both have the same layers in the same order. So the numbers are put into order and each layer goes to the one at its
place; shapes are compared afterwards, as for weights of any origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mobilevision.backbones.presets import Preset
from mobilevision.backbones.published_files import fetch
from mobilevision.errors import UserError

V2 = Preset(activation="relu6", padding="symmetric", bn_eps=1e-5)
V3 = Preset(activation="hard_swish", padding="symmetric", bn_eps=1e-3)
"""What torchvision's classifiers expect; the crop differs between versions of the weights."""

_MODELS = ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
_STEM = "features.0.0.weight"
_HEAD = ("conv_head", "classifier")
"""timm's names of the layers after pooling; a detector's weights have none of them."""


def version_of(weights: str) -> int | None:
    """The version that ``torchvision-v1`` names, 0 for ``torchvision``, which is the newest; None for other texts."""
    found = re.fullmatch(r"torchvision(?:-v([1-9]))?", weights)
    return int(found[1] or 0) if found else None


def fetch_classifier(model: str, version: int) -> Path:
    """The published file of a model, from torch's cache or from where torchvision says that it lies.

    Args:
        model: torchvision's name of it, such as ``mobilenet_v3_large``.
        version: of its weights on ImageNet; 0 for the newest.

    Raises:
        UserError: no such version is published, or it cannot be fetched.
    """
    from torchvision.models import get_model_weights

    published: Any = get_model_weights(model)
    if version == 0:
        return fetch(published.DEFAULT.url, key="backbone.weights")
    name = f"IMAGENET1K_V{version}"
    if name not in published.__members__:
        known = ", ".join(f"torchvision-v{each.name[-1]}" for each in published)
        raise UserError(f"backbone.weights=torchvision-v{version}: of {model} there are {known}")
    return fetch(published[name].url, key="backbone.weights")


def preset_of(state: Mapping[str, Tensor], stem: str) -> Preset | None:
    """What the weights of a file expect, None where they are not torchvision's.

    Args:
        state: all tensors by their names.
        stem: of the file's name, which tells the version where it is the published one.
    """
    if _STEM not in state or "conv_stem.weight" in state:
        return None
    from torchvision.models import get_model_weights

    preset = V3 if any(".block." in name for name in state) else V2
    published: list[Any] = [each for model in _MODELS for each in get_model_weights(model)]
    for each in published:
        if each.url.rpartition("/")[2].partition(".")[0] == stem:
            looks = each.transforms()
            return replace(preset, side=looks.crop_size[0], crop=looks.crop_size[0] / looks.resize_size[0])
    return preset


def under_timm_names(state: Mapping[str, Tensor], model: nn.Module, *, body: str = "features.") -> dict[str, Tensor]:
    """The tensors of torchvision's model under the names that timm has for the layers at their places.

    Args:
        state: all tensors by their names.
        model: a timm model of the same architecture, with or without a classifier.
        body: what the names of the convolutional layers begin with.

    Returns:
        As many tensors, if the layers are as many as the model's (and perhaps a classifier); else none.
    """
    theirs = _in_order(name for name in state if name.startswith(body))
    own = list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict()))
    ends = _in_order(name for name in state if name.startswith("classifier."))
    if ends:
        own += [name for name in ("classifier",) if name not in own]
    else:
        own = [name for name in own if name not in _HEAD] if len(own) > len(theirs) else own
    if len(own) != len(theirs) + len(ends):
        return {}
    named = dict(zip([*theirs, *ends], own, strict=True))
    renamed = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if layer in named:  # V3's layer after pooling is linear there, and a 1x1 convolution here
            linear = named[layer] == "conv_head" and tensor.ndim == 2
            renamed[f"{named[layer]}.{leaf}"] = tensor[:, :, None, None] if linear else tensor
    return renamed


def _in_order(names: Iterable[str]) -> list[str]:
    """The layers that tensors belong to, by the numbers in their names."""

    def place(layer: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in layer.split(".")]

    return sorted({name.rpartition(".")[0] for name in names}, key=place)
