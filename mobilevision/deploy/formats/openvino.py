"""OpenVINO's own files, made of the ONNX graph; int8 by NNCF."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, quiet
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


# int8 for OpenVINO: ranges from images, by NNCF.


def quantized(model: Any, source: Path, graph: Graph, precision: Precision, most: int) -> Any:
    """The model in int8.

    NNCF's own 7 bits (``overflow_fix``) have other steps than those that the weights were rounded to, so it takes 8,
    and the weights are brought onto their steps after it, exactly.

    Args:
        model: an ``openvino.Model``.
        source: the ONNX file that it was read from, whose names its operations bear.
        graph: what was written.
        precision: with images, and layers that are to stay in float32.
        most: steps of a channel's largest weight.
    """
    assert precision.calibration is not None
    kept = _operations(source, [name for name, _ in graph.task.named_modules() if precision.keeps(name)])
    images = [each[None].astype(graph.dtype) for each in precision.calibration]
    with _alone():
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
        from openvino.passes import ConstantFolding, Manager

        passes = Manager()
        passes.register_pass(ConstantFolding())  # else depthwise weights are an expression and stay in float32
        passes.run_passes(model)
        names = [each.get_friendly_name() for each in model.get_ordered_ops()]
        ignored = [name for name in names if name.partition("/")[0] in kept]
        found = nncf.quantize(
            model,
            nncf.Dataset(images),
            subset_size=len(images),
            # Ranges round 0, the default, come out wrong on some processors where the batch is not fixed.
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.DISABLE,
                disable_bias_correction=True,  # rounding has made good for itself
                activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM,
            ),
        )
    _rescale(found, most)
    return found


def _rescale(model: Any, most: int) -> None:
    """Give each channel's largest integer weight the value ``most``; what is on these steps stays as it was."""
    from openvino import opset13

    for weight in _weights(model):
        converts = _users(weight)
        multiplications = [then for convert in converts for then in _users(convert)]
        if any(each.get_type_name() != "Multiply" for each in multiplications):
            continue  # with a zero point: :func:`largest_weight` tells of it
        scales = [each.input_value(1).get_node() for each in multiplications]
        axes = tuple(axis for axis, size in enumerate(scales[0].shape) if size == 1)
        largest = np.abs(weight.data.astype(np.float64)).max(axis=axes, keepdims=True)
        factor = np.where(largest > 0, largest / most, 1.0)
        steps = opset13.constant(np.rint(weight.data / factor).astype(np.int8))
        for convert in converts:
            convert.input(0).replace_source_output(steps.output(0))
        for each, scale in zip(multiplications, scales, strict=True):
            each.input(1).replace_source_output(opset13.constant((scale.data * factor).astype(np.float32)).output(0))


def _users(node: Any) -> list[Any]:
    return [port.get_node() for port in node.output(0).get_target_inputs()]


def largest_weight(model: Any) -> int:
    """The largest weight of a model in int8, in steps and without its sign; 0 where none is in integers."""
    return max(
        (int(np.abs(each.data.astype(int) - _zero_point(each)).max(initial=0)) for each in _weights(model)), default=0
    )


def _weights(model: Any) -> list[Any]:
    return [
        each
        for each in model.get_ordered_ops()
        if each.get_type_name() == "Constant" and each.get_element_type().get_type_name() == "i8" and each.shape
    ]


def _zero_point(weight: Any) -> Any:
    """What is subtracted from an integer weight after its conversion to float32; 0 where nothing is."""
    for convert in _users(weight):
        for then in _users(convert):
            if then.get_type_name() == "Subtract":
                constant = then.input_value(1).get_node()
                if constant.get_type_name() == "Convert":
                    constant = constant.input_value(0).get_node()
                return np.rint(constant.data).astype(int)
    return 0


def _operations(source: Path, layers: Sequence[str]) -> set[str]:
    """Names of the ONNX file's operations that take a weight of these layers."""
    import onnx

    weights = tuple(f"task.{layer}." for layer in layers)
    nodes = onnx.load(source).graph.node
    return {node.name for node in nodes if any(name.startswith(weights) for name in node.input)} if weights else set()


@final
class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's ``sigaltstack``."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("bytes", ctypes.c_size_t))


@contextmanager
def _signal_stack_kept() -> Iterator[None]:
    """Leaves the stack that this thread's signal handlers run on as it was.

    OpenVINO's plugin for CPUs sets one of its own as it is loaded, and puts back the one before as it is freed: where
    two are freed in the order in which they came, or in another thread, that is memory which is gone, and the next
    signal (Ctrl-C, a child's end) ends the process. A plugin that finds another stack than its own changes nothing.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    known = libc.sigaltstack(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known:
            libc.sigaltstack(ctypes.byref(before), None)


def new_core() -> Any:
    """An ``openvino.Core`` whose plugin for CPUs is loaded, and has left signals as they were."""
    import openvino

    with _signal_stack_kept():
        core = openvino.Core()
        core.get_property("CPU", "FULL_DEVICE_NAME")
    return core


@contextmanager
def _alone() -> Iterator[None]:
    """NNCF without its notes to the console, and without those that it sends home about its use."""
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"
    try:
        with quiet(), _signal_stack_kept():  # it makes cores of its own
            yield
    finally:
        if before is None:
            del os.environ["NNCF_CI"]


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

        from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph
        from mobilevision.deploy.precision import FLOAT32

        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            source = Path(work) / Onnx.file
            graph = rounded_graph(graph, precision, self.weight_steps)
            Onnx().write(graph, source, FLOAT32)
            model = new_core().read_model(source)
            if precision.name == "int8":
                self.require(self.quantizes_with)
                model = quantized(model, source, graph, precision, self.weight_steps)
            openvino.save_model(model, path, compress_to_fp16=precision.name == "float16")

    def largest_weight(self, path: Path) -> int | None:
        """As in :class:`Format`."""
        return largest_weight(new_core().read_model(path))

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`."""
        self.require(self.runs_with)
        core = new_core()
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
