"""What pretrained detectors fix: the settings that ``head.weights`` brings along, where nobody set them otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mobilevision.config.layout import Claim
from mobilevision.config.names import did_you_mean

_SSDLITE = {
    "head.layout": "torchvision",
    "head.strides": [16, 32],
    "head.scales": [0.2, 0.95],
    "head.score_threshold": 0.001,
    "head.nms": 0.55,
    "head.per_class": 300,
    "head.detections": 300,
    "backbone.reduced_tail": True,
}
_FASTER_RCNN = {
    "head.layout": "torchvision",
    "head.width": 256,
    "head.hidden": 1024,
    "head.rpn_score": 0.05,
    "head.score_threshold": 0.05,
    "head.nms": 0.5,
    "head.per_class": None,
    "head.detections": 100,
}
_SIDES = {320: {"head.candidates": 150, "head.proposals": 150}, 800: {"head.candidates": 1000, "head.proposals": 1000}}
_TARGETS = {
    "mobilevision.heads.SSDLiteHead": _SSDLITE,
    "mobilevision.heads.FasterRCNNFPNHead": _FASTER_RCNN,
}
"""As torchvision builds its ssdlite320_mobilenet_v3_large and fasterrcnn_mobilenet_v3_large_(320_)fpn."""

_V3, _TIMM = "mobilevision.backbones.mobilenet_v3", "mobilevision.backbones.timm_backbone"


def implied_by_weights(claims: Sequence[Claim], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys and values that ``head.weights`` brings along; those that somebody set are left to him.

    Args:
        claims: what experiments and overrides set.
        values: the chosen options' own keys.
    """
    set_by_hand = {claim.key: claim.value for claim in claims}
    weights, head = set_by_hand.get("head.weights"), values.get("head") or {}
    brought = _TARGETS.get(str(head.get("_target_")))
    if not isinstance(weights, str) or brought is None:
        return {}
    if brought is _FASTER_RCNN:
        brought = {**brought, **_SIDES[_side(weights, set_by_hand.get("data.resolution"))]}
    if "reduced_tail" not in (values.get("backbone") or {}):  # another backbone, which is refused once it is built
        brought = {key: value for key, value in brought.items() if not key.startswith("backbone.")}
    return {key: value for key, value in brought.items() if key not in set_by_hand}


def check_weights(claims: Sequence[Claim], values: Mapping[str, Any]) -> Iterator[str]:
    """A line for every setting under which ``head.weights`` could not be loaded, before anything is fetched.

    Args:
        claims: what experiments and overrides set.
        values: the chosen options' own keys.
    """
    set_by_hand = {claim.key: claim.value for claim in claims}
    weights = set_by_hand.get("head.weights")
    if not isinstance(weights, str) or str((values.get("head") or {}).get("_target_")) not in _TARGETS:
        return
    named = re.fullmatch(r"torchvision(-\d+)?", weights)
    if named is None and not set(weights) & set("/\\.~") and not Path(weights).exists():
        near = did_you_mean(weights, ("torchvision",)) if get_close_matches(weights, ["torchvision"]) else ""
        yield f"head.weights={weights}: no such file; there are torchvision, or a file of its weights{near}"
    backbone = {**(values.get("backbone") or {})}
    backbone |= {
        key.removeprefix("backbone."): each for key, each in set_by_hand.items() if key.startswith("backbone.")
    }
    if backbone.get("weights") is not None:
        yield "head.weights bring the backbone's weights, too: leave backbone.weights out"
    if not _is_their_body(backbone):
        fix = "backbone.width=1"
        if backbone.get("_target_") != _V3 or backbone.get("size") != "large":
            fix = f"backbone=mobilenet_v3 {fix}"
        yield f"head.weights={weights}: these detectors stand on MobileNet V3 large at width 1: set {fix}"
    if (layout := set_by_hand.get("head.layout", "torchvision")) != "torchvision":
        yield f"head.layout={layout}: head.weights need the layers of head.layout=torchvision: leave head.layout out"


def _is_their_body(backbone: Mapping[str, Any]) -> bool:
    """Whether a backbone is what these detectors stand on; of one that is not ours nobody knows yet."""
    target = str(backbone.get("_target_"))
    if target == _TIMM:
        return str(backbone.get("name")).startswith("mobilenetv3_large_100")
    if target == _V3:
        return backbone.get("size") == "large" and backbone.get("width") == 1
    return not target.startswith("mobilevision.")


def _side(weights: str, resolution: Any) -> int:
    """The side of the input of the published weights: as they are called, else the one nearest to the images'."""
    stem = Path(weights).stem
    if "320" in stem or "800" in stem or "large_fpn" in stem:
        return 320 if "320" in stem else 800
    sides = resolution if isinstance(resolution, list) else [resolution]
    numbers = [side for side in sides if isinstance(side, int)] or [320]
    return min(_SIDES, key=lambda known: abs(known - min(numbers)))
