"""How weights want their images and their layers: activation, padding, epsilon, normalisation, side.

Weights trained with one padding or activation lose points, or everything, under another, and no test on a small set
sees it. So each published file has its preset here, found by the file's name; timm's weights carry theirs; and what a
preset leaves open (None) is what the architecture does by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from mobilevision.backbones.activations import activation_name
from mobilevision.errors import UserError
from mobilevision.ranges import FiniteFloat, Items, PositiveFloat, PositiveShare, Side, check, fits

Floats = tuple[float, ...]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALVES = (0.5, 0.5, 0.5)  # x / 127.5 - 1, as TensorFlow's MobileNets
ZEROS, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Preset:
    """What a set of weights expects.

    Attributes:
        side: side of the square input it was trained for, in pixels.
        mean: a channel's mean, of pixels scaled to 0..1.
        std: a channel's standard deviation, of pixels scaled to 0..1.
        activation: a name of :data:`mobilevision.backbones.activations.LAYERS`; None: the architecture's own.
        padding: ``same`` (TensorFlow's, more at the end) or ``symmetric``; None: the architecture's own.
        bn_eps: epsilon of every batch norm; None: the architecture's own.
        crop: share of the shorter side that the centre crop of an evaluation keeps.
    """

    side: Side = 224
    mean: Annotated[tuple[FiniteFloat, ...], Items(min=1)] = IMAGENET_MEAN
    std: Annotated[tuple[PositiveFloat, ...], Items(min=1)] = IMAGENET_STD
    activation: str | None = None
    padding: Literal["same", "symmetric"] | None = None
    bn_eps: PositiveFloat | None = None
    crop: PositiveShare = 0.875

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as checkpoints and model cards hold them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preset:
        """Undo :meth:`to_dict`; keys left out keep their defaults.

        Raises:
            UserError: a key that a preset does not have, or a value that is none for its key.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping):
            raise UserError(f"backbone.preset has keys of its own: {', '.join(sorted(known))}")
        if strange := sorted(str(key) for key in set(values) - known):
            raise UserError(f"backbone.preset has no {', '.join(strange)}; it has {', '.join(sorted(known))}")
        for key, value in values.items():
            if isinstance(value, list | tuple) and not all(type(each) in (int, float) for each in value):
                raise UserError(f"backbone.preset.{key} is not a list of numbers")
            if not fits(cls, key, value):
                raise UserError(f"backbone.preset.{key}={value}: of no type that it can have")
        check(cls, values, "backbone.preset")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        made = cls(**plain)
        if len(made.mean) != len(made.std):
            raise UserError(f"backbone.preset has {len(made.mean)} values in mean, but {len(made.std)} in std")
        return made

    def over(self, base: Preset) -> Preset:
        """This preset, with what it leaves open taken from ``base``."""
        return replace(
            self,
            activation=self.activation or base.activation,
            padding=self.padding or base.padding,
            bn_eps=self.bn_eps if self.bn_eps is not None else base.bn_eps,
        )

    def for_channels(self, channels: int) -> Preset:
        """The same for images of ``channels`` channels: one takes the average, more go round again."""
        if channels == len(self.mean):
            return self
        if channels == 1:
            return replace(self, mean=(_average(self.mean),), std=(_average(self.std),))
        turns = range(channels)
        mean = tuple(self.mean[turn % len(self.mean)] for turn in turns)
        return replace(self, mean=mean, std=tuple(self.std[turn % len(self.std)] for turn in turns))


TENSORFLOW = Preset(mean=HALVES, std=HALVES, activation="relu6", padding="same", bn_eps=1e-3)
"""TensorFlow's MobileNets, which are Keras', too."""

PRESETS: dict[str, Preset] = {
    "imagenet": Preset(),
    "inception": Preset(mean=HALVES, std=HALVES),
    "unit": Preset(mean=ZEROS, std=ONES),
    "mobilenet_v1_0.25_224_in1k": Preset(activation="leaky_relu", padding="symmetric", bn_eps=1e-5),
    "mobilenet_v1_0.25_128_in1k": replace(TENSORFLOW, side=128),
    "mobilenet_v1_0.5_160_in1k": replace(TENSORFLOW, side=160),
    "mobilenet_v2_1.0_224_in1k": replace(TENSORFLOW, bn_eps=1e-5),
    "mobilenet_v1_0.25_96_person": Preset(96, ZEROS, ONES, "relu", "same", 1e-3),
}
"""By name: three ways to scale pixels, then the published files, known by their stem."""


def find_preset(name: str) -> Preset | None:
    """The preset of a published file's stem, of a name of :data:`PRESETS`, or of a timm model (``.tag`` or not)."""
    if name in PRESETS:
        return PRESETS[name]
    noted = timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    if noted is None:
        return None
    try:
        with torch.device("meta"):
            return observed(timm.create_model(name))
    except RuntimeError:  # some architectures compute while they are built
        return pretraining(noted.to_dict())


def named_preset(preset: str | Mapping[str, Any]) -> Preset:
    """What ``backbone.preset`` says: a name, or a preset's keys and values.

    Raises:
        UserError: nobody knows that name, or one of those keys.
    """
    if not isinstance(preset, str):
        return Preset.from_dict(preset)
    found = find_preset(preset)
    if found is None:
        near = get_close_matches(preset, [*PRESETS, *timm.list_models()], n=3) or list(PRESETS)
        raise UserError(f"backbone.preset={preset}: no such preset; did you mean {', '.join(near)}?")
    return found


def timm_notes(model: nn.Module) -> Mapping[str, Any]:
    """What timm notes of a model: its ``pretrained_cfg``."""
    noted: Mapping[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    return noted


def pretraining(noted: Mapping[str, Any]) -> Preset:
    """From what timm notes of a model: side, normalisation, crop."""
    side, crop = noted.get("input_size", (3, 224, 224))[-1], noted.get("crop_pct") or 0.875
    mean, std = noted.get("mean", IMAGENET_MEAN), noted.get("std", IMAGENET_STD)
    return Preset(side=side, mean=tuple(mean), std=tuple(std), crop=crop)


def observed(model: nn.Module) -> Preset:
    """A timm model's pretraining, with the activation, padding and epsilon that its layers have."""
    layers = list(model.modules())
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    acts = [getattr(norm, "act", None) for norm in norms]
    used = [act for act in acts if isinstance(act, nn.Module) and not isinstance(act, nn.Identity)]
    convs = any(isinstance(layer, nn.Conv2d) for layer in layers)
    same = any(isinstance(layer, Conv2dSame) for layer in layers)
    return replace(
        pretraining(timm_notes(model)),
        activation=activation_name(used[0]) if used else None,
        padding=("same" if same else "symmetric") if convs else None,
        bn_eps=norms[0].eps if norms else None,
    )


def _average(values: Floats) -> float:
    return sum(values) / len(values)
