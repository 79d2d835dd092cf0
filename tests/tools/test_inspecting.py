"""``mobilevision inspect``: exported models of every format, anybody's ONNX, and what is neither."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mobilevision import export
from mobilevision.cli.commands import main
from mobilevision.errors import UserError
from mobilevision.tools.inspecting.command import inspect

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def exported(run: Path, out: Path, **options: Any) -> Path:
    export(run, out=out, latency=False, gate_samples=0, **options)
    return out


@pytest.fixture(scope="module")
def unfixed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of any batch."""
    return exported(trained, tmp_path_factory.mktemp("exports") / "any")


@pytest.fixture(scope="module")
def fixed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For one image at a time."""
    return exported(trained, tmp_path_factory.mktemp("exports") / "one", batch=1)


def typed(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", ["mobilevision", "inspect", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_an_open_batch_is_said_with_what_helps(
    unfixed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed(str(unfixed), monkeypatch=monkeypatch) == 0
    told = capsys.readouterr().out
    for words in (
        "onnx, float32",
        "classification, mobilenet_v1_0.25",
        "ONNX Runtime 1.14 or later: operator set 18, file format 8",
        "image: uint8 [batch, 3, 32, 32]",
        "open: any number of images at once",
        "left to the CPU by NNAPI, Core ML, QNN\n",
        "a size is open",
        "-> export again with --batch 1",
    ):
        assert words in told, words


def test_one_image_at_a_time_is_taken_whole(fixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspect(fixed, as_json=True)
    assert json.loads(capsys.readouterr().out) == found
    taken = {name: (each["nodes"] - each["taken"], each["pieces"]) for name, each in found["runtimes"].items()}
    assert taken == {"NNAPI": (0, 1), "Core ML": (0, 1), "QNN": (0, 1), "XNNPACK": (5, None)}
    assert found["runtimes"]["XNNPACK"]["mult_adds"] == 1
    about = json.loads((fixed / "model.json").read_text())["about"]
    assert about["onnx"]["accelerators"] == found["runtimes"]
    assert found["parameters"] == about["cost"]["parameters"]


def test_the_card_says_why(fixed: Path, unfixed: Path) -> None:
    whole, none = ((folder / "README.md").read_text() for folder in (fixed, unfixed))
    assert "take, by their lists: NNAPI 61 in 1 piece, Core ML 61 in 1 piece, QNN 61 in 1 piece, XNNPACK 56." in whole
    assert "- XNNPACK: Cast 1, Sub 1, Div 1 and 2 more: no such operator" in whole
    assert "- NNAPI, Core ML, QNN: Conv 27, Relu 27, Cast 1 and 6 more: a size is open (`--batch 1`)" in none


def test_a_stranger_s_file(unfixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is named there is shown, and never an instruction to a terminal or a shell."""
    model = onnx.load(unfixed / "model.onnx")
    name = "n; rm -rf ~ \x1b[2J"
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = name
    model.graph.node.add(op_type="Odd\x1b[31m\nOne", domain="own", input=["image"], output=["odd"])
    model.opset_import.add(domain="own", version=3)
    onnx.save(model, tmp_path / "other.onnx")
    found = inspect(tmp_path / "other.onnx")
    told = capsys.readouterr().out
    assert "\x1b" not in told.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert r"Odd\x1b[31m\nOne 1" in told
    assert r"make_dynamic_shape_fixed --dim_param 'n; rm -rf ~ \x1b[2J' --dim_value 1" in told
    assert "operator set 18, own 3" in told
    assert (found["exported"], found["precision"]) == (False, "float32")


@pytest.mark.parametrize("format", ["openvino", pytest.param("executorch", marks=pytest.mark.slow)])
def test_other_formats_say_what_they_know(
    format: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(format)
    found = inspect(exported(trained, tmp_path / format, format=format))
    told = capsys.readouterr().out
    assert f"{format}, float32" in told
    if format == "executorch":
        assert found["delegates"] == {"XnnpackBackend": 1}
        assert "runs in     XnnpackBackend: 1 piece\n" in told
        assert "batch       fixed: 1 image at a time\n" in told
        (tmp_path / format / "model.pte").write_bytes(b"nothing of the kind")
    else:
        assert found["operators"]["Convolution"] + found["operators"]["GroupConvolution"] == 27
        assert found["left"] == {}
        (tmp_path / format / "model.xml").write_text("<net>")
    with pytest.raises(UserError, match="copy the whole folder again"):
        inspect(tmp_path / format)


def test_a_format_that_says_nothing(fixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(fixed, tmp_path / "lite")
    about = json.loads((tmp_path / "lite" / "model.json").read_text())
    (tmp_path / "lite" / "model.json").write_text(json.dumps({**about, "format": "litert"}))
    inspect(tmp_path / "lite")
    assert "decided on the device; the file does not say" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), r"no exported model \(there is no model\.json\)"),
        (lambda path: path.write_text("a readme\n"), "a text, not an ONNX file"),
        (lambda path: path.write_bytes(torch.randn(99).numpy().tobytes()), "not an ONNX file|cut off"),
    ],
)
def test_what_is_no_model_is_one_line(
    make: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "odd")
    assert typed(str(tmp_path / "odd"), monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {tmp_path / 'odd'}: ")
    assert len(told.splitlines()) == 1
    with pytest.raises(UserError, match=said):
        inspect(tmp_path / "odd")


def test_a_damaged_export_is_one_line(fixed: Path, tmp_path: Path) -> None:
    shutil.copytree(fixed, tmp_path / "cut")
    (tmp_path / "cut" / "model.onnx").write_bytes((fixed / "model.onnx").read_bytes()[:-9])
    with pytest.raises(UserError, match=r"model\.onnx has .* bytes instead of"):
        inspect(tmp_path / "cut")
