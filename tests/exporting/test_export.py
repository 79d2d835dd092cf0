"""mobilevision export, end to end on a trained run: the same answers as the checkpoint, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mobilevision
from mobilevision import export
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import Precision
from mobilevision.errors import UserError
from mobilevision.prediction.model import Model
from mobilevision.tools.benchmarking.command import benchmark
from mobilevision.tools.models import exported

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "consumer" / "use_model.py"


@pytest.fixture(scope="module")
def model(trained: Path) -> Model:
    return Model(mobilevision.prediction.model.load(trained, device="cpu").task)


@pytest.fixture(scope="module")
def files(coloured: Path) -> list[Path]:
    return sorted((coloured / "test").rglob("*.png"))


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "colours"
    export(trained, out=out)
    return out


@pytest.fixture
def no_writing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports copy the file that is there already: what they do besides is quick."""
    monkeypatch.setattr(Onnx, "write", lambda self, graph, path, precision: shutil.copy(folder / "model.onnx", path))


def test_it_answers_as_the_checkpoint(model: Model, folder: Path, files: list[Path]) -> None:
    exported = mobilevision.load(folder)
    assert isinstance(exported, Artifact)
    assert (exported.classes, exported.resolution, exported.channels) == (model.classes, (32, 32), 3)
    for mine, theirs in zip(model.predict(files), exported.predict(files, batch_size=4), strict=True):
        assert mine["label"] == theirs["label"]
        assert [row["label"] for row in mine["top5"]] == [row["label"] for row in theirs["top5"]]
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-5)
    assert exported.predict(files[0]) == exported.predict([files[0]])[0]
    assert exported.predict([]) == []


def test_the_gate_says_what_evaluation_says(folder: Path, trained: Path) -> None:
    gate = json.loads((folder / "model.json").read_text(encoding="utf-8"))["about"]["gate"]
    tested = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert gate["checkpoint"]["top1"] == pytest.approx(tested["test/top1"], abs=1e-6)
    assert gate["checkpoint"]["top1"] == gate["artifact"]["top1"]
    assert (gate["passed"], gate["pictures"], gate["of"], gate["pictures_with_equal_pixels"]) == (True, 15, 15, 15)
    assert gate["largest_difference"]["probabilities"] < 1e-5
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Gate: passed" in card
    assert "`blue & <b>`" in card


def test_float_pixels_give_the_same(trained: Path, folder: Path, files: list[Path], tmp_path: Path) -> None:
    other = export(trained, out=tmp_path / "float", input="float", gate_samples=0)
    assert other.manifest.input.dtype == "float32"
    assert "Not measured" in (tmp_path / "float" / "README.md").read_text(encoding="utf-8")
    pixels = np.stack([other.prepare(file).pixels for file in files])
    expected = Artifact(folder).outputs(pixels)["probabilities"]
    for given in (pixels, pixels.astype(np.float32)):
        np.testing.assert_allclose(other.outputs(given)["probabilities"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 3, 32, 33), "uint8"), ((3, 32, 32), "uint8"), ((1, 3, 32, 32), "int64"), ((0, 3, 32, 32), "uint8")],
)
def test_another_input_is_refused_with_the_right_one(folder: Path, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(UserError, match=r"the model takes uint8 \[batch, 3, 32, 32\], 0 to 255, not"):
        Artifact(folder).outputs(np.zeros(shape, dtype))


def test_predict_needs_no_torch(folder: Path, coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no")
    code = (
        "import sys; from mobilevision.cli.commands import main; main(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning', 'pytorch_lightning', 'hydra')))"
    )
    arguments = ["predict", folder, coloured / "test", tmp_path / "broken.png", "--out", tmp_path / "found"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "found" / "predictions.json").read_text(encoding="utf-8"))
    assert len(rows) == 15
    assert (tmp_path / "found" / rows[0]["picture"]).is_file()
    assert "1 of 16 images skipped" in done.stdout
    assert "broken.png: not an image" in done.stdout


def test_the_consumers_example_needs_nothing_else(
    model: Model, folder: Path, files: list[Path], tmp_path: Path
) -> None:
    photo = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(files[0]).resize((200, 90)).save(photo, exif=exif)
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'mobilevision', 'scipy', 'onnx']));"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    images = [files[0], files[-1], photo]
    command = [sys.executable, "-c", code, EXAMPLE, folder, *images]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout.splitlines()
    for line, row in zip(said, model.predict(images), strict=True):
        label, score = line.partition(": ")[2].partition(", ")[0].rsplit(" ", 1)
        assert label == row["label"]
        assert float(score) == pytest.approx(row["score"], abs=6e-4)


