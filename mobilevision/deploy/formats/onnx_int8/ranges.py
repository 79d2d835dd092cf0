"""The range of a tensor that 256 steps are spread over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.onnx_int8.layers import Layer, attribute, copied, open_session

# What real images do inside a model: the values of tensors, and how the inputs of layers go together.

_BATCH = 8
_VALUES = 200_000  # of a tensor, over all images
_PATCHES = 16_384  # of a layer, likewise

Floats = NDArray[np.float32]


@final
class Values:
    """Values of one tensor: the least, the largest, and some of all that were seen."""

    def __init__(self) -> None:
        self.low = self.high = 0.0
        self._some: list[Floats] = []

    def add(self, values: Floats, share: float, rng: np.random.Generator) -> None:
        """Those of a batch, of which a share is remembered."""
        flat = values.ravel()
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        few = max(1, min(flat.size, round(_VALUES * share)))
        self._some.append(flat if few == flat.size else flat[rng.integers(0, flat.size, few)])

    @property
    def some(self) -> Floats:
        """A sample, the extremes included."""
        return np.concatenate([*self._some, np.array([self.low, self.high], np.float32)])


@final
class Gram:
    """How the inputs of a layer's sums go together: the mean of x x', x being the inputs of one sum and a 1.

    Attributes:
        matrix: float64 [groups, d + 1, d + 1] for d inputs a sum; the last row and column belong to the bias.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.count = layer, 0
        self.groups = attribute(layer.node, "group", 1)
        size = layer.rows.shape[1] + 1
        self.matrix = np.zeros((self.groups, size, size))

    def add(self, values: Floats, share: float, rng: np.random.Generator) -> None:
        """The layer's input of a batch, of whose places a share is looked at."""
        sums = self._sums(values, max(1, round(_PATCHES * share / len(values))), rng)
        sums = np.concatenate([sums, np.ones((*sums.shape[:2], 1), np.float32)], axis=2)
        self.matrix += sums.transpose(0, 2, 1) @ sums
        self.count += sums.shape[1]

    @property
    def mean(self) -> NDArray[np.float64]:
        """The matrix, of one sum on average."""
        found: NDArray[np.float64] = self.matrix / max(self.count, 1)
        return found

    def _sums(self, values: Floats, most: int, rng: np.random.Generator) -> Floats:
        """Inputs of single sums: [groups, number, d]."""
        if self.layer.node.op_type != "Conv":
            return values.reshape(1, -1, values.shape[-1])
        return np.concatenate([self._patches(image, most, rng) for image in values], axis=1)

    def _patches(self, image: Floats, most: int, rng: np.random.Generator) -> Floats:
        node, kernel = self.layer.node, self.layer.weight.shape[2:]
        top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
        strides, steps = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
        sides = [
            (side - step * (long - 1) - 1) // stride + 1
            for side, step, long, stride in zip(padded.shape[1:], steps, kernel, strides, strict=True)
        ]
        places = rng.permutation(sides[0] * sides[1])[:most]
        rows = (places // sides[1] * strides[0])[:, None, None] + np.arange(kernel[0])[None, :, None] * steps[0]
        columns = (places % sides[1] * strides[1])[:, None, None] + np.arange(kernel[1])[None, None, :] * steps[1]
        found = padded[:, rows, columns].reshape(self.groups, -1, len(places), kernel[0] * kernel[1])
        return found.transpose(0, 2, 1, 3).reshape(self.groups, len(places), -1)


def run_over(model: Any, names: Sequence[str], pixels: NDArray[np.uint8]) -> Iterator[tuple[dict[str, Floats], float]]:
    """Run a model over images.

    Args:
        model: ONNX, with one input of uint8 or float32.
        names: tensors to look at.
        pixels: uint8 [N, C, H, W].

    Yields:
        The tensors of a few images, and what share of all those are.
    """
    from onnx import helper

    wider = copied(model)
    there = {port.name for port in wider.graph.output}
    wider.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in there)
    session = open_session(wider)
    port = session.get_inputs()[0]
    kind = np.float32 if "float" in port.type else np.uint8
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start : start + _BATCH]
        found = session.run(list(names), {port.name: batch.astype(kind)})
        yield dict(zip(names, found, strict=True)), len(batch) / len(pixels)


def observe(
    model: Any, found: Iterable[Layer], tensors: Iterable[str], pixels: NDArray[np.uint8]
) -> tuple[dict[str, Values], dict[str, Gram]]:
    """Values of tensors, and the Gram matrix of each layer's input, over images.

    Returns:
        By the tensor's name, and by the layer's.
    """
    rng = np.random.default_rng(0)
    grams = {layer.name: Gram(layer) for layer in found}
    values = {name: Values() for name in tensors}
    names = list(dict.fromkeys([*values, *(gram.layer.source for gram in grams.values())]))
    for tensors_now, share in run_over(model, names, pixels):
        for name, each in values.items():
            if tensors_now[name].size:
                each.add(tensors_now[name], share, rng)
        for gram in grams.values():
            gram.add(tensors_now[gram.layer.source], share, rng)
    return values, grams


_STEPS = 255
_SHARES = np.linspace(1.0, 0.3, 29)  # of the whole range


def best(values: Values) -> tuple[float, float]:
    """The part of the range that gives the least squared error: rare large values may cost everything else its steps.

    Returns:
        (lowest, highest); 0 lies in it.
    """
    some = values.some
    ranges = [(values.low * share, values.high * share) for share in _SHARES]
    return min(ranges, key=lambda bounds: _error(some, *bounds))


def _error(values: NDArray[np.float32], low: float, high: float) -> float:
    step = (high - low) / _STEPS or 1.0
    zero = round(-low / step)
    rounded = (np.clip(np.rint(values / step) + zero, 0, _STEPS) - zero) * step
    return float(np.square(rounded - values).mean())
