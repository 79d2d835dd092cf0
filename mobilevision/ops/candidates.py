"""What a detector says before anything is decided: class scores and box offsets of many candidate boxes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

Weights = tuple[float, float, float, float]


class Candidates(NamedTuple):
    """A class and a box for each of many anchors; batch first.

    Attributes:
        logits: float [B, A, O]; output 0 is background, output k + 1 is class k.
        deltas: float [B, A, 4], or [B, A, O, 4] where every class has a box of its own: (dx, dy, dw, dh) relative to
            the anchor, times ``weights`` (see :mod:`mobilevision.ops.box_coding`).
        anchors: float [B, A, 4], anchors or proposals, as (left, top, right, bottom) in pixels of the input.
        valid: bool [B, A]; False for places that only fill up the batch.
        weights: factors on (dx, dy, dw, dh).
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    valid: Tensor
    weights: Weights


class DetectorOutputs(NamedTuple):
    """Raw outputs of a detection head.

    Attributes:
        final: what becomes detections.
        proposals: the first stage of a two-stage detector (its outputs are background and object); None for one-stage.
    """

    final: Candidates
    proposals: Candidates | None = None