@pytest.mark.parametrize(
    ("form", "image", "said"),
    [
        ("onnx", "missing.jpg", "missing.jpg: cannot be read: No such file or directory"),
        ("onnx", "text.jpg", "text.jpg: cannot be read: not an image that Pillow knows"),
        ("openvino", "missing.jpg", "a model for openvino; this example runs ONNX only"),
    ],
)
def test_the_consumers_example_says_what_it_cannot_take(
    form: str, image: str, said: str, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    about = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    (copy / "model.json").write_text(json.dumps(about | {"format": form}), encoding="utf-8")
    (tmp_path / "text.jpg").write_text("no image", encoding="utf-8")
    command = [sys.executable, EXAMPLE, copy, tmp_path / image]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_model_that_answers_otherwise_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Onnx.write

    def damaged(self: Onnx, graph: Graph, path: Path, precision: Precision) -> None:
        head, graph.task.head.forward = graph.task.head.forward, lambda x: head(x).roll(1, dims=1)
        written(self, graph, path, precision)
        graph.task.head.forward = head

    monkeypatch.setattr(Onnx, "write", damaged)
    with pytest.raises(
        UserError, match=r"top1 falls by .* and agreement 0\.\d+ is below 0.97 .*; worst classes: "
    ) as caught:
        export(trained, out=tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
    assert str(tmp_path / "bad.failed") in str(caught.value)
    assert "FAILED" in (tmp_path / "bad.failed" / "README.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.failed"]


@pytest.mark.usefixtures("no_writing")
def test_an_earlier_export_is_replaced_and_nothing_else_is(trained: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "again")
    (tmp_path / "again" / "model.onnx").write_bytes(b"")
    export(trained, out=tmp_path / "again", gate_samples=0)
    Artifact(tmp_path / "again")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    with pytest.raises(UserError, match="holds other things"):
        export(trained, out=tmp_path / "taken")


@pytest.mark.usefixtures("no_writing")
def test_a_run_whose_data_is_gone_can_still_be_exported(trained: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(trained, tmp_path / "run")
    config = (moved / "config.yaml").read_text(encoding="utf-8").splitlines()
    gone = [f"  root: {tmp_path / 'gone'}" if line.startswith("  root: ") else line for line in config]
    (moved / "config.yaml").write_text("\n".join(gone), encoding="utf-8")
    with pytest.raises(UserError, match="--gate-samples 0 leaves it out"):
        export(moved)
    export(moved, gate_samples=0)
    assert (moved / "exports" / "onnx" / "model.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "error: nowhere is not a run folder: there is no such folder"),
        (["RUN", "--format", "onx"], "error: format onx: did you mean onnx? there are onnx"),
        (["RUN", "--input", "int8"], "'int8' is not one of 'uint8', 'float'"),
        (["RUN", "--gate-samples", "-1"], "--gate-samples"),
    ],
)
def test_mistakes_are_one_line(
    trained: Path,
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mobilevision.cli.commands import main

    typed = [str(trained) if each == "RUN" else each for each in arguments]
    monkeypatch.setattr(sys, "argv", ["mobilevision", "export", *typed])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 1
    assert complaint in said
    assert said.count("\n") == 1


def test_a_damaged_folder_is_one_line(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    file, about = copy / "model.onnx", copy / "model.json"
    whole, text = file.read_bytes(), json.loads(about.read_text(encoding="utf-8"))
    file.write_bytes(whole[:1000])
    with pytest.raises(UserError, match="1,000 bytes instead of"):
        mobilevision.load(copy)
    file.write_bytes(whole)
    for change, complaint in (
        ({"answer": "poems"}, r"answer=poems: there are attributes, (.*, )?boxes, (.*, )?classes"),
        ({"answer": "boxes"}, "answer boxes needs the output boxes"),
        ({"classes": ["a"]}, "1 classes, but probabilities has the shape"),
        ({"format": "tflite"}, r"format tflite: did you mean litert\? there are onnx"),
        (
            {
                "outputs": [{"name": "probabilities", "type": "float32", "shape": [None, 3]}] * 1
                + [{"name": "more", "type": "float32", "shape": [None]}]
            },
            "has no output more",
        ),
    ):
        about.write_text(json.dumps(text | change), encoding="utf-8")
        with pytest.raises(UserError, match=complaint):
            mobilevision.load(copy)
    file.write_bytes(b"\x08" * len(whole))
    from mobilevision.deploy.manifest import ModelFile

    noted = ModelFile.of(file)
    about.write_text(json.dumps(text | {"file": {"name": noted.name, "bytes": noted.size, "sha256": noted.sha256}}))
    with pytest.raises(UserError, match="ONNX Runtime cannot load it"):
        mobilevision.load(copy)


def test_its_time_is_taken_beside_the_runs(folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = benchmark([str(trained), str(folder)], batch="1,4", seconds=0.05)
    assert [row.mult_adds for row in rows] == [rows[0].mult_adds] * 4
    assert [row.subject.name.endswith(" onnx") for row in rows] == [False, True] * 2
    assert "as they are" in capsys.readouterr().out
    with pytest.raises(UserError, match="runs on the CPU"):
        exported(str(folder)).timed(batch=1, threads=1, device="cuda", fold=True, channels_last=True)


def test_a_cost_that_is_not_stated_is_one_line(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    about = json.loads((folder / "model.json").read_text())
    about["about"].pop("cost")
    (tmp_path / "copy" / "model.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"about\.cost is missing"):
        exported(str(tmp_path / "copy"))


def test_an_earlier_export_is_taken_away_and_other_things_stay(trained: Path, tmp_path: Path) -> None:
    from mobilevision.exporting.command import put, target_of

    export(trained, out=tmp_path / "out", gate_samples=0, latency=False)
    (tmp_path / "out" / "evaluations" / "one").mkdir(parents=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "model.xml").write_text("another")
    put(tmp_path / "work", ["model.xml"], tmp_path / "out", failed=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.xml", "notes.txt"]
    (tmp_path / "next.failed").mkdir()
    (tmp_path / "next.failed" / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"next\.failed holds other things"):
        target_of(tmp_path / "next", None, "onnx")


def test_ctrl_c_says_so(trained: Path, tmp_path: Path) -> None:
    import signal
    import time

    command = [sys.executable, "-c", "from mobilevision.cli.commands import main; main()", "export", str(trained)]
    command += ["--out", str(tmp_path / "out")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()) and running.poll() is None:  # its workplace: the export has begun
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    try:
        _, said = running.communicate()
    finally:
        running.kill()
    assert (running.returncode, said.strip().splitlines()[-1]) == (130, "stopped")
    assert not list(tmp_path.iterdir())
