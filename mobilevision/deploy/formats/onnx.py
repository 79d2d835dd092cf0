"""ONNX, written by torch's exporter and run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, quiet
from mobilevision.deploy.formats.onnx_compatibility import DEFAULT_OPSET, OPSETS
from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED
from mobilevision.deploy.formats.onnx_int8.layers import open_session
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


# ONNX with its weights in float16 and its sums in float32: half the file, for every runtime and at its usual speed.

_FEWEST = 64  # smaller constants are sizes and bounds, which gain nothing


def halve(source: Path, target: Path) -> None:
    """Write a float32 graph again with weights in float16, which the runtime widens once, when it loads the file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    widening = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims, dtype=int) < _FEWEST:
            continue
        name, largest = constant.name, float(np.finfo(np.float16).max)
        halved = numpy_helper.to_array(constant).clip(-largest, largest).astype(np.float16)
        constant.CopyFrom(numpy_helper.from_array(halved, f"{name}_half"))
        widening.append(helper.make_node("Cast", [constant.name], [name], name=f"{name}_widened", to=TensorProto.FLOAT))
    for index, node in enumerate(widening):
        model.graph.node.insert(index, node)
    onnx.save(model, target)


_MOST = 1024  # images of a batch
_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


@final
class Onnx(Format):
    """A file for ONNX Runtime: phones, browsers, servers.

    Args:
        batch: images at once, for runtimes that take no open size; None takes any number.
        opset: the operator set, one of :data:`mobilevision.deploy.formats.onnx_compatibility.OPSETS`.
    """

    name: ClassVar[str] = "onnx"
    file: ClassVar[str] = "model.onnx"
    writes_with: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript")
    runs_with: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "float16", "int8")
    weight_steps: ClassVar[int] = REDUCED
    extra: ClassVar[str] = "export"

    def __init__(self, batch: int | None = None, opset: int = DEFAULT_OPSET) -> None:
        self.batch, self.opset = batch, opset

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`; weights are in the one file."""
        self.require(self.writes_with)
        exact = path if precision.name == "float32" else _float32_path(path)
        _write_float(graph, exact)
        if precision.name == "float16":
            halve(exact, path)
        elif precision.name == "int8":
            from mobilevision.deploy.formats.onnx_int8.writing import quantise

            quantise(exact, path, precision)
        self._make_compatible(path)

    def _make_compatible(self, path: Path) -> None:
        """Give a file the batch and the operator set that are asked for."""
        import onnx

        from mobilevision.deploy.formats.onnx_compatibility import in_opset, with_batch

        model = onnx.load(path)
        if self.batch is not None:
            model = with_batch(model, self.batch)
        onnx.save(in_opset(model, self.opset), path)

    def about(self, path: Path) -> dict[str, Any]:
        """As in :class:`Format`."""
        import onnx

        from mobilevision.deploy.formats.onnx_compatibility import operator_set
        from mobilevision.deploy.formats.onnx_placement import placement

        model = onnx.load(path)
        opset = operator_set(model).version
        told = {"opset": opset, "ir": model.ir_version, "oldest_onnxruntime": OPSETS[opset][1]}
        return {"onnx": {**told, "accelerators": placement(model)}}

    def noise(self, path: Path, precision: Precision) -> dict[str, float]:
        """As in :class:`Format`."""
        from mobilevision.deploy.formats.onnx_int8.layer_sensitivity import noise

        return noise(_float32_path(path), precision)

    def largest_weight(self, path: Path) -> int | None:
        """As in :class:`Format`."""
        from mobilevision.deploy.formats.onnx_int8.gptq import largest_weight

        return largest_weight(path)

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`."""
        self.require(self.runs_with)
        try:
            session = open_session(path, threads=threads)
        except Exception as error:
            why = " ".join(str(error).split())[:160]
            raise UserError(f"{path}: ONNX Runtime cannot load it ({why}): copy the folder again") from None
        missing = sorted(set(outputs) - {port.name for port in session.get_outputs()}, key=outputs.index)
        if missing or len(session.get_inputs()) != 1:
            lacks = f"has no output {', '.join(missing)}" if len(session.get_inputs()) == 1 else "has other inputs"
            raise UserError(f"{path}: {lacks}, as model.json says it has: export the model again")
        return _Session(session, outputs)


@final
class _Session(Runner):
    def __init__(self, session: Any, outputs: tuple[str, ...]) -> None:
        self.session, self.outputs = session, outputs
        port = session.get_inputs()[0]
        self.input, self.takes = port.name, (_TYPES.get(port.type, port.type), tuple(port.shape[1:]))
        self.batch = port.shape[0] if isinstance(port.shape[0], int) else None

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        if self.batch is None:
            found = self.session.run(list(self.outputs), {self.input: images})
        else:
            ran = [self.session.run(list(self.outputs), {self.input: image[None]}) for image in images]
            found = list(map(np.concatenate, zip(*ran, strict=True)))
        return dict(zip(self.outputs, found, strict=True))


def _float32_path(path: Path) -> Path:
    """Where the same graph lies in float32."""
    return path.with_name(f"float32{path.suffix}")


def _write_float(graph: Graph, path: Path) -> None:
    import torch

    with quiet():
        program = torch.onnx.export(
            graph,
            (graph.example(),),  # of two images: of one, the batch would be taken for fixed
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=_MOST)},),
            input_names=[graph.input],
            output_names=list(graph.names),
            custom_translation_table=_translations(),
            opset_version=DEFAULT_OPSET,
            verbose=False,
        )
    assert program is not None
    if isinstance(program.model.graph.inputs[0].shape[0], int):  # type: ignore[index]
        raise UserError(
            "in the exported graph the batch has one size only: somewhere in the model it became a Python number,"
            " as by len(x), where x.shape[0] would do"
        )
    program.save(path, external_data=False)


def _translations() -> dict[Any, Any]:
    """Our own operators in terms of ONNX's, as ``torch.onnx.export`` takes them."""
    import torch
    from onnxscript import opset18

    from mobilevision.ops import suppression  # noqa: F401 - registers the operator

    op: Any = opset18  # its annotations name tensor types that only the graph knows

    def suppress(boxes: Any, scores: Any, iou: float, least: float) -> Any:
        """See :func:`mobilevision.ops.suppression.suppress`: the boxes that ONNX's operator lists, as a mask."""
        chosen = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Shape(scores, start=1),
            op.Constant(value_floats=[iou]),
            op.Constant(value_floats=[least]),
        )
        indices = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)  # row and box; between them the only class
        none = op.Cast(op.ConstantOfShape(op.Shape(scores)), to=9)
        kept = op.Cast(op.Expand(op.Constant(value_ints=[1]), op.Shape(indices, end=1)), to=9)
        return op.ScatterND(none, indices, kept)

    return {torch.ops.mobilevision.suppress.default: suppress}
