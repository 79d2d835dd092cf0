"""The layers of an ONNX graph that int8 is about, by the names that they have in the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

LINEAR = ("Conv", "Gemm", "MatMul")
REMOVED = ("Clip", "Relu")
"""Activations that become part of the range of what comes before."""
WEIGHTLESS_OPERATORS = (*REMOVED, "LeakyRelu", "Add")
"""What integers can do between two layers."""

_PREFIX, _SUFFIX = "task.", ".weight"


@final
@dataclass(frozen=True)
class Layer:
    """A convolution or a matrix product with constant weights.

    Attributes:
        name: of the module in the task, such as ``head.classifiers.0``.
        node: the ONNX node.
        weight: of the exported graph, batch norm folded in, in the layout of the node.
    """

    name: str
    node: Any
    weight: NDArray[np.float32]

    @property
    def axis(self) -> int:
        """Of ``weight``, the one that goes over the channels that come out."""
        return 0 if self.node.op_type == "Conv" or attribute(self.node, "transB", 0) else 1

    @property
    def rows(self) -> NDArray[np.float32]:
        """The weights of each channel that comes out, [O, d]."""
        return np.moveaxis(self.weight, self.axis, 0).reshape(self.weight.shape[self.axis], -1)

    def shaped(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Undo ``rows``."""
        first = np.moveaxis(self.weight, self.axis, 0).shape
        return np.ascontiguousarray(np.moveaxis(rows.reshape(first), 0, self.axis), np.float32)

    @property
    def source(self) -> str:
        """The tensor that goes in."""
        return str(self.node.input[0])

    @property
    def result(self) -> str:
        """The tensor that comes out."""
        return str(self.node.output[0])


def layers(model: Any) -> list[Layer]:
    """The layers of an ONNX model, in the order in which they are computed."""
    from onnx import numpy_helper

    constants = {each.name: each for each in model.graph.initializer}
    return [
        Layer(_plain(node.input[1]), node, numpy_helper.to_array(constants[node.input[1]]))
        for node in model.graph.node
        if node.op_type in LINEAR and node.input[0] not in constants and node.input[1] in constants
    ]


def weightless_nodes(model: Any) -> Iterator[Any]:
    """The nodes between layers that are computed in integers, too: activations, and sums of maps."""
    constants = {each.name for each in model.graph.initializer}
    ranks = {each.name: len(each.type.tensor_type.shape.dim) for each in model.graph.value_info}
    for node in model.graph.node:
        sums = [each for each in node.input if each not in constants and ranks.get(each) == 4]
        if node.op_type in WEIGHTLESS_OPERATORS and len(sums) == (2 if node.op_type == "Add" else 1):
            yield node


def open_session(model: Any, *, threads: int | None = None) -> Any:
    """ONNX Runtime's session on the CPU, of a model or its file; it logs errors alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    given = model if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def copied(model: Any) -> Any:
    """A copy of an ONNX model."""
    twin = type(model)()
    twin.CopyFrom(model)
    return twin


def attribute(node: Any, name: str, otherwise: Any) -> Any:
    """An attribute of an ONNX node."""
    from onnx import helper

    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), otherwise)


def _plain(weight: str) -> str:
    """Of ``task.head.classifier.weight``, transposed or not, ``head.classifier``."""
    return weight.removeprefix(_PREFIX).partition(_SUFFIX)[0]
