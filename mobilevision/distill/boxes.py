"""Outputs of a detector as another one, with its own side and its own order of classes, would give them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mobilevision.ops.candidates import Candidates, DetectorOutputs


def rescaled(outputs: Any, across: float, down: float) -> Any:
    """A detector's outputs with its reference boxes in other pixels; anything else as it is.

    Args:
        outputs: raw outputs of any head.
        across: factor on x.
        down: factor on y.
    """
    if not isinstance(outputs, DetectorOutputs) or across == down == 1:
        return outputs

    def one(candidates: Candidates) -> Candidates:
        factors = candidates.references.new_tensor([across, down, across, down])
        return candidates._replace(references=candidates.references * factors)

    return DetectorOutputs(one(outputs.final), None if outputs.proposals is None else one(outputs.proposals))


def reordered(outputs: DetectorOutputs, order: Tensor) -> DetectorOutputs:
    """Class ``order[k]`` becomes class k; background stays first, unused outputs go.

    Args:
        outputs: a detector's.
        order: int64 [K].
    """
    places = torch.cat([order.new_zeros(1), order + 1])
    final = outputs.final
    deltas = final.deltas if final.deltas.ndim == 3 else final.deltas[:, :, places]
    return outputs._replace(final=final._replace(logits=final.logits[..., places], deltas=deltas))
