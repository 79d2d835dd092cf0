"""Reading weights from wherever they lie: timm's hub, torchvision, a file, a run of ours. No backbone is built here."""

from __future__ import annotations

import json
import pickle
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mobilevision.backbones import keras_weights, torchvision_weights
from mobilevision.backbones.presets import Preset, find_preset, observed
from mobilevision.errors import UserError
from mobilevision.io.tensor_files import load_tensors

FILES = {".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", *keras_weights.ENDINGS}
NESTS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model", "net")  # averaged weights are the better ones
RUN_CHECKPOINT = "checkpoints/best.ckpt"


@dataclass(frozen=True)
class Source:
    """Weights as they were found.

    Attributes:
        name: what to call them on the console.
        state: every tensor by its name, as stored.
        preset: what they expect, None where nobody noted it.
    """

    name: str
    state: Mapping[str, Tensor]
    preset: Preset | None


def read_weights(
    weights: str, *, hub: str | None, keras_width: float | None = None, torchvision_model: str | None = None
) -> Source:
    """Find and read the weights that a configuration names.

    Args:
        weights: ``timm`` (the hub's own for this architecture), a timm ``model`` or ``model.tag``, ``keras`` or
            ``keras-SIDE`` (Keras' MobileNet V1 for images of that side), ``torchvision`` (its newest for this
            architecture) or ``torchvision-v1``, a file, or the folder of a run of ours.
        hub: the timm model that ``timm`` stands for here, None where the hub has none.
        keras_width: the width whose weights ``keras`` stands for here, None where Keras has none.
        torchvision_model: the model of torchvision that ``torchvision`` stands for here, None where it has none.

    Raises:
        UserError: nothing there, not weights, or the hub out of reach.
    """
    path = Path(weights).expanduser()
    if weights == "timm":
        if hub is None:
            raise UserError("backbone.weights=timm: timm's hub has no weights of this width or form; name a file")
        return read_hub(hub)
    if weights == "keras" or (weights.startswith("keras-") and weights[6:].isdigit()):
        if keras_width is None:
            raise UserError(f"backbone.weights={weights}: Keras' weights are read for backbone=mobilenet_v1 alone")
        return read_file(keras_weights.fetch(keras_width, int(weights[6:] or 224), weights=weights))
    version = torchvision_weights.version_of(weights)
    if version is not None:
        if torchvision_model is None:
            raise UserError(
                f"backbone.weights={weights}: torchvision has weights of mobilenet_v2 and mobilenet_v3 at width 1,"
                " none of this backbone; name others"
            )
        return read_file(torchvision_weights.fetch_classifier(torchvision_model, version))
    if path.is_dir():
        if not (path / RUN_CHECKPOINT).is_file():
            raise UserError(f"backbone.weights={path}: a folder without {RUN_CHECKPOINT}; name a run or a file")
        return read_file(path / RUN_CHECKPOINT, name=f"run {path.name}")
    if path.is_file():
        return read_file(path)
    if path.suffix in FILES or len(path.parts) > 1:
        raise UserError(f"backbone.weights={weights}: no such file or run folder")
    return read_hub(weights)


def read_file(path: Path, *, name: str | None = None) -> Source:
    """A safetensors file, a pickled one whose tensors load without running code, or one of Keras' MobileNet V1.

    Raises:
        UserError: the file is broken, holds no tensors, or holds objects that are not plain data.
    """
    if path.suffix in keras_weights.ENDINGS:
        return Source(name or path.name, keras_weights.read_h5(path), keras_weights.preset_of(path.stem))
    content, noted = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    state = _tensors(content)
    if not state:
        raise UserError(f"{path}: holds no tensors; backbone.weights wants a state dict or a checkpoint")
    try:
        known = torchvision_weights.preset_of(state, path.stem)
        preset = Preset.from_dict(noted) if noted else find_preset(path.stem) or known
    except UserError as error:
        raise UserError(f"{path}: what it notes of its weights cannot be used: {error}") from error
    return Source(name or path.name, state, preset)


def read_hub(name: str) -> Source:
    """Pretrained weights through timm, which keeps them in its cache.

    Raises:
        UserError: timm does not know the name, has no weights for it, or can't fetch them.
    """
    known_tags = timm.list_pretrained()
    if not timm.is_model(name.partition(".")[0]) or ("." in name and name not in known_tags):
        near = get_close_matches(
            name, known_tags if "." in name else {tag.partition(".")[0] for tag in known_tags}, n=3
        )
        hint = f"did you mean {', '.join(near)}?" if near else "see timm.list_pretrained()"
        raise UserError(f"backbone.weights={name}: neither a file nor weights that timm knows; {hint}")
    try:
        with _patience():
            model = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client has its own errors, by version
        reason, known = _first_line(error), timm.models.get_pretrained_cfg(name)
        where = known.hf_hub_id if known is not None else None
        file = f"fetch model.safetensors of {constants.ENDPOINT}/{where}" if where else "fetch its file"
        raise UserError(
            f"backbone.weights={name}: timm can't fetch them ({reason}); where there is a network, {file}, then"
            " name it: backbone.weights=FOLDER/model.safetensors"
        ) from error
    return Source(f"timm {name}", model.state_dict(), observed(model))


@contextmanager
def _patience() -> Iterator[None]:
    """Where the hub can't be reached, look into its cache only: its client would try for most of a minute."""
    before = constants.HF_HUB_OFFLINE
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=5).close()
    except urllib.error.HTTPError:
        pass  # it answered
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _safetensors(path: Path) -> tuple[Any, Any]:
    try:
        with safe_open(path, "pt") as file:
            noted = (file.metadata() or {}).get("preset")
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, json.loads(noted) if noted else None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({_first_line(error)}); fetch it again") from error


def _pickled(path: Path) -> tuple[Any, Any]:
    try:
        content = load_tensors(path)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: broken, or holds Python objects, which are not loaded because they could run code; "
            "save its state dict alone, best as safetensors"
        ) from error
    except UserError:
        raise
    except Exception as error:  # torch's unpickler fails in many ways on what is no pickle of its own
        raise UserError(f"{path}: not a readable checkpoint ({_first_line(error)}); fetch it again") from error
    ours = content.get("mobilevision") if isinstance(content, Mapping) else None
    return content, ours.get("preset") if isinstance(ours, Mapping) else None


def _tensors(content: Any) -> dict[str, Tensor]:
    """The state dict in a checkpoint, out of the nests that training scripts put it in."""
    if not isinstance(content, Mapping):
        return {}
    for nest in NESTS:
        if (inner := _tensors(content.get(nest))) and nest in content:
            return inner
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
