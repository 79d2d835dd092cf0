"""A graph whose weights int8 holds as they are, for formats whose own tools round each weight to the nearest step."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.onnx_int8.gptq import rounded
from mobilevision.deploy.formats.onnx_int8.layers import layers
from mobilevision.deploy.formats.onnx_int8.ranges import observe
from mobilevision.deploy.precision import FLOAT32

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


def rounded_graph(graph: Graph, precision: Precision, most: int) -> Graph:
    """A copy with rounded weights and biases that compensate for the rounding; in float32, the graph itself.

    What a layer's inputs do is seen in ONNX Runtime, where batch norm is folded already. A row of a weight keeps its
    largest value, so whoever takes that as ``most`` steps finds every weight on a step.

    Args:
        graph: in float32.
        precision: calibration images, and the layers to leave alone.
        most: steps of a row's largest weight: those that the format's own tool will take.
    """
    if precision.name != "int8":
        return graph
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    assert precision.calibration is not None
    with tempfile.TemporaryDirectory() as work:
        Onnx().write(graph, Path(work) / Onnx.file, FLOAT32)
        model = load_model_with_shape_infer(Path(work) / Onnx.file)
    twin = copy.deepcopy(graph)
    modules = dict(twin.task.named_modules())
    chosen = [layer for layer in layers(model) if layer.name in modules and not precision.keeps(layer.name)]
    _, grams = observe(model, chosen, [], precision.calibration)
    for layer in chosen:
        _put(modules[layer.name], layer.rows, *rounded(layer.rows, grams[layer.name].mean, most))
    return twin


@torch.no_grad()
def _put(module: Any, folded: NDArray[Any], weight: NDArray[Any], shift: NDArray[Any]) -> None:
    """Rows [O, d] and what is to be added to the bias [O], both with batch norm folded in, as the layer has them."""
    own = module.weight.flatten(1).double()
    before, after, more = (torch.from_numpy(each.astype(np.float64)) for each in (folded, weight, shift))
    scale = (before * own).sum(dim=1) / own.square().sum(dim=1).clamp(min=1e-30)
    scale = torch.where(scale.abs() > 0, scale, torch.ones_like(scale))
    module.weight.copy_((after / scale[:, None]).view_as(module.weight))
    bias = more / scale + (0 if module.bias is None else module.bias.double())
    module.bias = nn.Parameter(bias.to(module.weight.dtype), requires_grad=False)
