"""The types and sizes of the tensors of an ONNX graph, and which of them are constants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, final

from mobilevision.deploy.formats.onnx_reading import check_fields
from mobilevision.errors import UserError

_SMALL = 1024  # elements of a constant that sizes may depend on
_SECONDS, _MEMORY = 60, 4 * 2**30  # for working sizes out; a large model takes a second


@final
class Sized:
    """A graph in which types and sizes are known, as far as they can be.

    Attributes:
        nodes: those that look at the input, in the file's order.
        opset: the operator set of ONNX itself; 0 where the file names none.
        open_batch: whether an input takes any number of images.
    """

    def __init__(self, model: Any, sized: Any) -> None:
        self.opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
        self.sides: dict[str, tuple[int | None, ...]] = {}
        self.types: dict[str, int] = {}
        for port in (*sized.graph.value_info, *sized.graph.input, *sized.graph.output):
            kind = port.type.tensor_type
            if port.type.HasField("tensor_type"):
                self.types[port.name] = kind.elem_type
                if kind.HasField("shape"):
                    self.sides[port.name] = tuple(
                        side.dim_value if side.HasField("dim_value") and side.dim_value >= 0 else None
                        for side in kind.shape.dim
                    )
        self.stored = {each.name: each for each in model.graph.initializer}
        self.constants = set(self.stored) - (
            {each.name for each in model.graph.input} if model.ir_version > 3 else set()
        )
        self.nodes: list[Any] = []
        for node in model.graph.node:
            if _is_constant(node, self.constants):
                self.constants.update(node.output)
            else:
                self.nodes.append(node)
        self.outputs = {port.name for port in model.graph.output}
        self.makers = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self.users: dict[str, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for name in dict.fromkeys(node.input):
                self.users.setdefault(name, []).append(place)
        inputs = [port.name for port in model.graph.input if port.name not in self.stored]
        self.open_batch = any(self.sides.get(name, ())[:1] == (None,) for name in inputs)

    def maker(self, name: str) -> Any:
        """The node that makes a tensor; None of an input or a constant."""
        return self.nodes[self.makers[name]] if name in self.makers else None

    def consumers(self, name: str) -> list[Any]:
        """The nodes that use a tensor."""
        return [self.nodes[place] for place in self.users.get(name, ())]

    def is_open(self, name: str) -> bool:
        """Whether a tensor has a size that is not known ahead; what is left out (an empty name) has none."""
        return bool(name) and name not in self.constants and None in self.sides.get(name, (None,))

    def held(self, name: str) -> bool:
        """Whether it is a constant, perhaps one in int8."""
        maker = self.maker(name)
        return name in self.constants or (
            maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in self.constants
        )


def _is_constant(node: Any, constants: set[str]) -> bool:
    """Whether a node depends on constants alone; layers in int8 are read off those that (de)quantise."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.op_type.startswith("Random"):
        return False
    if any(each.HasField("g") or each.graphs for each in node.attribute):
        return False
    given = [name for name in node.input if name]
    return node.op_type == "Constant" or (bool(given) and all(name in constants for name in given))


def with_sizes(model: Any, *, apart: bool = False) -> Any:
    """The graph with the type and size of every tensor that can be told, without weights; None where it takes too long.

    Args:
        model: an ``onnx.ModelProto``; it is left as it is.
        apart: in a process of its own, with bounds of time and memory: sizes that a stranger made up have none.
    """
    import onnx

    bare = _without_weights(model)
    if not apart:
        return onnx.shape_inference.infer_shapes(bare)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _APART],
            input=bare.SerializeToString(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        check_fields(Path(), done.stdout)
        return onnx.ModelProto.FromString(done.stdout)
    except (subprocess.SubprocessError, UserError, ValueError):
        return None


_APART = f"""
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
except (ImportError, OSError, ValueError):
    pass
import onnx
model = onnx.ModelProto.FromString(sys.stdin.buffer.read())
sys.stdout.buffer.write(onnx.shape_inference.infer_shapes(model).SerializeToString())
"""


def _without_weights(model: Any) -> Any:
    """A graph whose large constants are inputs, and without functions, which may hold each other over and over."""
    import onnx

    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph, known = bare.graph, {port.name for port in model.graph.input}
    for name in ("node", "input", "output", "value_info"):
        getattr(graph, name).extend(getattr(model.graph, name))
    for tensor in model.graph.initializer:
        if elements(tensor.dims) <= _SMALL and tensor.data_location != tensor.EXTERNAL:
            graph.initializer.append(tensor)
        if tensor.name not in known:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return bare


def elements(sides: Any) -> int:
    """Of a tensor of these sides."""
    count = 1
    for each in sides:
        count *= each
    return count
