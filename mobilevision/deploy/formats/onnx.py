"""ONNX, written by torch's exporter and run by ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner
from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED
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
    for place, node in enumerate(widening):
        model.graph.node.insert(place, node)
    onnx.save(model, target)


_MOST = 1024  # images of a batch
_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
_ERRORS = 3  # ONNX Runtime's log level from which it speaks


@final
class Onnx(Format):
    """A file for ONNX Runtime: phones, browsers, servers."""

    name: ClassVar[str] = "onnx"
    file: ClassVar[str] = "model.onnx"
    writes_with: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript")
    runs_with: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "float16", "int8")
    weight_steps: ClassVar[int] = REDUCED
    extra: ClassVar[str] = "export"

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`; weights are in the one file."""
        self.require(self.writes_with)
        if precision.name == "float32":
            _write_float(graph, path)
            return
        whole = _whole(path)
        _write_float(graph, whole)
        if precision.name == "float16":
            halve(whole, path)
        else:
            from mobilevision.deploy.formats.onnx_int8.writing import quantise

            quantise(whole, path, precision)

    def noise(self, path: Path, precision: Precision) -> dict[str, float]:
        """As in :class:`Format`."""
        from mobilevision.deploy.formats.onnx_int8.layer_sensitivity import noise

        return noise(_whole(path), precision)

    def largest_weight(self, path: Path) -> int | None:
        """As in :class:`Format`."""
        from mobilevision.deploy.formats.onnx_int8.gptq import largest_weight

        return largest_weight(path)

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`."""
        self.require(self.runs_with)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            why = " ".join(str(error).split())[:160]
            raise UserError(f"{path}: ONNX Runtime cannot load it ({why}): copy the folder again") from None
        there = [port.name for port in session.get_outputs()]
        if len(session.get_inputs()) != 1 or (missing := [name for name in outputs if name not in there]):
            lacks = f"has no output {', '.join(missing)}" if len(session.get_inputs()) == 1 else "has other inputs"
            raise UserError(f"{path}: {lacks}, as model.json says it has: export the model again")
        return _Session(session, outputs)


@final
class _Session(Runner):
    def __init__(self, session: Any, outputs: tuple[str, ...]) -> None:
        self.session, self.outputs = session, outputs
        port = session.get_inputs()[0]
        self.input, self.takes = port.name, (_TYPES.get(port.type, port.type), tuple(port.shape[1:]))

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        found = self.session.run(list(self.outputs), {self.input: images})
        return dict(zip(self.outputs, found, strict=True))


def _whole(path: Path) -> Path:
    """Where the same graph lies in float32."""
    return path.with_name(f"float32{path.suffix}")


def _write_float(graph: Graph, path: Path) -> None:
    import torch

    from mobilevision.deploy.formats.onnx_operators import translations

    with _quiet():
        program = torch.onnx.export(
            graph,
            (graph.example(),),  # of two images: of one, the batch would be taken for fixed
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=_MOST)},),
            input_names=[graph.input],
            output_names=list(graph.names),
            custom_translation_table=translations(),
            verbose=False,
        )
    assert program is not None
    if isinstance(program.model.graph.inputs[0].shape[0], int):  # type: ignore[index]
        raise UserError(
            "in the exported graph the batch has one size only: somewhere in the model it became a Python number,"
            " as by len(x), where x.shape[0] would do"
        )
    program.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own workings from the console."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
