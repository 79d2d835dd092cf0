"""From an architecture and a user's wishes to a backbone: the steps that every factory shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypedDict, cast

import timm
from torch import Tensor, nn

from mobilevision.backbones.activations import activation_layer
from mobilevision.backbones.backbone import Backbone, pooled_width
from mobilevision.backbones.loading import fit, same_shapes
from mobilevision.backbones.presets import Preset, named_preset, observed
from mobilevision.backbones.weights import Source, read_weights
from mobilevision.errors import UserError
from mobilevision.ranges import Range, ShareBelowOne

WIDEST = 4
Width = Annotated[float, Range(above=0, max=WIDEST)]
"""Factor on the channels of every layer."""
PADDINGS = {"same": "same", "symmetric": ""}  # ours -> timm's pad_type


@dataclass(frozen=True)
class Wishes:
    """What every factory takes beside what its architecture has of its own.

    Attributes:
        weights: None, ``timm``, a timm ``model.tag``, a file, or a run folder of ours.
        preset: a preset's name or its values; None: the weights' own, else the architecture's.
        activation: overrides the preset's, where the model takes one.
        padding: overrides the preset's; ``same`` or ``symmetric``.
        channels: channels of an image.
        drop_rate: dropout on the pooled vector.
        drop_path: stochastic depth of the residual blocks.
    """

    weights: str | None = None
    preset: str | Mapping[str, Any] | None = None
    activation: str | None = None
    padding: str | None = None
    channels: int = 3
    drop_rate: ShareBelowOne = 0.0
    drop_path: ShareBelowOne = 0.0


class Options(TypedDict, total=False):
    """The arguments of :class:`Wishes`, which says what they mean."""

    weights: str | None
    preset: str | Mapping[str, Any] | None
    activation: str | None
    padding: str | None
    channels: int
    drop_rate: ShareBelowOne
    drop_path: ShareBelowOne


@dataclass(frozen=True)
class Architecture:
    """What a factory knows.

    Attributes:
        name: what to call the backbone.
        build: makes the timm model from timm's arguments (``in_chans``, ``act_layer``, ``pad_type`` ...).
        default: the preset without weights.
        adjustable: does ``build`` take an activation and a padding, whatever they are? Not every timm model does; there
            they are passed only where they are not what the model does by itself.
        hub: the timm model whose weights ``weights=timm`` means.
        at_width: the same architecture at another width, and the widths to try; to name a mismatch's fix.
    """

    name: str
    build: Callable[..., nn.Module]
    default: Preset
    adjustable: bool = True
    hub: str | None = None
    at_width: Callable[[float], Callable[..., nn.Module]] | None = None
    widths: Iterable[float] = ()


def assemble(architecture: Architecture, wishes: Wishes) -> Backbone:
    """Read the weights, settle the preset, build the model, load what fits.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    source = read_weights(wishes.weights, hub=architecture.hub) if wishes.weights else None
    preset = _preset(architecture, wishes, source)
    model = _build(architecture, preset, wishes)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and preset.bn_eps is not None:
            layer.eps = preset.bn_eps
    report, classifier = None, None
    if source is not None:
        width = pooled_width(model)
        report, classifier = fit(model, source, width=width, widths=lambda state: _width(architecture, state))
        report = replace(report, notes=report.notes + _guessed(source, wishes, preset))
    return Backbone(
        name=architecture.name,
        model=model,
        preset=preset.over(observed(model)).for_channels(wishes.channels),
        channels=wishes.channels,
        classifier=classifier,
        report=report,
    )


def published(name: str) -> str | None:
    """The name, if timm has weights of that name."""
    return name if timm.is_model(name) and timm.is_model_pretrained(name) else None


def check_width(width: float, family: str, known: Iterable[float]) -> None:
    """Raise a UserError for a width that no builder can make anything of."""
    if not 0 < width <= WIDEST:
        named = ", ".join(f"{each:g}" for each in known)
        raise UserError(f"backbone.width={width:g}: {family} is built at widths up to {WIDEST}; published: {named}")


def _preset(architecture: Architecture, wishes: Wishes, source: Source | None) -> Preset:
    if wishes.padding is not None and wishes.padding not in PADDINGS:
        raise UserError(f"backbone.padding={wishes.padding}: there are {' and '.join(PADDINGS)}")
    if wishes.channels < 1:
        raise UserError(f"data.channels={wishes.channels}: an image has at least one channel")
    preset = architecture.default
    if wishes.preset is not None:
        preset = named_preset(wishes.preset).over(preset)
    elif source is not None and source.preset is not None:
        preset = source.preset.over(preset)
    padding = cast("Literal['same', 'symmetric'] | None", wishes.padding)
    return replace(preset, activation=wishes.activation or preset.activation, padding=padding or preset.padding)


def _build(architecture: Architecture, preset: Preset, wishes: Wishes) -> nn.Module:
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": wishes.channels}
    arguments |= {"drop_rate": wishes.drop_rate} if wishes.drop_rate else {}
    arguments |= {"drop_path_rate": wishes.drop_path} if wishes.drop_path else {}
    if architecture.adjustable:
        return architecture.build(**arguments, **_style(preset, Preset()))
    model = architecture.build(**arguments)
    style = _style(preset, observed(model))
    return architecture.build(**arguments, **style) if style else model


def _style(preset: Preset, own: Preset) -> dict[str, Any]:
    """What timm must be told of activation and padding: what a preset states and a model does not do by itself."""
    style: dict[str, Any] = {}
    if preset.activation not in (None, own.activation):
        style["act_layer"] = activation_layer(str(preset.activation))
    if preset.padding not in (None, own.padding):
        style["pad_type"] = PADDINGS[str(preset.padding)]
    return style


def _width(architecture: Architecture, state: Mapping[str, Tensor]) -> float | None:
    """The width at which this architecture has the shapes of these weights."""
    if architecture.at_width is None:
        return None
    at_width = architecture.at_width
    return next((width for width in architecture.widths if same_shapes(at_width(width), state)), None)


def _guessed(source: Source, wishes: Wishes, preset: Preset) -> tuple[str, ...]:
    if source.preset is not None or wishes.preset is not None:
        return ()
    return (
        f"nothing says how these weights want their images: taking mean {_short(preset.mean)}, std "
        f"{_short(preset.std)}, activation {preset.activation or 'as built'}, padding {preset.padding or 'as built'}; "
        "if that is wrong, set backbone.preset",
    )


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
