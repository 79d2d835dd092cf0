"""ExecuTorch: PyTorch's own runtime for phones, here with XNNPACK, for one image at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, quiet
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


@final
class ExecuTorch(Format):
    """A file for ExecuTorch. Its memory is planned ahead, so the batch is fixed."""

    name: ClassVar[str] = "executorch"
    file: ClassVar[str] = "model.pte"
    writes_with: ClassVar[tuple[str, ...]] = ("executorch",)
    quantizes_with: ClassVar[tuple[str, ...]] = ("torchao", *Onnx.writes_with, *Onnx.runs_with)
    runs_with: ClassVar[tuple[str, ...]] = ("executorch",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "int8")
    batch: int | None = 1
    extra: ClassVar[str] = "executorch"

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`."""
        self.require(self.writes_with)
        with quiet():
            path.write_bytes(_lowered(graph, precision))
        try:
            self.open(path, outputs=graph.names)
        except UserError as error:
            raise UserError(
                f"--format executorch: the model was written in {precision.name}, but ExecuTorch has not all that it"
                " takes to run it: choose another precision or format"
            ) from error

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`; ``threads`` are those of all models of the process."""
        self.require(self.runs_with)
        with quiet():
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime

            if threads is not None:
                portable_lib._unsafe_reset_threadpool(threads)
            try:
                program = Runtime.get().load_program(path)
                method = program.load_method("forward")
            except Exception as error:
                why = " ".join(str(error).split())[:160]
                raise UserError(f"{path}: ExecuTorch cannot load it ({why}): copy the folder again") from None
        given = method.metadata.num_outputs()
        if given != len(outputs):
            raise UserError(
                f"{path}: has {given} outputs, not {len(outputs)} as model.json says: export the model again"
            )
        return _Method(program, method, outputs)


@final
class _Method(Runner):
    """Takes the images of a batch one by one."""

    def __init__(self, program: Any, method: Any, outputs: tuple[str, ...]) -> None:
        self.program, self.method, self.outputs = program, method, outputs  # a method dies with its program

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        import torch

        results = []
        for image in torch.from_numpy(np.ascontiguousarray(images)):
            # Copied: the runtime overwrites its outputs at the next call.
            results.append([np.array(value.numpy()) for value in self.method.execute([image[None]])])
        by_output = map(np.concatenate, zip(*results, strict=True))
        return dict(zip(self.outputs, by_output, strict=True))


def _lowered(graph: Graph, precision: Precision) -> bytes:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph
    from mobilevision.deploy.formats.plain_operators import laid_out, plain

    graph = rounded_graph(graph, precision, ExecuTorch.weight_steps)
    model: Any = laid_out(graph)
    example = (graph.example(1),)
    if precision.name == "int8":
        from mobilevision.deploy.formats.executorch_int8 import quantized

        model = quantized(model, graph, precision)
    try:
        program = torch.export.export(model, example).run_decompositions(plain())
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"--format executorch: the model has an operation that ExecuTorch lacks ({why})") from error
    return bytes(lowered.buffer)
