"""Folders that somebody cut off, mixed up or made with something else: one line from every command that takes them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mobilevision
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError

COMMANDS = {
    "predict": ["predict", "FOLDER", "PICTURE", "--out", "OUT"],
    "evaluate": ["evaluate", "FOLDER", "data=folder", "data.root=DATA"],
    "benchmark": ["benchmark", "FOLDER", "--seconds", "0.01"],
    "push": ["push", "FOLDER", "--repo", "me/cats", "--dry-run"],
}
WHERE_A_RUN_BELONGS = {
    "export": ["export", "FOLDER", "--out", "OUT"],
    "resume": ["train", "resume=FOLDER"],
}


def write_graph(path: Path) -> None:
    """Shares of red, green and blue of an image: a graph as small as one can be."""
    from numpy import array
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, 32, 32])
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "g", [image], [out], [numpy_helper.from_array(array([2, 3]), "axes")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "colours"
    folder.mkdir()
    write_graph(folder / "model.onnx")
    (folder / "README.md").write_text("card", encoding="utf-8")
    about = {"backbone": "none", "head": "LinearHead", "cost": {"parameters": 0, "mult_adds": 3072}, "gate": None}
    look, image = Preprocessing("crop", 1.0, 3, 32, 32), Port("image", "uint8", (None, 3, 32, 32))
    out = (Port("probabilities", "float32", (None, 3)),)
    file, more = ModelFile.of(folder / "model.onnx"), {"decision": {}, "facts": {}, "about": about}
    names = ("red", "green", "blue & <b>")
    Manifest("classification", "classes", "onnx", "float32", file, names, image, look, out, **more).write(folder)
    return folder


def changed(folder: Path, **values: Any) -> None:
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(about | values), encoding="utf-8")


def another(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "model.onnx").write_bytes(bytes(data))


def cut(folder: Path) -> None:
    text = (folder / "model.json").read_text(encoding="utf-8")
    (folder / "model.json").write_text(text[: len(text) // 2], encoding="utf-8")


def garbage(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\x08" * 500)
    file = ModelFile.of(folder / "model.onnx")
    changed(folder, file={"name": file.name, "bytes": file.size, "sha256": file.sha256})


def enlarged(folder: Path) -> None:
    look = json.loads((folder / "model.json").read_text(encoding="utf-8"))["preprocessing"]
    image = {"name": "image", "type": "uint8", "shape": [None, 3, 100_000_000, 32]}
    changed(folder, input=image, preprocessing=look | {"height": 100_000_000})


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no_file": (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing: copy the whole folder"),
    "cut_off": (lambda folder: (folder / "model.onnx").write_bytes(b"\x08"), "has 1 bytes instead of"),
    "another": (another, "model.onnx is not the file that model.json describes"),
    "no_model": (garbage, "ONNX Runtime cannot load it"),
    "half_a_description": (cut, "model.json: not readable JSON"),
    "foreign": (lambda folder: (folder / "model.json").write_text("{}"), "not written by mobilevision export"),
    "newer": (lambda folder: changed(folder, mobilevision_artifact=99), "install a newer one"),
    "other_answer": (lambda folder: changed(folder, answer="raw_boxes"), "needs the output logits, which is missing"),
    "elsewhere": (
        lambda folder: changed(folder, file={"name": "../model.onnx", "bytes": 1, "sha256": ""}),
        "it has to be a file in this folder",
    ),
    "another_type": (
        lambda folder: changed(folder, input={"name": "image", "type": "float32", "shape": [None, 3, 32, 32]}),
        "model.onnx: takes another input than model.json says",
    ),
    "enlarged": (enlarged, "model.json: preprocessing"),
    "unheard_of": (lambda folder: changed(folder, format="hieroglyphs"), "format hieroglyphs: there are onnx"),
}


def filled(command: list[str], folder: Path, data: Path, out: Path) -> list[str]:
    image = str(next((data / "test").rglob("*.png")))
    words = {"FOLDER": str(folder), "PICTURE": image, "DATA": str(data), "OUT": str(out)}
    for name, value in words.items():
        command = [each.replace(name, value) for each in command]
    return command


def said_of(command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    from mobilevision.cli.commands import main

    monkeypatch.setattr(sys, "argv", ["mobilevision", *command])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_whole_one_works(command: str, whole: Path, coloured: Path, tmp_path: Path) -> None:
    from mobilevision.cli.commands import app
    from mobilevision.io.error_lines import errors_as_lines

    copy = shutil.copytree(whole, tmp_path / "copy")
    typed = filled(COMMANDS[command], copy, coloured, tmp_path / "out")
    with errors_as_lines(typed):
        assert not app(args=typed, standalone_mode=False)
    if command == "evaluate":
        found = next((copy / "evaluations").iterdir()) / "metrics.json"
        assert json.loads(found.read_text(encoding="utf-8"))["test/top1"] == 1.0


def test_a_folder_without_its_description_is_told(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    (copy / "model.json").unlink()
    with pytest.raises(UserError, match=r"copy: model\.json is missing: copy the whole folder"):
        mobilevision.load(copy)


def test_it_tells_what_it_is_and_what_it_takes(whole: Path) -> None:
    model = Artifact(whole)
    assert repr(model) == f"Artifact({str(whole)!r}: classification, 3 classes, 32x32x3, onnx float32)"
    with pytest.raises(UserError, match="nowhere is not a run folder: there is no such folder"):
        mobilevision.load(whole / "nowhere")
    with pytest.raises(UserError, match=r"--which last: .* is an exported model"):
        mobilevision.load(whole, which="last")
    for given in (3, None, {"a": 1}, b"png"):
        with pytest.raises(UserError, match=f"predict takes an image file.* not {type(given).__name__}$"):
            model.predict(given)  # type: ignore[call-overload]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_damage_is_one_line(
    command: str,
    damage: str,
    whole: Path,
    coloured: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    do, complaint = DAMAGES[damage]
    copy = shutil.copytree(whole, tmp_path / "copy")
    do(copy)
    if command == "push" and damage in ("no_model", "unheard_of", "another_type", "enlarged"):
        return  # nobody loads a model to send it: its hash is what counts
    said = said_of(filled(COMMANDS[command], copy, coloured, tmp_path / "out"), monkeypatch, capsys)
    assert complaint in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (copy / "evaluations").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", WHERE_A_RUN_BELONGS)
def test_an_exported_model_is_no_run(
    command: str,
    whole: Path,
    coloured: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed = filled(WHERE_A_RUN_BELONGS[command], whole, coloured, tmp_path / "out")
    said = said_of(typed, monkeypatch, capsys)
    assert "is an exported model; this takes the run that it was made of" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("command", "damage"), [("predict", "another"), ("predict", "newer"), ("evaluate", "cut_off")])
def test_the_real_command_leaves_with_one_line_and_code_1(
    command: str, damage: str, whole: Path, coloured: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    do, complaint = DAMAGES[damage]
    do(copy)
    program = [sys.executable, "-c", "from mobilevision.cli.commands import main; main()"]
    typed = filled(COMMANDS[command], copy, coloured, tmp_path / "out")
    done = subprocess.run([*program, *typed], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert complaint in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
