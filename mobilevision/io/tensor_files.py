"""Files of torch.save, read without running anything in them, and only where every byte is as it was written."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mobilevision.errors import UserError

DEEPEST = 50  # lists and mappings within each other
MOST_SHARED = 100_000  # values beyond twice those in the file that references to the same list may stand for
_CONTAINERS = (Mapping, list, tuple, set, frozenset)


def load_tensors(path: str | Path) -> Any:
    """What torch.save wrote, on the CPU: tensors and plain values, nothing else is built.

    Raises:
        UserError: the file is damaged, or what it holds is endless: a list within itself, lists that refer to each
            other over and over, a tensor of more elements than are stored.
        Exception: what torch says of a file that it cannot read, or that holds more than tensors and plain values.
    """
    check_tensor_file(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    _check_bounds(content, path)
    return content


def _check_bounds(content: Any, path: str | Path) -> None:
    """See that whoever goes through all that was read comes to an end, in time and memory that the file's size tells.

    In a pickle, forty lists of which each holds the one before twice are a few hundred bytes, and 2^40 values.

    Raises:
        UserError: that is not so.
    """
    known: dict[int, tuple[int, int]] = {}  # of each container, by its id: values in it, references followed; its depth
    stored = 0

    def measure(node: Any, above: int) -> tuple[int, int]:
        nonlocal stored
        if id(node) in known:
            return known[id(node)]
        if above == DEEPEST:
            raise UserError(
                f"{path}: lists or mappings more than {DEEPEST} deep, or within themselves: no training writes such a"
                " file, take another one"
            )
        values, depth = 1, 0
        for each in node.values() if isinstance(node, Mapping) else node:
            values += 1
            if isinstance(each, torch.Tensor):
                _check_tensor(each, path)
            elif isinstance(each, _CONTAINERS):
                more, below = measure(each, above + 1)
                values, depth = values + more, max(depth, below)
        stored += 1 + len(node)
        known[id(node)] = values, depth + 1
        return known[id(node)]

    if isinstance(content, torch.Tensor):
        _check_tensor(content, path)
    if isinstance(content, _CONTAINERS):
        values, depth = measure(content, 0)
        if depth > DEEPEST or values > 2 * stored + MOST_SHARED:
            raise UserError(
                f"{path}: lists or mappings that refer to each other over and over: no training writes such a file,"
                " take another one"
            )


def _check_tensor(tensor: torch.Tensor, path: str | Path) -> None:
    """See that a tensor's elements are all in the file.

    Raises:
        UserError: one that repeats what is stored (a stride of 0), which would take its full size when it is copied; or
            a sparse one, or one without values.
    """
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(
            f"{path}: a tensor of shape {list(tensor.shape)} of which the file holds only a part: save it as"
            " tensor.contiguous()"
        )


def broken_values(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """What is wrong with the first of some weights that no network can have; None where all are well.

    Args:
        tensors: by name; those of other numbers than floats are passed over.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            if not bool(tensor.isfinite().all()):
                return f"{name} holds NaN or infinite values"
            if name.rpartition(".")[2] == "running_var" and bool((tensor < 0).any()):
                return f"{name} holds variances below 0"
    return None


def check_tensor_file(path: str | Path) -> None:
    """Compare each part of a file of torch.save with the checksum (CRC-32) that torch wrote beside it.

    torch itself reads past them: a damaged block would be other weights. Files in the older format, one pickle, have no
    checksum and are let through.

    Raises:
        UserError: a part is damaged, or the file is nothing that torch writes, such as a text, or an archive that
            unpacks to more than it is.
    """
    try:
        if not zipfile.is_zipfile(path):
            _check_pickle(path)
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
            if not stored or sum(part.file_size for part in parts) > Path(path).stat().st_size:
                raise UserError(f"{path}: not written by torch: it unpacks to more than it is")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: damaged ({error}): copy it again, or take another checkpoint") from error
    if damaged is not None:
        raise UserError(f"{path}: damaged (in its part {damaged}): copy it again, or take another checkpoint")


def _check_pickle(path: str | Path) -> None:
    """See that a file begins as a pickle of torch.save, or as an archive that is cut off, of which torch tells more.

    Raises:
        UserError: saying what it seems to be.
    """
    with Path(path).open("rb") as file:
        start = file.read(64)
    if start.startswith((b"\x80", b"PK")):
        return
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: a pointer of Git LFS in the place of the file: fetch it with `git lfs pull`")
    words = "".join(start.decode("utf-8", "replace").split())
    what = "text" if words.isprintable() else "something else"
    raise UserError(
        f"{path}: holds {what if start else 'nothing'}, and no weights: name a file of torch.save (a state dict or a"
        " checkpoint), or of safetensors"
    )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint on the CPU, read without running anything in it.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        checkpoint: Any = load_tensors(path)
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable checkpoint ({reason[:160]})") from error
    if not isinstance(checkpoint, dict):
        raise UserError(f"{path}: not a checkpoint, but {type(checkpoint).__name__}")
    return checkpoint
