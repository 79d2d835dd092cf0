"""Our own operators in terms of ONNX's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18

from mobilevision.ops import suppression  # noqa: F401 - registers the operator

op: Any = opset18  # its types say what a tensor holds, which is for the graph to know


def _suppress(boxes: Any, scores: Any, iou: float, least: float) -> Any:
    """See :func:`mobilevision.ops.suppression.suppress`: the places that ONNX's operator lists, as a mask."""
    chosen = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, op.Constant(value_ints=[1])),
        op.Shape(scores, start=1),
        op.Constant(value_floats=[iou]),
        op.Constant(value_floats=[least]),
    )
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)  # row and box; between them the only class
    nowhere = op.Cast(op.ConstantOfShape(op.Shape(scores)), to=9)
    here = op.Cast(op.Expand(op.Constant(value_ints=[1]), op.Shape(places, end=1)), to=9)
    return op.ScatterND(nowhere, places, here)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """As ``torch.onnx.export`` takes them."""
    return {torch.ops.mobilevision.suppress.default: _suppress}
