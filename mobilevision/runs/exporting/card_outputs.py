"""What a model card says of each output, by the kind of answer."""

from __future__ import annotations

from mobilevision.deploy.manifest import Manifest

_MEANINGS = {
    "classes": {"probabilities": "of each class, in the order of `classes`; their sum is 1"},
    "attributes": {
        "logits": "of each attribute, in the order of `classes`, before calibration",
        "probabilities": "of each attribute, calibrated on val",
        "present": "whether the attribute is there, by the thresholds that val chose, else 0.5",
    },
    "embedding": {"embedding": "of unit length; the cosine of two says how alike the pictures are"},
    "places": {
        "probabilities": "of each cell of Earth, in the order of `classes`; their sum is 1",
        "cells": "places of the most probable cells in that order, most probable first",
        "coordinate": "latitude and longitude, in degrees",
    },
    "boxes": {
        "boxes": "left, top, right and bottom, in pixels of the input; always the same number, best first",
        "scores": "of each box, from 0 to 1; 0 where there is none",
        "labels": "the class of each box as its place in `classes`, from 0; -1 where there is no box",
    },
    "raw_boxes": {
        "logits": "of every anchor, background first",
        "deltas": "of every anchor, how its box is moved and stretched",
    },
}


def outputs(manifest: Manifest) -> str:
    """The part of the card with a line for each output."""
    meanings = _MEANINGS.get(manifest.answer, {})
    rows = ["## Outputs", ""]
    for port in manifest.outputs:
        shape = ", ".join("batch" if side is None else str(side) for side in port.shape)
        meaning = f": {meanings[port.name]}" if port.name in meanings else ""
        rows.append(f"- `{port.name}`: {port.dtype} [{shape}]{meaning}")
    if any("`classes`" in row for row in rows):
        rows += ["", "`classes` is the list in `model.json`."]
    if manifest.answer == "raw_boxes":
        rows += ["", "Boxes are left to whoever runs the graph: `decode.py` makes them with NumPy and `facts`."]
    return "\n".join(rows)
