"""LiteRT, once TensorFlow Lite: a file for Android, iOS and small boards, for one image at a time."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, silent
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
    batch: ClassVar[int | None] = 1
    extra: ClassVar[str] = "litert"
    note: ClassVar[str] = " (litert_torch needs torch < 2.15, so an environment of its own)"

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`."""
        self.require(self.writes_with)
        with _quiet():
            from mobilevision.deploy.formats.litert_graph import converted

            if precision.name == "int8":
                from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph

                graph = rounded_graph(graph, precision, self.weight_steps)
            converted(graph, path)
            if precision.name == "int8":
                self.require(self.quantizes_with)
                from mobilevision.deploy.formats.litert_int8 import quantize

                quantize(path, graph, precision)

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
        places = [each["index"] for each in sorted(given, key=_number)]
        return _Interpreted(interpreter, takes[0], dict(zip(outputs, places, strict=True)))


@final
class _Interpreted(Runner):
    """Takes the images of a batch one by one. Not by the file's signature: quantising leaves a wrong one."""

    def __init__(self, interpreter: Any, port: dict[str, Any], places: dict[str, int]) -> None:
        self.interpreter, self.input, self.places = interpreter, port["index"], places
        self.takes = np.dtype(port["dtype"]).name, tuple(map(int, port["shape"][1:]))

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        found: dict[str, list[NDArray[Any]]] = {name: [] for name in self.places}
        for image in images:
            self.interpreter.set_tensor(self.input, image[None])
            self.interpreter.invoke()
            for name, place in self.places.items():
                found[name].append(self.interpreter.get_tensor(place))
        return {name: np.concatenate(values) for name, values in found.items()}


def _number(output: dict[str, Any]) -> int:
    """Its place among the graph's outputs, which its name holds."""
    number = re.search(r"output_(\d+)", output["name"])
    return int(number[1]) if number else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's notes on its own workings from the console."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), silent(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
