"""model.json: written and read back, and one line for whatever somebody did to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mobilevision.deploy.manifest import Manifest, ModelFile, Port, is_artifact
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    _manifest(tmp_path).write(tmp_path)
    return tmp_path


def _manifest(folder: Path) -> Manifest:
    return Manifest(
        task="classification",
        answer="classes",
        format="onnx",
        precision="float32",
        file=ModelFile.of(folder / "model.onnx"),
        classes=("a", "ü"),
        input=Port("image", "uint8", (None, 3, 32, 32)),
        preprocessing=Preprocessing("crop", 0.875, 3, 32, 32),
        outputs=(Port("probabilities", "float32", (None, 2)),),
        decision={"thresholds": [0.5, 0.25]},
        facts={},
        about={"drop": float("nan")},
    )


def test_it_reads_what_it_wrote(folder: Path) -> None:
    found = Manifest.read(folder)
    assert found.to_dict() == {**_manifest(folder).to_dict(), "about": {"drop": None}}  # JSON has no NaN
    assert found.file.check(folder) == folder / "model.onnx"
    assert is_artifact(folder)
    assert not is_artifact(folder / "model.onnx")


LOOK = Preprocessing("crop", 0.875, 3, 32, 32).to_dict()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mobilevision_artifact": None}, "not written by mobilevision export"),
        (
            {"mobilevision_artifact": 2, "mobilevision": "9.9"},
            "made by mobilevision 9.9, format 2; this is .* newer one",
        ),
        ({"classes": "a"}, "classes=a: it has to be a list"),
        ({"answer": "parts", "decision": {"ground": 0.5}}, "decision: ground=0.5: it has to be an object"),
        ({"decision": {"ground": {"thresholds": 0.5}}}, "ground=.*it has to be a number or a list of numbers"),
        ({"classes": [1]}, "list of texts"),
        ({"file": {"name": "../model.onnx", "bytes": 5, "sha256": ""}}, "it has to be a file in this folder"),
        ({"file": {"name": "model.onnx", "sha256": ""}}, "file: bytes is missing; export the model again"),
        ({"outputs": [3]}, "list of objects"),
        ({"input": {"name": "image", "type": "uint8", "shape": ["x"]}}, "list of sides"),
        ({"input": {"name": "image", "type": "pixels", "shape": [None, 3, 32, 32]}}, "type=pixels: .* NumPy's name"),
        ({"input": {"name": "image", "type": "uint8", "shape": [None, 3, 32, 64]}}, "preprocessing has other .*width"),
        ({"task": None}, "task=None: it has to be a text"),
        *(
            ({"file": {"name": name, "bytes": 5, "sha256": ""}}, "it has to be a file in this folder")
            for name in ("/etc/passwd", "a/../../b", "sub/model.onnx", "..", ".", "", "..\\b", "C:\\b")
        ),
        ({"parts": [{"name": "../../weights.bin", "bytes": 5, "sha256": ""}]}, "it has to be a file in this folder"),
        ({"parts": {"name": "weights.bin"}}, "it has to be a list"),
        ({"task": "classification,data.root=x"}, "it has to be a name"),
        ({"task": "${oc.env:HOME}"}, "it has to be a name"),
        ({"task": "x" * 1000}, "it has to be a name"),
        ({"file": {"name": "model.onnx", "bytes": "5", "sha256": ""}}, "whole number"),
        ({"input": {"name": "image", "type": "uint8", "shape": [None, 3, -1, 32]}}, "list of sides"),
        ({"input": {"name": "image", "type": "O", "shape": [None, 3, 32, 32]}}, "NumPy's name"),
        ({"preprocessing": {**LOOK, "height": 10**9, "width": 10**9}}, "more than the 178,956,970 that are decoded"),
        ({"preprocessing": {**LOOK, "height": 10**400}}, "more than the 178,956,970 that are decoded"),
        ({"preprocessing": {**LOOK, "crop": 10**400}}, "finite number"),
        ({"preprocessing": {**LOOK, "crop": float("nan")}}, "finite number"),
        ({"preprocessing": {**LOOK, "height": True}}, "whole number"),
        ({"preprocessing": {**LOOK, "fit": "../x"}}, "fit="),
        ({"decision": {"thresholds": ["0.5"]}}, "a number or a list of numbers"),
        ({"decision": {"thresholds": [{"_target_": "os.system"}]}}, "a number or a list of numbers"),
        ({"decision": {"threshold": 10**400}}, "a number or a list of numbers"),
        ({"decision": [1]}, "an object"),
        ({"about": "x"}, "an object"),
        ({"facts": None}, "an object"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, change: dict[str, Any], complaint: str) -> None:
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(values | change), encoding="utf-8")
    with pytest.raises(UserError, match=complaint) as caught:
        Manifest.read(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"a"', "\x00", "[" * 100_000, '{"a": 1' + "0" * 6000 + "}"])
def test_other_files_of_that_name_are_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"model\.json"):
        Manifest.read(folder)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "is missing"), (b"gra", "has 3 bytes instead of 5"), (b"grapE", "not the file that model.json describes")],
)
def test_the_model_file_is_checked(folder: Path, content: bytes | None, complaint: str) -> None:
    (folder / "model.onnx").unlink()
    if content is not None:
        (folder / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        Manifest.read(folder).file.check(folder)


def test_a_pipe_is_no_model(folder: Path) -> None:
    manifest = Manifest.read(folder)
    for name in ("model.onnx", "model.json"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    with pytest.raises(UserError, match="is missing"):
        manifest.file.check(folder)
    with pytest.raises(UserError, match="not a regular file"):
        Manifest.read(folder)
