"""Whole detectors as torchvision publishes them, SSDLite and Faster R-CNN over MobileNet V3, trained on COCO.

A file holds a body, which goes into the backbone, and the layers behind it, which the backbone keeps for a head to take
(:mod:`mobilevision.heads.torchvision_detectors`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.loading import fit
from mobilevision.backbones.presets import HALVES, Preset
from mobilevision.backbones.published_files import fetch
from mobilevision.backbones.torchvision_weights import under_timm_names
from mobilevision.backbones.weights import Source, read_file
from mobilevision.errors import UserError


class _Kind(NamedTuple):
    """A family of detectors: what the names of its body's tensors begin with, and what it expects of images."""

    body: str
    preset: Preset


_KINDS = {
    "ssdlite": _Kind("backbone.features.", Preset(320, HALVES, HALVES, "hard_swish", "symmetric", 1e-3, 1.0)),
    "fasterrcnn": _Kind(
        "backbone.body.", Preset(320, activation="hard_swish", padding="symmetric", bn_eps=1e-5, crop=1.0)
    ),
}
"""By what torchvision's names of them begin with."""


class Detector(NamedTuple):
    """A detector's weights as they were read.

    Attributes:
        source: name and all tensors.
        body: what the names of the body's tensors begin with.
        preset: what the weights expect of images.
    """

    source: Source
    body: str
    preset: Preset


def read_detector(weights: str, *, published: Mapping[int, str], side: int | None) -> Detector:
    """Find and read the weights that ``head.weights`` names.

    Args:
        weights: ``torchvision`` (the published ones whose side is nearest), ``torchvision-SIDE``, or a file.
        published: torchvision's names of the detectors that the head takes, by the side of their input.
        side: shorter side of the input, None where nothing was said.

    Raises:
        UserError: nothing there, not such weights, of another detector, or they cannot be fetched.
    """
    sides, names = sorted(published), " or ".join(published.values())
    named = re.fullmatch(r"torchvision(?:-(\d+))?", weights)
    if named is None:
        path = Path(weights).expanduser()
        if path.is_dir():
            raise UserError(
                f"head.weights={weights}: a folder; of a run of ours, backbone.weights={weights} takes the backbone"
                f" and resume={weights} goes on; a pretrained detector is torchvision, or the file of its {names}"
            )
        if not path.is_file():
            raise UserError(f"head.weights={weights}: no such file; torchvision, or the file of its {names}")
    else:
        wanted = int(named[1] or _nearest(sides, side))
        if wanted not in published:
            known = ", ".join(f"torchvision-{each}" for each in sides)
            raise UserError(f"head.weights={weights}: for this head there are {known}")
        from torchvision.models import get_model_weights

        chosen: Any = get_model_weights(published[wanted])
        path = fetch(chosen.DEFAULT.url, key="head.weights")
    try:
        source = read_file(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ").replace("backbone.weights wants", "what is wanted is")
        raise UserError(f"head.weights={weights}: not torchvision's {names}: {reason}") from error
    kind = next(kind for prefix, kind in _KINDS.items() if published[sides[0]].startswith(prefix))
    if not any(name.startswith(kind.body) for name in source.state):
        others = [prefix for prefix, other in _KINDS.items() if any(n.startswith(other.body) for n in source.state)]
        what = f"a {others[0]}" if others else f"it holds {', '.join(list(source.state)[:3])} ..."
        raise UserError(f"head.weights={weights}: not torchvision's {names}: {what}")
    made_for = next((each for each in sides if f"{published[each]}-" in f"{path.stem}-"), None)
    preset = replace(kind.preset, side=made_for or _nearest(sides, side))
    return Detector(source, kind.body, preset)


def _nearest(sides: Sequence[int], side: int | None) -> int:
    return min(sides, key=lambda known: abs(known - (side or sides[0])))


def load_body(backbone: Backbone, detector: Detector) -> None:
    """Load a detector's body into a backbone, which keeps the rest of the detector for a head to take.

    Raises:
        UserError: it is another body.
    """
    source, body, _ = detector
    state = {name: tensor for name, tensor in source.state.items() if name.startswith(body)}
    renamed = under_timm_names(state, backbone.model, body=body)
    if not renamed:
        raise UserError(
            f"head.weights: the body of {source.name} is torchvision's MobileNet V3 large, not {backbone.name}: set"
            " backbone=mobilenet_v3 backbone.width=1"
        )
    width = None if backbone.name.endswith("_1") else 1.0
    try:
        report, _ = fit(
            backbone.model, replace(source, state=renamed), width=backbone.spec.width, widths=lambda state: width
        )
    except UserError as error:
        raise UserError(str(error).replace("backbone.weights", "head.weights")) from error
    # Layers after pooling are no part of a detector, and are dropped with it.
    backbone.report = replace(
        report, missing=tuple(name for name in report.missing if not name.startswith("conv_head"))
    )
    backbone.detector = {name: tensor for name, tensor in source.state.items() if name not in state}
