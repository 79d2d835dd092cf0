"""Exact cost of a model before it is trained: parameters, mult-adds and memory, layer by layer.

A mult-add is one multiplication and one addition in a convolution or a matrix product, as arXiv 1704.04861 counts:
no bias, batch norm, activation or pooling. Parameters are all of them, batch norm's two a channel and biases included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mobilevision.cost.layers import BYTES, Activations, Cost, LayerCost, kind_of, numbers
from mobilevision.cost.memory import Plan
from mobilevision.cost.trace import Trace, tensors


def count(model: nn.Module, image: Tensor, *others: Any) -> Cost:
    """Count one forward pass ``model(image, *others)`` in evaluation mode.

    Nothing is computed where ``image`` is on the meta device, ``torch.empty(1, 3, 224, 224, device="meta")``: the
    model, wherever it is, is run on shapes alone. A model whose control flow reads values needs a real image; all
    its activations are then in memory together.

    Args:
        model: any module; it is left as it was.
        image: the input, [1, channels, height, width] for the cost of one image.
        *others: further arguments, as they are.
    """
    trace = Trace([image, *tensors(others)])
    watch = _Watch(trace)
    placed = dict(_on_meta(model)) if image.is_meta else {}
    with _evaluating(model), watch.over(model), torch.no_grad(), trace:
        outputs = functional_call(model, placed, (image, *others)) if placed else model(image, *others)
    plan = trace.plan(outputs)
    most: dict[str, int] = {}  # bytes alive while a module works
    for operation, alive in zip(trace.operations, plan.alive(), strict=True):
        most[operation.module] = max(alive, most.get(operation.module, 0))
    rows = [row for row in watch.rows(model) if row.parameters or row.mult_adds]
    layers = tuple(replace(row, memory=most.get(row.name, 0)) for row in rows)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, trace.mult_adds, layers, _peak(trace, plan))


def kept_for_backward(model: nn.Module, image: Tensor, *others: Any) -> int:
    """Bytes of float32 activations that a training step keeps of one image: all that the forward pass makes.

    Args:
        model: as for :func:`count`.
        image: [1, channels, height, width] on the meta device.
        *others: further arguments, as they are.
    """
    trace = Trace([image, *tensors(others)])
    with _evaluating(model), torch.no_grad(), trace:
        functional_call(model, dict(_on_meta(model)), (image, *others))
    return trace.made


def _on_meta(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for named in (model.named_parameters(), model.named_buffers()):
        yield from ((name, tensor.to("meta")) for name, tensor in named if not tensor.is_meta)


def _peak(trace: Trace, plan: Plan) -> Activations:
    if not trace.operations:
        return Activations(0, 0, 0, "")
    wide, half, byte = (plan.alive(size) for size in BYTES.values())
    at = trace.operations[wide.index(max(wide))].module
    return Activations(max(wide), max(half), max(byte), at, plan.peak_on_board())


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@dataclass
class _Call:
    """One call under way: the module's name, mult-adds when it began, and those of the calls inside it."""

    name: str
    start: int
    inside: int = 0


@dataclass
class _Observed:
    """What a module was seen to do: its own mult-adds, and the shapes it took and gave."""

    mult_adds: int = 0
    inputs: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()


@final
class _Watch:
    """Notes what each module computes itself, while the trace runs."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._open: list[_Call] = []
        self._seen: dict[str, _Observed] = {}

    @contextmanager
    def over(self, model: nn.Module) -> Iterator[None]:
        """Watch the modules of a model."""
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda _m, _i, name=name: self._begin(name)))
            handles.append(module.register_forward_hook(lambda _m, taken, given: self._finish(taken, given)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def rows(self, model: nn.Module) -> list[LayerCost]:
        """All modules: those that worked in the order in which they first finished, then the others."""
        modules, taken = dict(model.named_modules()), set[int]()
        order = dict.fromkeys([*self._seen, *modules])
        return [self._row(name, modules[name], taken) for name in order]

    def _row(self, name: str, module: nn.Module, taken: set[int]) -> LayerCost:
        seen = self._seen.get(name, _Observed())
        parameters, weights, folded, channels = numbers(module, taken)
        return LayerCost(
            name=name,
            type=type(module).__name__,
            parameters=parameters,
            mult_adds=seen.mult_adds,
            shape=seen.shape,
            kind=kind_of(module),
            inputs=seen.inputs,
            weights=weights,
            folded=folded,
            channels=channels,
        )

    def _begin(self, name: str) -> None:
        self._open.append(_Call(name, self._trace.mult_adds))
        self._trace.module = name

    def _finish(self, taken: Any, given: Any) -> None:
        call = self._open.pop()
        whole = self._trace.mult_adds - call.start
        if self._open:
            self._open[-1].inside += whole
        self._trace.module = self._open[-1].name if self._open else ""
        seen = self._seen.setdefault(call.name, _Observed())
        seen.mult_adds += whole - call.inside
        seen.inputs, seen.shape = _shape(taken), _shape(given)


def _shape(values: Any) -> tuple[int, ...]:
    """Shape of the first tensor in what a module took or returned, batch left out."""
    return next((tuple(each.shape[1:]) for each in tensors(values)), ())
