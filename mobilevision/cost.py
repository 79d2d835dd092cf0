"""Exact cost of a model before it is trained: parameters and mult-adds, layer by layer.

A mult-add is one multiplication and one addition in a convolution or a matrix product, as arXiv 1704.04861 counts:
no bias, batch norm, activation or pooling. Parameters are all of them, batch norm's two a channel and biases included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class LayerCost:
    """One module's own share, without what its children do.

    Attributes:
        name: its path in the model.
        type: its class.
        parameters: its own parameters.
        mult_adds: what it computes itself, over all its calls.
        shape: shape of the (first) tensor it last gave, without the batch.
    """

    name: str
    type: str
    parameters: int
    mult_adds: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """What a model costs for one input.

    Attributes:
        parameters: every trainable or frozen parameter, shared ones once.
        mult_adds: of one forward pass over the input that was given, all its pictures together.
        layers: the modules that have parameters or compute, in the order in which they first finish.
    """

    parameters: int
    mult_adds: int
    layers: tuple[LayerCost, ...]


def count(model: nn.Module, image: Tensor, *others: Any) -> Cost:
    """Count one forward pass ``model(image, *others)`` in evaluation mode.

    Nothing is computed where ``image`` is on the meta device, ``torch.empty(1, 3, 224, 224, device="meta")``: the
    model, wherever it is, is run on shapes alone. A model whose control flow reads values needs a real picture.

    Args:
        model: any module; it is left as it was.
        image: the input, [1, channels, height, width] for the cost of one picture.
        *others: further arguments, as they are.
    """
    rows: dict[str, LayerCost] = {}
    counter = FlopCounterMode(display=False)
    with _evaluating(model), _watching(model, counter, rows), torch.no_grad(), counter:
        if image.is_meta:
            functional_call(model, dict(_on_meta(model)), (image, *others))
        else:
            model(image, *others)
    layers = tuple(row for row in rows.values() if row.parameters or row.mult_adds)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, counter.get_total_flops() // 2, layers)


def _on_meta(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for tensors in (model.named_parameters(), model.named_buffers()):
        yield from ((name, tensor.to("meta")) for name, tensor in tensors)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _watching(model: nn.Module, counter: FlopCounterMode, rows: dict[str, LayerCost]) -> Iterator[None]:
    """While it lasts, note in ``rows`` what each module computes itself."""
    open_calls: list[list[int]] = []  # of each call under way: operations when it began, and its children's
    handles = []

    def begin(*_: Any) -> None:
        open_calls.append([counter.get_total_flops(), 0])

    def finish(name: str, module: nn.Module, output: Any) -> None:
        start, children = open_calls.pop()
        whole = counter.get_total_flops() - start
        if open_calls:
            open_calls[-1][1] += whole
        earlier = rows[name].mult_adds if name in rows else 0
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows[name] = LayerCost(name, type(module).__name__, own, earlier + (whole - children) // 2, _shape(output))

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(begin))
        handles.append(module.register_forward_hook(lambda m, _, output, name=name: finish(name, m, output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _shape(output: Any) -> tuple[int, ...]:
    """Shape of the first tensor in what a module returned, batch left out."""
    if isinstance(output, Tensor):
        return tuple(output.shape[1:])
    inner = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return next((shape for item in inner if (shape := _shape(item))), ())
