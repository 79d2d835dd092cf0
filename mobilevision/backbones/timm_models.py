"""Every model that timm knows, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any, Unpack

import timm
from torch import nn

from mobilevision.backbones.assemble import Architecture, BackboneOptions, assemble
from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.presets import pretraining
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

_OF_FACTORY = set(signature(timm.create_model).parameters)  # they name weights and files, which timm unpickles


@check_ranges("backbone")
def timm_backbone(
    *,
    name: str,
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[BackboneOptions],
) -> Backbone:
    """Any timm model as a backbone.

    Args:
        name: of a timm model, with or without ``.tag``.
        kwargs: further arguments of that model, e.g. ``{"img_size": 160}`` for a vision transformer.
        **options: as in :func:`~mobilevision.backbones.assemble.assemble`.

    Raises:
        UserError: timm does not know the name, an argument the model does not take, or weights that don't fit.
    """
    noted = timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    if noted is None:
        near = get_close_matches(name, [*timm.list_models(), *timm.list_pretrained()], n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise UserError(f"backbone.name={name}: timm has no such model; {hint}")

    if wrong := [key for key in kwargs or {} if key in _OF_FACTORY or key.startswith("pretrained")]:
        raise UserError(
            f"backbone.kwargs.{wrong[0]}: is of timm's factory, not of a model; backbone.weights names weights"
        )

    def build(**arguments: Any) -> nn.Module:
        try:
            model: nn.Module = timm.create_model(name, **arguments, **(kwargs or {}))
        except TypeError as error:
            raise UserError(f"backbone.name={name} does not take that: {error}") from error
        return model

    architecture = Architecture(
        name=name, build=build, default=pretraining(noted.to_dict()), adjustable=False, hub=name
    )
    return assemble(architecture, **options)
