"""ONNX files of anybody: read within bounds, refused in a line where they are none; nothing in them is run."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

from mobilevision.errors import UserError
from mobilevision.io.regular_files import open_regular

MOST_BYTES = 2**31 - 1  # more, no protobuf reads
MOST_FIELDS = 1_000_000  # each takes some hundred bytes of memory once it is read, be it of two bytes in the file

_POINTER = b"version https://git-lfs.github.com/spec/"
_OTHERS = {b"ORTM": "ONNX Runtime's own format", b"TFL3": "LiteRT", b"ET12": "ExecuTorch"}  # flatbuffers, at byte 4

# By message, which fields hold messages, and which hold text, bytes or packed numbers (onnx.proto of ONNX 1.23).
_INNER: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "plain", 14: "plain", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 16: "plain"},
    "node": {5: "attribute", 9: "plain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "function": {7: "node", 9: "plain", 11: "attribute", 12: "value", 14: "plain"},
    "tensor": {13: "plain", 16: "plain"},
    "value": {2: "type", 4: "plain"},
    "type": {1: "tensor type"},
    "tensor type": {2: "shape"},
    "shape": {1: "plain"},
    "plain": {},
}
_LEAVES: dict[str, set[int]] = {
    "model": {2, 3, 4, 6},
    "graph": {2, 10},
    "node": {1, 2, 3, 4, 7, 8},
    "attribute": {1, 4, 7, 8, 9, 13, 21},
    "function": {1, 4, 5, 6, 8, 10, 13},
    "tensor": set(range(1, 13)),
    "value": {1, 3},
    "type": {6},
    "plain": {1, 2, 3},
}

_TEXT: dict[str, set[int]] = {
    "graph": {2, 10},
    "node": {1, 2, 3, 4, 7, 8},
    "attribute": {1, 13, 21},
    "function": {1, 4, 5, 6, 8, 10, 13},
    "tensor": {8, 12},
    "value": {1, 3},
    "plain": {1, 2, 3},
}


def read_onnx(path: Path) -> Any:
    """The ``onnx.ModelProto`` of a file; weights that lie in other files are left there.

    Raises:
        UserError: there is no such file, or it is no ONNX, cut off, or too large to be looked at.
    """
    import onnx

    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            _check_start(path, file.read(1024), size)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_fields(path, content)
                model = onnx.ModelProto.FromString(content[:])
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such file; name an ONNX file, or the folder of an exported model"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name an ONNX file, or the folder of an exported model") from None
    except UserError:
        raise
    except Exception:  # protobuf's own, of several classes
        raise _damaged(path) from None
    if not model.graph.output or not model.opset_import:
        raise UserError(f"{path}: not an ONNX file: it holds no graph; export the model again")
    _check_external(path, model)
    return model


def _check_start(path: Path, start: bytes, size: int) -> None:
    if not size:
        raise UserError(f"{path}: an empty file: copy or export it again")
    if start.startswith(_POINTER):
        raise UserError(f"{path}: a pointer of Git LFS, not the model: `git lfs pull` in its repository fetches that")
    if size > MOST_BYTES:
        raise UserError(
            f"{path}: {size:,} bytes, and no ONNX file has more than {MOST_BYTES:,}: keep weights beside it"
        )
    if found := _OTHERS.get(start[4:8]):
        raise UserError(f"{path}: a file of {found}, not ONNX: name an ONNX file, or the folder of an exported model")
    try:
        text = start[:-3].decode("utf-8") if size > len(start) else start.decode("utf-8")
    except UnicodeDecodeError:
        return
    if all(sign.isprintable() or sign in "\r\n\t" for sign in text):
        raise UserError(
            f"{path}: a text, not an ONNX file: fetch the model again, or name the folder of an exported one"
        )


def check_fields(path: Path, content: Any) -> None:
    """See that all is there, and that reading it takes a memory that the file's size tells.

    Raises:
        UserError: it is not so.
    """
    place, left = 0, MOST_FIELDS
    open_messages = [(len(content), "model")]
    while open_messages:
        end, kind = open_messages[-1]
        if place == end:
            open_messages.pop()
            continue
        tag, place = _number(path, content, place, end)
        field, wire = tag >> 3, tag & 7
        left -= 1
        if left < 0:
            raise UserError(f"{path}: more than {MOST_FIELDS:,} nodes, names and numbers: too many to be looked at")
        if wire == 0:
            _, place = _number(path, content, place, end)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            length, place = _number(path, content, place, end)
            if place + length > end:
                raise _cut(path, content, end)
            if inner := _INNER.get(kind, {}).get(field):
                open_messages.append((place + length, inner))
                continue
            if field not in _LEAVES.get(kind, set()):  # of a kind unknown here: as many fields as it may hold
                left -= length // 2
            elif field in _TEXT.get(kind, set()):
                try:
                    content[place : place + length].decode("utf-8")
                except UnicodeDecodeError:
                    raise _damaged(path) from None
            place += length
        if place > end:
            raise _cut(path, content, end)
        if wire not in (0, 1, 2, 5) or not field:
            raise _damaged(path)


def _number(path: Path, content: Any, place: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while place < end and shift < 70:
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    if place >= end:
        raise _cut(path, content, end)
    raise _damaged(path)


def _cut(path: Path, content: Any, end: int) -> UserError:
    if end == len(content):
        return UserError(f"{path}: cut off after {len(content):,} bytes, or no ONNX file: copy it again")
    return _damaged(path)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: not an ONNX file, or a damaged one: copy or export it again")


def external_files(model: Any) -> dict[str, int]:
    """Files beside a model that hold its weights, and how many bytes each must have."""
    found: dict[str, int] = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == tensor.EXTERNAL:
            told = {each.key: each.value for each in tensor.external_data}
            numbers = [told.get(key, "0") for key in ("offset", "length")]
            end = sum(int(each) for each in numbers if each.isascii() and each.isdigit() and len(each) < 19)
            name = told.get("location", "")
            found[name] = max(end, found.get(name, 0))
    return found


def _check_external(path: Path, model: Any) -> None:
    for name, size in external_files(model).items():
        if name != Path(name).name or name in {"", ".", ".."} or "\\" in name or "\0" in name:
            raise UserError(f"{path}: says that its weights lie outside its folder ({name!r}): nobody looks there")
        beside = path.parent / name
        if not beside.is_file():
            raise UserError(f"{path}: its weights lie in {name}, which is missing: copy that file into the same folder")
        if beside.stat().st_size < size:
            raise UserError(
                f"{beside}: has {beside.stat().st_size:,} bytes, and {size:,} are to be in it: copy it again"
            )
