"""model.json: written and read back, and one line for whatever somebody did to it."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mobilevision_artifact": None}, "not written by mobilevision export"),
        (
            {"mobilevision_artifact": 2, "mobilevision": "9.9"},
            "made by mobilevision 9.9, format 2; this is .* newer one",
        ),
        ({"classes": "a"}, "classes=a: it has to be a list"),
        ({"classes": [1]}, "list of texts"),
        ({"file": {"name": "../model.onnx", "bytes": 5, "sha256": ""}}, "it has to be a file in this folder"),
        ({"file": {"name": "model.onnx", "sha256": ""}}, "file: bytes is missing; export the model again"),
        ({"outputs": [3]}, "list of objects"),
        ({"input": {"name": "image", "type": "uint8", "shape": ["x"]}}, "list of sides"),
        ({"input": {"name": "image", "type": "pixels", "shape": [None, 3, 32, 32]}}, "type=pixels: .* NumPy's name"),
        ({"input": {"name": "image", "type": "uint8", "shape": [None, 3, 32, 64]}}, "preprocessing has other .*width"),
        ({"task": None}, "task=None: it has to be a text"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, change: dict[str, Any], complaint: str) -> None:
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(values | change), encoding="utf-8")
    with pytest.raises(UserError, match=complaint) as caught:
        Manifest.read(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"a"', "\x00", "[" * 100_000])
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
