"""OpenVINO's own files, made of the ONNX graph; int8 by NNCF."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.onnx_int8.rounding import REDUCED
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision

_KEPT = 2  # batch sizes that stay compiled
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # else some processors take bfloat16


@final
class OpenVino(Format):
    """Files for Intel's processors, and for others that OpenVINO runs on."""

    name: ClassVar[str] = "openvino"
    file: ClassVar[str] = "model.xml"
    parts: ClassVar[tuple[str, ...]] = ("model.bin",)
    writes_with: ClassVar[tuple[str, ...]] = (*Onnx.writes_with, "openvino")
    quantizes_with: ClassVar[tuple[str, ...]] = ("nncf", "onnxruntime")
    runs_with: ClassVar[tuple[str, ...]] = ("openvino",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "float16", "int8")
    weight_steps: ClassVar[int] = REDUCED
    extra: ClassVar[str] = "openvino"

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`; the weights are in ``model.bin`` beside it.

        ``float16`` are weights of 16 bits; what is computed with them is float32 unless the runtime is told otherwise.
        """
        self.require(self.writes_with)
        import openvino

        from mobilevision.deploy.precision import FLOAT32

        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            source = Path(work) / Onnx.file
            if precision.name == "int8":
                from mobilevision.deploy.formats.onnx_int8.rounded import rounded_graph

                graph = rounded_graph(graph, precision, self.weight_steps)
            Onnx().write(graph, source, FLOAT32)
            model = openvino.Core().read_model(source)
            if precision.name == "int8":
                self.require(self.quantizes_with)
                from mobilevision.deploy.formats.openvino_int8 import quantized

                model = quantized(model, source, graph, precision, self.weight_steps)
            openvino.save_model(model, path, compress_to_fp16=precision.name == "float16")

    def largest_weight(self, path: Path) -> int | None:
        """As in :class:`Format`."""
        import openvino

        from mobilevision.deploy.formats.openvino_int8 import largest_weight

        return largest_weight(openvino.Core().read_model(path))

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`."""
        self.require(self.runs_with)
        import openvino

        core = openvino.Core()
        core.set_property("CPU", {**_EXACT, **({} if threads is None else {"INFERENCE_NUM_THREADS": threads})})
        try:
            model = core.read_model(path)
            there = [name for port in model.outputs for name in port.get_names()]
            shape = model.input().get_partial_shape()
        except Exception as error:
            why = " ".join(str(error).split())[-160:]
            raise UserError(f"{path}: OpenVINO cannot load it ({why}): copy the folder again") from None
        if missing := [name for name in outputs if name not in there]:
            raise UserError(
                f"{path}: has no output {', '.join(missing)}, as model.json says it has: export the model again"
            )
        return _Compiled(core, model, [side.get_length() for side in list(shape)[1:]], outputs)


@final
class _Compiled(Runner):
    """The model for each size of a batch that came last: a fifth faster than one for all sizes."""

    def __init__(self, core: Any, model: Any, shape: list[int], outputs: tuple[str, ...]) -> None:
        self.core, self.model, self.shape, self.outputs = core, model, shape, outputs
        self.compiled: dict[int, Any] = {}

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        found = self._for(len(images))([np.ascontiguousarray(images)])
        return {name: np.array(found[name]) for name in self.outputs}

    def _for(self, batch: int) -> Any:
        if batch not in self.compiled:
            self.model.reshape([batch, *self.shape])
            while len(self.compiled) >= _KEPT:
                del self.compiled[next(iter(self.compiled))]
            self.compiled[batch] = self.core.compile_model(self.model, "CPU")
        return self.compiled[batch]
