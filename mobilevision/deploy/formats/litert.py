"""LiteRT, once TensorFlow Lite: a file for Android, iOS and small boards, for one image at a time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, quiet, silent
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


@final
class LiteRT(Format):
    """A ``.tflite`` file; its batch is fixed, as its memory is."""

    name: ClassVar[str] = "litert"
    file: ClassVar[str] = "model.tflite"
    writes_with: ClassVar[tuple[str, ...]] = ("litert_torch",)
    quantizes_with: ClassVar[tuple[str, ...]] = ("ai_edge_quantizer", *Onnx.writes_with, *Onnx.runs_with)
    runs_with: ClassVar[tuple[str, ...]] = ("ai_edge_litert",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "int8")
    batch: int | None = 1
    extra: ClassVar[str] = "litert"
    note: ClassVar[str] = " (litert_torch needs torch < 2.15: add --environment auto; or, in an environment of its own)"

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`."""
        self.require(self.writes_with)
        with quiet():
            from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph

            graph = rounded_graph(graph, precision, self.weight_steps)
            convert(graph, path)
            if precision.name == "int8":
                self.require(self.quantizes_with)
                _quantize(path, graph, precision)

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`."""
        self.require(self.runs_with)
        from ai_edge_litert.interpreter import Interpreter

        with silent():
            try:
                interpreter = Interpreter(str(path), num_threads=threads)
                interpreter.allocate_tensors()
            except Exception as error:
                why = " ".join(str(error).split())[:160]
                raise UserError(f"{path}: LiteRT cannot load it ({why}): copy the folder again") from None
        given, takes = interpreter.get_output_details(), interpreter.get_input_details()
        if len(given) != len(outputs) or len(takes) != 1:
            raise UserError(
                f"{path}: has {len(given)} outputs, not {len(outputs)} as model.json says: export the model again"
            )
        indices = [each["index"] for each in sorted(given, key=number_of)]
        return _Interpreted(interpreter, takes[0], dict(zip(outputs, indices, strict=True)))


@final
class _Interpreted(Runner):
    """Takes the images of a batch one by one. Not by the file's signature: quantising leaves a wrong one."""

    def __init__(self, interpreter: Any, port: dict[str, Any], outputs: dict[str, int]) -> None:
        self.interpreter, self.input, self.outputs = interpreter, port["index"], outputs
        self.takes = np.dtype(port["dtype"]).name, tuple(map(int, port["shape"][1:]))

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        results: dict[str, list[NDArray[Any]]] = {name: [] for name in self.outputs}
        for image in images:
            self.interpreter.set_tensor(self.input, image[None])
            self.interpreter.invoke()
            for name, index in self.outputs.items():
                results[name].append(self.interpreter.get_tensor(index))
        return {name: np.concatenate(values) for name, values in results.items()}


def number_of(output: dict[str, Any]) -> int:
    """Its index among the graph's outputs, read from its name."""
    number = re.search(r"output_(\d+)", output["name"])
    return int(number[1]) if number else 0


def convert(graph: Graph, path: Path, *, channels_last: bool = False, format: str = LiteRT.name) -> None:
    """Write a graph for one image.

    Args:
        graph: in float32.
        path: of the file.
        channels_last: whether the input is float32 [1, H, W, C] in place of what the graph takes.
        format: in whose name it is written, for the error.

    Raises:
        UserError: the graph holds what LiteRT does not have.
    """
    import litert_torch
    import torch

    from mobilevision.deploy.formats.plain_operators import ChannelsLast, laid_out, plain

    model, image = laid_out(graph), graph.example(1)
    if channels_last:
        model, image = ChannelsLast(model), image.float().permute(0, 2, 3, 1).contiguous()
    replacements = plain(loops=False)
    try:
        program = torch.export.export(model, (image,))
        if any(node.target in replacements for node in program.graph.nodes):
            program = program.run_decompositions(replacements)
        litert_torch.convert(program.module(check_guards=False), (image,)).export(str(path))
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"--format {format}: the model has an operation that LiteRT lacks ({why})") from error


def _quantize(path: Path, graph: Graph, precision: Precision) -> None:
    """Replace a file in float32 by one whose layers are in int8: ranges from images, by AI Edge Quantizer.

    Raises:
        UserError: a layer is to stay in float32: the file does not say which is which.
    """
    from ai_edge_quantizer import qtyping, quantizer

    assert precision.calibration is not None
    if precision.keep:
        raise UserError(f"--keep-float {precision.keep[0]}: format litert quantises every layer; leave it out")
    work = quantizer.Quantizer(path.read_bytes())
    for layer in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        kind = qtyping.TFLOperationName[layer]
        work.add_static_config(regex=".*", operation_name=kind, activation_num_bits=8, weight_num_bits=8)
    images = [{"args_0": each[None].astype(graph.dtype)} for each in precision.calibration]
    ranges = work.calibrate({"serving_default": images}, num_threads=1)
    path.write_bytes(bytes(work.quantize(ranges, enable_progress_report=False).quantized_model))
