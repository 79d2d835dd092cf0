"""MobileNet V1 as Keras publishes it: the paper's sixteen sizes, in HDF5 files, under timm's names.

Keras took the weights over from TensorFlow's own checkpoints (arXiv 1704.04861, Tables 6 and 7). Of the files nothing
but numbers is read, so neither Keras nor TensorFlow is needed; the layers' names say what is what. Keras publishes no
checksums of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.backbones import published_files
from mobilevision.backbones.presets import TENSORFLOW, Preset
from mobilevision.errors import UserError

if TYPE_CHECKING:
    import h5py

ENDINGS = {".h5", ".hdf5"}
SIDES = (128, 160, 192, 224)
WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
"""Where Keras' own code fetches them from."""

_BLOCKS = [(stage, block) for stage, count in enumerate((1, 2, 2, 6, 2)) for block in range(count)]  # conv_dw_1 ... 13
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_MOST_OBJECTS, _DEEPEST, _MOST_NUMBERS = 10_000, 10, 100_000_000
"""Of a file; MobileNet V1 has 137 arrays of 4.3 million numbers."""


def published_side(resolution: Any) -> int:
    """The side of Keras' weights that is nearest to that of the images; 224 where none is set.

    Args:
        resolution: ``data.resolution``: None, a side, or height and width.
    """
    if resolution is None:
        return 224
    side = resolution if isinstance(resolution, int) else min(resolution)
    return min(SIDES, key=lambda known: (abs(known - side), -known))


def fetch(width: float, side: int, *, weights: str = "keras") -> Path:
    """The published file of a width and a side, from torch's cache or from Keras' storage.

    Args:
        width: of the model.
        side: of its input.
        weights: what was asked for, for messages.

    Raises:
        UserError: no such file is published, or it cannot be fetched.
    """
    if width not in WIDTHS or side not in SIDES:
        widths, sides = (", ".join(map(str, known)) for known in (WIDTHS, SIDES))
        raise UserError(
            f"backbone.weights={weights}: Keras publishes widths {widths} at sides {sides}, not {width:g} at {side}"
        )
    name = f"mobilenet_{WIDTHS[width]}_{side}_tf.h5"
    return published_files.fetch(f"{ADDRESS}{name}", key="backbone.weights", weights=weights)


def preset_of(stem: str) -> Preset:
    """What the weights of a file expect: Keras' preprocessing, and the side that a published name tells, else 224."""
    found = re.fullmatch(r"mobilenet_\d_\d_(\d{3})_tf(_no_top)?", stem)
    return replace(TENSORFLOW, side=int(found[1]) if found else 224)


def read_h5(path: Path) -> dict[str, Tensor]:
    """The tensors of a MobileNet V1 that Keras saved, under timm's names.

    Keras 2's weights, whole models of either and Keras 3's ``.weights.h5`` are read, with or without classifier.

    Raises:
        UserError: h5py is missing, the file is damaged or too large, refers to other files, or holds something else.
    """
    try:
        import h5py
    except ImportError as error:
        raise UserError(f'{path}: reading Keras\' files needs h5py: pip install "mobilevision[keras]"') from error
    try:
        with h5py.File(path, "r") as file:
            arrays = dict(_arrays(file, path))
    except UserError:
        raise
    except Exception as error:  # of a damaged file, the library raises a dozen kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a readable HDF5 file ({reason}); fetch it again") from error
    state: dict[str, Tensor] = {}
    places: dict[str, str] = {}
    for place, array in arrays.items():
        if (name := _timm_name(place)) is None:
            continue
        if name in places:
            raise UserError(f"{path}: {places[name]} and {place} are both {name}: save the model again")
        if not np.issubdtype(array.dtype, np.floating):
            raise UserError(f"{path}: {place} holds {array.dtype} where numbers with fractions belong")
        places[name], state[name] = place, _as_torch(name, array)
    if "conv_stem.weight" not in state:
        seen = ", ".join(list(arrays)[:3]) or "nothing"
        what = "its first kernel, of the layer conv1, is missing" if state else "not Keras' MobileNet V1"
        raise UserError(f"{path}: {what}; it holds {seen} ...; other Keras models are not read")
    return state


