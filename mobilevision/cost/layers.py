"""What was counted, layer by layer, and what follows from it: shares by type of layer, size of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Precision = Literal["float32", "float16", "int8"]
BYTES: Mapping[Precision, int] = {"float32": 4, "float16": 2, "int8": 1}
FULL, BATCH_NORM = "fully connected", "batch norm"
_NOTES_OF_CHANNEL, _NOTES_OF_LAYER = 8, 324  # bytes in a board's arena: a multiplier and a shift; structures
_FILE_OF_CHANNEL, _FILE_OF_LAYER = 20, 420  # bytes in its file: zero points and biases' scales; the graph
_WIDE = 4  # bytes of what stays wide in an int8 file: biases, and a scale for every channel


@dataclass(frozen=True)
class LayerCost:
    """One module's own share, without what its children do.

    Attributes:
        name: its path in the model.
        type: its class.
        parameters: its own parameters; what it shares with an earlier layer is counted there.
        mult_adds: what it computes itself, over all its calls.
        shape: shape of the (first) tensor it last gave, without the batch.
        kind: what it is, whatever its class is called: ``conv 1x1``, ``conv dw 3x3``, ``fully connected`` ...
        inputs: shape of the (first) tensor it last took, without the batch.
        weights: of the parameters, entries of kernels and matrices.
        folded: other numbers that an exported file holds of it; batch norm becomes one bias a channel there.
        channels: output channels of its kernels, each of which has a scale in an int8 file.
        memory: most bytes of float32 activations that are alive at a time while it works; 0 if it never does.
    """

    name: str
    type: str
    parameters: int
    mult_adds: int
    shape: tuple[int, ...]
    kind: str = "other"
    inputs: tuple[int, ...] = ()
    weights: int = 0
    folded: int = 0
    channels: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Activations:
    """Most bytes of activations alive at a time, as :mod:`mobilevision.cost.memory` counts them.

    Attributes:
        float32: where floating numbers take four bytes.
        float16: two.
        int8: one.
        at: the module at work at the peak in float32.
        on_board: int8 on a microcontroller, which pads the input of a convolution with strides into a tensor more.
    """

    float32: int
    float16: int
    int8: int
    at: str
    on_board: int = 0


class Share(NamedTuple):
    """What all layers of one kind cost together.

    Attributes:
        kind: as in :class:`LayerCost`.
        layers: how many there are.
        mult_adds: of them all.
        parameters: of them all.
    """

    kind: str
    layers: int
    mult_adds: int
    parameters: int


@dataclass(frozen=True)
class Cost:
    """What a model costs for one input.

    Attributes:
        parameters: every trainable or frozen parameter, shared ones once.
        mult_adds: of one forward pass over the input that was given, all its images together.
        layers: the modules that have parameters or compute, in the order in which they first finish.
        activations: memory of what lies between the layers, at its peak.
    """

    parameters: int
    mult_adds: int
    layers: tuple[LayerCost, ...]
    activations: Activations = Activations(0, 0, 0, "")

    def by_kind(self) -> tuple[Share, ...]:
        """What each kind of layer costs (the paper's Table 2), most mult-adds first, then most parameters."""
        found: dict[str, Share] = {}
        for row in self.layers:
            old = found.get(row.kind, Share(row.kind, 0, 0, 0))
            found[row.kind] = Share(
                row.kind, old.layers + 1, old.mult_adds + row.mult_adds, old.parameters + row.parameters
            )
        return tuple(sorted(found.values(), key=lambda share: (-share.mult_adds, -share.parameters)))

    def arena(self) -> int:
        """Bytes of tensor arena on a microcontroller, about: activations in int8, and the interpreter's notes.

        The notes are two numbers for each output channel, and what was seen of a layer's structures on a machine of 64
        bits. An export measures it.
        """
        layers = [row for row in self.layers if row.weights]
        return self.activations.on_board + _NOTES_OF_CHANNEL * self._channels + _NOTES_OF_LAYER * len(layers)

    def flash(self) -> int:
        """Bytes of a file for microcontrollers, about: int8, with its scales and zero points and its graph.

        An export measures it.
        """
        layers = [row for row in self.layers if row.weights]
        return self.file_size("int8") + _FILE_OF_CHANNEL * self._channels + _FILE_OF_LAYER * len(layers)

    @property
    def _channels(self) -> int:
        return sum(row.channels for row in self.layers)

    def file_size(self, precision: Precision = "float32") -> int:
        """Bytes of the numbers in an exported file: batch norm folded into the convolution before it.

        In int8, kernels and matrices take a byte an entry and four for each output channel's scale; biases and all
        else keep four. The graph's own description comes on top: some tens of kilobytes.
        """
        weights, folded = sum(row.weights for row in self.layers), sum(row.folded for row in self.layers)
        if precision == "int8":
            return weights + _WIDE * (folded + self._channels)
        return BYTES[precision] * (weights + folded)


def kind_of(module: nn.Module) -> str:
    """What a module is: a convolution by its kernel and its groups, a matrix, a norm, or something else."""
    if isinstance(module, _ConvNd):
        sides = "x".join(map(str, module.kernel_size))
        if isinstance(module, _ConvTransposeNd):
            return f"conv transposed {sides}"
        if module.groups == 1:
            return f"conv {sides}"
        return f"conv dw {sides}" if module.groups == module.in_channels else f"conv grouped {sides}"
    if isinstance(module, nn.Linear):
        return FULL
    if isinstance(module, _NormBase):
        return BATCH_NORM
    return "norm" if "norm" in type(module).__name__.lower() else "other"


def numbers(module: nn.Module, taken: set[int]) -> tuple[int, int, int, int]:
    """Own parameters of a module, and of an exported file: weights, folded, channels, as in :class:`LayerCost`.

    Args:
        module: its children are not looked at.
        taken: ids of parameters that were counted before; its own are added.
    """
    own = [each for each in module.parameters(recurse=False) if id(each) not in taken]
    taken.update(map(id, own))
    parameters = sum(each.numel() for each in own)
    if isinstance(module, _NormBase):
        return parameters, 0, module.num_features, 0
    wide = [each for each in own if each.dim() > 1]
    weights = sum(each.numel() for each in wide)
    across = 1 if isinstance(module, _ConvTransposeNd) else 0
    return parameters, weights, parameters - weights, sum(each.shape[across] for each in wide)
