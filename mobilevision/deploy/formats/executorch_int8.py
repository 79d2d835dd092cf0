"""int8 for ExecuTorch: ranges from pictures, by torchao and the quantizer of XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mobilevision.deploy.formats.layers import of_layers

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision

_BODY = ".backbone.model."  # of which sums and products are quantised too, not only layers


def quantized(model: nn.Module, graph: Graph, precision: Precision) -> nn.Module:
    """The model in int8, with the operations in between that say where.

    Args:
        model: the graph as it is exported.
        graph: the same, for its input.
        precision: with pictures, and layers that are to stay in float32.

    Raises:
        UserError: a layer of ``precision.keep`` is not there.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    assert precision.calibration is not None
    kept = {f"task.{layer}" for layer in of_layers(graph.task, precision.keep)}
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    quantizer.set_filter_function(_wanted(model, kept))
    prepared = prepare_pt2e(torch.export.export(model, (graph.example(1),)).module(), quantizer)
    example = graph.example(1)
    with torch.inference_mode():
        for picture in torch.from_numpy(precision.calibration).split(1):
            prepared(picture.to(example.dtype))
    converted: nn.Module = convert_pt2e(prepared)
    return converted


def _wanted(model: nn.Module, kept: set[str]) -> Callable[[Any], bool]:
    """Whether an operation of the exported graph may be quantised: decoding, as of boxes, may not."""
    leaves = {name for name, module in model.named_modules() if not list(module.children())}

    def wanted(node: Any) -> bool:
        stack = node.meta.get("nn_module_stack") or {}
        where = [path.removeprefix("L['self'].").replace("L['self']", "") for path, _ in stack.values()]
        inner = where[-1] if where else ""
        return inner not in kept and (inner in leaves or _BODY in f".{inner}.")

    return wanted
