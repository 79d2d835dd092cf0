"""What a model card says of use and limits, by the kind of answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_SEEN = 0.00005  # less is no difference in four decimals
_USES = {
    "classes": "It names the class of an image that shows one of its classes.",
    "attributes": "It says which of its attributes an image shows, each by itself.",
    "embedding": "It gives a vector an image; the cosine of two says how alike they are. It finds what it was never"
    " shown again, such as other people or things.",
    "places": "It guesses where on Earth an image was taken.",
    "boxes": "It finds the objects of its classes in an image, a box and a score each.",
    "numbers": "It gives numbers whose meaning its task knows.",
}
_LIMITS = {
    "classes": "It says one of its classes of any image, also of one that shows none of them.",
    "attributes": "What it says of an image is what those who labelled its training data would have said, no more.",
    "embedding": "Likeness is no proof of identity: set the threshold on your own images, and do not let it alone"
    " decide about people.",
    "places": "Places with few photos in its training data are guessed worst, and it always answers.",
    "boxes": "Small and covered objects are missed first; what looks like one of its classes may be taken for it.",
    "numbers": "Nothing is known of it but its measurements.",
}
_JUDGED = {
    "run": "It was judged on images like those of its training only; it may do worse on other cameras, places or"
    " people. Measure it on your own images first.",
    "weights": "It was judged on the images named above only; it may do worse on other cameras, places or people."
    " Measure it on your own images first.",
}
_UNJUDGED = "Nobody measured this file yet: do that on your own images first."


def intended(answer: str) -> str:
    """What the model is for."""
    return _USES[_kind(answer)]


def limited(answer: str, *, origin: str, measured: bool) -> str:
    """What it is not good at.

    Args:
        answer: its kind.
        origin: ``run`` or ``weights``.
        measured: whether the gate looked at it.
    """
    return f"{_LIMITS[_kind(answer)]} {_JUDGED[origin] if measured else _UNJUDGED}"


def moved(gate: Mapping[str, Any]) -> str:
    """How the primary metric of the exported model differs from the checkpoint's, in a sentence."""
    name, drop = gate["primary"], gate["drop"]
    if drop is None or math.isnan(drop):
        return f"{name} is no number here, so it was not compared."
    if abs(drop) < _SEEN:
        return f"{name} stays as it is."
    falls = (drop > 0) == (gate.get("mode", "max") == "max")
    return f"{name} {'falls' if falls else 'rises'} by {abs(drop):.4f}."


def compared(gate: Mapping[str, Any]) -> list[str]:
    """What else the gate found, a sentence each: whether little agreement is chance, and images with equal detections.

    Args:
        gate: as model.json has it; earlier ones lack some of it.
    """
    found, images = [], gate["pictures"]
    chance = gate.get("agreement_chance")
    if chance is not None and gate["passed"]:
        found.append(
            f"Less agreement than {gate['least_agreement']} may be chance on so few images"
            f" ({images:,}, p = {chance:.2g}): compare on more to be sure."
        )
    same = gate.get("images_with_same_detections")
    if same is not None:
        found.append(f"{same:,} of {images:,} images have the same detections at the thresholds, no more and no fewer.")
    if (other := gate.get("without_vnni")) is not None:
        found.append(_elsewhere(other))
    return found


def _elsewhere(found: Mapping[str, Any]) -> str:
    """What came of the file on an emulated processor without VNNI."""
    name = f"a processor without VNNI (emulated: {found['processor']})"
    if "not_tried" in found:
        return f"Not tried on {name}: {found['not_tried']}."
    gap = found["largest_difference"]
    on = f"on {counted(found['images'], 'image')}"
    if gap == 0:
        return f"On {name} it gives the same numbers, {on}."
    return f"On {name} it gives the same answers to {found['agreement']:.4f}, and numbers to {gap:.2g}, {on}."


def is_baseline(metric: str) -> bool:
    """Whether a number is not the model's, but what a guess reaches that looks at no image."""
    return metric.startswith("prior_")


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things: ``1 epoch``, ``3 epochs``."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def _kind(answer: str) -> str:
    known = answer.removeprefix("raw_")
    return known if known in _USES else "numbers"