def _arrays(file: h5py.File, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays of numbers by their place in the file; links are not followed."""
    import h5py

    names: list[str] = []
    too_much = ""
    objects = 0

    def visit(name: str, item: object) -> bool | None:
        nonlocal objects, too_much
        objects += 1
        if objects > _MOST_OBJECTS:
            too_much = f"more than {_MOST_OBJECTS:,} groups and arrays"
        elif name.count("/" if isinstance(name, str) else b"/") >= _DEEPEST:
            too_much = f"groups more than {_DEEPEST} deep"
        elif isinstance(item, h5py.Dataset) and isinstance(name, str):
            names.append(name)
        return True if too_much else None

    file.visititems(visit)
    if too_much:
        raise UserError(f"{path}: too large for a MobileNet V1: it holds {too_much}")
    numbers = 0
    for name in names:
        dataset = file[name]
        if dataset.shape is None or not np.issubdtype(dataset.dtype, np.number):
            continue
        if dataset.external or dataset.is_virtual:
            raise UserError(f"{path}: {name} lies in another file, which is not read")
        numbers += dataset.size
        if numbers > _MOST_NUMBERS:
            raise UserError(f"{path}: too large for a MobileNet V1: it holds more than {_MOST_NUMBERS:,} numbers")
        yield name, dataset[()]


def _timm_name(place: str) -> str | None:
    """``blocks.0.0.conv_dw.weight`` of ``conv_dw_1/conv_dw_1/depthwise_kernel:0``; None of what is no weight of it."""
    *above, last = place.removeprefix("model_weights/").partition(":")[0].split("/")
    if not above:
        return None
    if last.isascii() and last.isdigit():
        return _keras3_name(above, int(last))
    return _name(above[0], last)


def _name(layer: str, array: str) -> str | None:
    """Timm's name of an array of a layer, both as Keras calls them."""
    if layer == "conv_preds":
        return {"kernel": "classifier.weight", "bias": "classifier.bias"}.get(array)
    norm = layer.endswith("_bn")
    known = _NORM if norm else {"kernel": "weight", "depthwise_kernel": "weight"}
    found = re.fullmatch(r"conv1|conv_(dw|pw)_(\d+)", layer.removesuffix("_bn"))
    if found is None or array not in known:
        return None
    if found[1] is None:
        return f"{'bn1' if norm else 'conv_stem'}.{known[array]}"
    number = int(found[2])
    if not 1 <= number <= len(_BLOCKS):
        return None
    stage, block = _BLOCKS[number - 1]
    norm_name = "bn1" if found[1] == "dw" else "bn2"
    return f"blocks.{stage}.{block}.{norm_name if norm else f'conv_{found[1]}'}.{known[array]}"


def _keras3_name(above: list[str], place: int) -> str | None:
    """The same of Keras 3's ``layers/batch_normalization_4/vars/0``, which counts layers by their kind."""
    if len(above) < 3 or above[-3] != "layers" or above[-1] != "vars":
        return None
    found = re.fullmatch(r"(conv2d|depthwise_conv2d|batch_normalization)(?:_(\d+))?", above[-2])
    if found is None:
        return None
    kind, number = found[1], int(found[2] or 0)
    if kind == "batch_normalization":  # conv1, then of each block the depthwise and the pointwise one
        layer = "conv1_bn" if number == 0 else f"conv_{'dw' if number % 2 else 'pw'}_{(number + 1) // 2}_bn"
        return _name(layer, list(_NORM)[place]) if place < len(_NORM) else None
    if kind == "depthwise_conv2d":
        return _name(f"conv_dw_{number + 1}", "kernel") if place == 0 else None
    layer = "conv1" if number == 0 else f"conv_pw_{number}" if number <= len(_BLOCKS) else "conv_preds"
    return _name(layer, ("kernel", "bias")[place]) if place < 2 else None


def _as_torch(name: str, array: NDArray[Any]) -> Tensor:
    """Kernels [height, width, in, out] as [out, in, height, width]; a 1x1 one of the classifier as [out, in]."""
    if array.ndim == 4:
        depthwise = ".conv_dw." in name
        array = array.transpose(2, 3, 0, 1) if depthwise else array.transpose(3, 2, 0, 1)
        array = array[:, :, 0, 0] if name == "classifier.weight" and array.shape[2:] == (1, 1) else array
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
