"""int8 for ExecuTorch: ranges from images, by torchao and the quantizer of XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, get_input_act_qspec, get_output_act_qspec
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision

_LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.convolution.default)
_BODY = ".backbone.model."  # of which sums and products are quantised too, not only layers


def quantized(model: nn.Module, graph: Graph, precision: Precision) -> nn.Module:
    """The model in int8, with the operations in between that say where.

    Args:
        model: the graph as it is exported.
        graph: the same, for its input.
        precision: with images, and layers that are to stay in float32.
    """
    assert precision.calibration is not None
    kept = {f"task.{name}" for name, _ in graph.task.named_modules() if precision.keeps(name)}
    quantizer = _Quantizer(_wanted(model, kept))
    example = graph.example(1)
    prepared = prepare_pt2e(_clamped(torch.export.export(model, (example,)).module()), quantizer)
    with torch.no_grad():
        for image in torch.from_numpy(precision.calibration):
            prepared(image[None].to(example.dtype))
    converted: nn.Module = convert_pt2e(prepared)
    return converted


@final
class _Quantizer(XNNPACKQuantizer):  # type: ignore[misc]
    """XNNPACK's, which knows a convolution with its ReLU, for those with a ReLU6, too: one range after both.

    Args:
        wanted: whether an operation may be quantised.
    """

    def __init__(self, wanted: Callable[[Any], bool]) -> None:
        super().__init__()
        self.wanted, self.config = wanted, get_symmetric_quantization_config(is_per_channel=True)
        self.set_global(self.config).set_filter_function(wanted)

    def annotate(self, model: Any) -> Any:
        """Say what is quantised, and together."""
        for clamp in model.graph.nodes:
            if clamp.target != torch.ops.aten.hardtanh.default:
                continue
            layer = clamp.args[0]
            if layer.target in _LAYERS and len(layer.users) == 1 and self.wanted(layer) and self.wanted(clamp):
                takes = {layer.args[0]: get_input_act_qspec(self.config), layer.args[1]: self.config.weight}
                layer.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(input_qspec_map=takes, _annotated=True)
                gives = get_output_act_qspec(self.config)
                clamp.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(output_qspec=gives, _annotated=True)
        return super().annotate(model)


def _clamped(module: Any) -> Any:
    """ReLU6 as what the quantizer takes into the layer before."""
    for node in module.graph.nodes:
        if node.target in (torch.ops.aten.relu6.default, torch.ops.aten.relu6_.default):
            node.target, node.args = torch.ops.aten.hardtanh.default, (node.args[0], 0.0, 6.0)
    module.recompile()
    return module


def _wanted(model: nn.Module, kept: set[str]) -> Callable[[Any], bool]:
    """Whether an operation of the exported graph may be quantised: decoding, as of boxes, may not."""
    leaves = {name for name, module in model.named_modules() if not list(module.children())}

    def wanted(node: Any) -> bool:
        if node.op != "call_function":
            return True  # weights belong to whoever takes them
        stack = node.meta.get("nn_module_stack") or {}
        inner = [path for path, _ in stack.values()][-1] if stack else ""
        return inner not in kept and (inner in leaves or _BODY in f".{inner}.")

    return wanted
