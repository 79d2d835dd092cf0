"""A stranger's ONNX file: read within bounds, refused in a line, and never a reason to hang."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision.deploy.formats.onnx_reading import MOST_FIELDS, read_onnx
from mobilevision.deploy.formats.onnx_sizes import with_sizes
from mobilevision.errors import UserError

onnx = pytest.importorskip("onnx")


def graph(*nodes: Any, constants: dict[str, Any] | None = None, functions: Any = (), sides: Any = (1, 4)) -> Any:
    """A model from ``image`` to ``found``."""
    from onnx import TensorProto, helper, numpy_helper

    stored = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    ports = [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)]
    outs = [helper.make_tensor_value_info("found", TensorProto.FLOAT, None)]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = helper.make_graph(nodes, "graph", ports, outs, stored)
    return helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions))


def plain() -> bytes:
    weights = {"weights": np.ones((4, 400), np.float32)}
    return bytes(
        graph(onnx.helper.make_node("MatMul", ["image", "weights"], ["found"]), constants=weights).SerializeToString()
    )


def of_nodes(count: int) -> bytes:
    """So many nodes of nothing, two bytes each."""
    inside = b"\x0a\x00" * count
    length, size = b"", len(inside)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return b"\x08\x08\x3a" + length + bytes([size]) + inside


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "an empty file"),
    "text": (lambda: b"<!DOCTYPE html>\n<p>Not found</p>\n" * 90, "a text, not an ONNX file"),
    "pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        r"a pointer of Git LFS.*`git lfs pull`",
    ),
    "cut": (lambda: plain()[:-200], r"cut off after [\d,]+ bytes"),
    "zip": (lambda: b"PK\x03\x04" + bytes(range(256)) * 9, "not an ONNX file|cut off"),
    "other": (lambda: b"\x1c\x00\x00\x00TFL3" + bytes(99), "a file of LiteRT, not ONNX"),
    "nothing in it": (lambda: b"\x08\x08", "it holds no graph"),
    "nodes of nothing": (lambda: of_nodes(MOST_FIELDS + 9), "too many to be looked at"),
    "an unknown kind": (
        lambda: b"\x08\x08\xa2\x01\x80\x80\xc0\x01" + bytes(3_145_728) + b"\x08\x08",
        "too many to be looked at",
    ),
    "a name that is no text": (lambda: plain().replace(b"MatMul", b"\xff" * 6), "not an ONNX file"),
    "a number without end": (lambda: b"\x08" + b"\x80" * 99 + b"\x01", "not an ONNX file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_onnx_is_a_line_that_names_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(BAD[kind][0]())
    with pytest.raises(UserError, match=rf"bad\.onnx: .*({BAD[kind][1]})") as error:
        read_onnx(path)
    assert "\n" not in str(error.value)


def test_a_cut_file_is_never_taken(tmp_path: Path) -> None:
    whole, path = plain(), tmp_path / "bad.onnx"
    for size in (*range(1, 60), *range(60, len(whole), 997)):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_onnx(path)
    path.write_bytes(whole)
    assert read_onnx(path).SerializeToString() == whole


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("w.bin", r"its weights lie in w\.bin, which is missing"),
        ("../w.bin", "lie outside its folder"),
        ("short.bin", "has 3 bytes, and 6,400 are to be in it"),
        ("whole.bin", None),
    ],
)
def test_weights_beside_the_file(place: str, said: str | None, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(plain())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    for key, value in {"location": place, "offset": "0", "length": "6400"}.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "short.bin").write_bytes(b"abc")
    (tmp_path / "whole.bin").write_bytes(bytes(6400))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    if said is None:
        assert read_onnx(tmp_path / "model.onnx").graph.node
    else:
        with pytest.raises(UserError, match=said):
            read_onnx(tmp_path / "model.onnx")


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_onnx(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="not a regular file"):
        read_onnx(tmp_path)


def test_functions_that_hold_each_other_over_and_over_end() -> None:
    """Forty of them, each of which calls the next one twice: 2^40 nodes."""
    from onnx import TensorProto, helper

    made = []
    for depth in range(40):
        calls = [helper.make_node(f"f{depth + 1}", [given], [out], domain="own") for given, out in ("xz", "zy")]
        made.append(helper.make_function("own", f"f{depth}", ["x"], ["y"], calls, [helper.make_opsetid("own", 1)]))
    nested = graph(helper.make_node("f0", ["image"], ["found"], domain="own"), functions=made)
    sized = with_sizes(nested, apart=True)
    assert sized.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("ends", ["raise SystemExit(1)", "import os; os.abort()", "print('no model')"])
def test_sizes_that_cannot_be_worked_out_are_none(ends: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilevision.deploy.formats.onnx_sizes._APART", ends)
    assert with_sizes(onnx.ModelProto.FromString(plain()), apart=True) is None
