"""From an architecture and a user's options to a backbone: the steps that every factory shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, cast

from torch import Tensor, nn

from mobilevision.backbones import torchvision_weights
from mobilevision.backbones.activations import activation_layer
from mobilevision.backbones.backbone import Backbone, pooled_width
from mobilevision.backbones.loading import fit, same_shapes
from mobilevision.backbones.presets import Preset, named_preset, observed
from mobilevision.backbones.weights import read_weights
from mobilevision.errors import UserError
from mobilevision.ranges import ShareBelowOne

PADDINGS = {"same": "same", "symmetric": ""}  # ours -> timm's pad_type


class BackboneOptions(TypedDict, total=False):
    """What every factory takes beside the arguments of its architecture; :func:`assemble` says what they mean."""

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
        width: the width multiplier.
        adjustable: does ``build`` take an activation and a padding, whatever they are? Not every timm model does; there
            they are passed only where they are not what the model does by itself.
        hub: the timm model whose weights ``weights=timm`` means.
        keras_width: the width whose weights ``weights=keras`` means.
        torchvision_model: the model of torchvision whose weights ``weights=torchvision`` means.
        at_width: the same architecture at another width, and the widths to try; to name a mismatch's fix.
    """

    name: str
    build: Callable[..., nn.Module]
    default: Preset
    width: float = 1.0
    adjustable: bool = True
    hub: str | None = None
    keras_width: float | None = None
    torchvision_model: str | None = None
    at_width: Callable[[float], Callable[..., nn.Module]] | None = None
    widths: Iterable[float] = ()


def assemble(
    architecture: Architecture,
    *,
    weights: str | None = None,
    preset: str | Mapping[str, Any] | None = None,
    activation: str | None = None,
    padding: str | None = None,
    channels: int = 3,
    drop_rate: float = 0.0,
    drop_path: float = 0.0,
) -> Backbone:
    """Read the weights, choose the preset, build the model, load what fits.

    Args:
        architecture: what is built.
        weights: None, ``timm``, a timm ``model.tag``, ``keras``, ``torchvision``, a file, or a run folder of ours
            (:func:`mobilevision.backbones.weights.read_weights`).
        preset: a preset's name or its values; None: the weights' own, else the architecture's.
        activation: overrides the preset's, where the model takes one.
        padding: overrides the preset's; ``same`` or ``symmetric``.
        channels: channels of an image.
        drop_rate: dropout on the pooled vector.
        drop_path: stochastic depth of the residual blocks.

    Raises:
        UserError: an argument that does not fit, or weights that can't be read or belong elsewhere.
    """
    source = None
    if weights:
        source = read_weights(
            weights,
            hub=architecture.hub,
            keras_width=architecture.keras_width,
            torchvision_model=architecture.torchvision_model,
        )
    if padding is not None and padding not in PADDINGS:
        raise UserError(f"backbone.padding={padding}: there are {' and '.join(PADDINGS)}")
    if channels < 1:
        raise UserError(f"data.channels={channels}: an image has at least one channel")
    expected = architecture.default
    if preset is not None:
        expected = named_preset(preset).over(expected)
    elif source is not None and source.preset is not None:
        expected = source.preset.over(expected)
    chosen = cast("Literal['same', 'symmetric'] | None", padding)
    expected = replace(expected, activation=activation or expected.activation, padding=chosen or expected.padding)
    dropout = {"drop_rate": drop_rate, "drop_path_rate": drop_path}
    sizes = {"num_classes": 0, "in_chans": channels}
    model = _build(architecture, expected, {**sizes, **{key: rate for key, rate in dropout.items() if rate}})
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and expected.bn_eps is not None:
            layer.eps = expected.bn_eps
    report, classifier = None, None
    if source is not None:
        width = pooled_width(model)
        if renamed := torchvision_weights.under_timm_names(source.state, model):
            source = replace(source, state=renamed)
        report, classifier = fit(model, source, width=width, widths=lambda state: _width(architecture, state))
        if source.preset is None and preset is None:
            report = replace(report, notes=(*report.notes, _guessed(expected)))
    return Backbone(
        name=architecture.name,
        model=model,
        preset=expected.over(observed(model)).for_channels(channels),
        channels=channels,
        width=architecture.width,
        classifier=classifier,
        report=report,
    )


def _build(architecture: Architecture, preset: Preset, arguments: dict[str, Any]) -> nn.Module:
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


def _guessed(preset: Preset) -> str:
    """The note where nothing says what the weights expect."""
    mean, std = ("/".join(f"{value:g}" for value in values) for values in (preset.mean, preset.std))
    return (
        f"nothing says how these weights want their images: taking mean {mean}, std "
        f"{std}, activation {preset.activation or 'as built'}, padding {preset.padding or 'as built'}; "
        "if that is wrong, set backbone.preset"
    )
