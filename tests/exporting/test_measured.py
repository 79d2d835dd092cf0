"""mobilevision evaluate of an exported model: what it says of the run, it says of the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.exporting.command import export

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured") / "colours"
    export(trained, out=out, gate_samples=0)
    return out


def data(coloured: Path) -> list[str]:
    return ["data=folder", f"data.root={coloured}", "data.workers=0"]


@pytest.mark.slow
def test_a_file_is_measured_as_its_run(
    trained: Path, folder: Path, coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_run, of_file = (evaluate(each, data(coloured)) for each in (trained, folder))
    of_run.pop("test/loss")
    assert of_file == pytest.approx(of_run, abs=1e-5)
    assert "measured through onnx, float32" in capsys.readouterr().out
    ran, filed = (next((each / "evaluations").iterdir()) for each in (trained, folder))
    assert {path.relative_to(filed) for path in filed.rglob("*")} == {path.relative_to(ran) for path in ran.rglob("*")}
    tables = [json.loads((each / "tables.json").read_text(encoding="utf-8")) for each in (ran, filed)]
    assert tables[0]["confusion"] == tables[1]["confusion"]
    assert tables[0]["per_class"] == tables[1]["per_class"]
    assert json.loads((filed / "info.json").read_text(encoding="utf-8"))["samples"] == 15


def test_a_split_may_be_named(folder: Path, coloured: Path) -> None:
    assert set(evaluate(folder, [*data(coloured), "split=train"])) >= {"train/top1", "train/macro_f1"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ([], r"does not keep where its images lay \(it was trained on .*\): name them, as in `mobilevision evaluate"),
        (["data.root=X"], "data.root=X: .* does not keep of which format its data was: add data=auto"),
        (["data=folder", "data.root=X", "data.resolution=64"], r"has its own side \(32 x 32\), fit and channels"),
        (["data=shapes", "data.workers=0", "data.format.test=20"], "classes that the model does not know: "),
        (["data=folder", "data.root=X", "backbone.width=1.0"], "an evaluation takes data"),
        (["data=foldr", "data.root=X"], "did you mean"),
    ],
)
def test_what_cannot_be_measured_is_said(folder: Path, changes: list[str], complaint: str) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=complaint):
        evaluate(folder, changes)
    assert sorted(folder.rglob("*")) == before  # no empty folders


def test_a_task_that_is_not_installed_is_named(folder: Path, coloured: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    about = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    (copy / "model.json").write_text(json.dumps(about | {"task": "poetry"}), encoding="utf-8")
    with pytest.raises(UserError, match="its task poetry is not installed here"):
        evaluate(copy, data(coloured))


@pytest.mark.slow
def test_a_plugins_task_is_measured_where_it_is_installed(tmp_path: Path) -> None:
    package = ROOT / "examples" / "mobilevision_plugin_counting" / "mobilevision_plugin_counting"
    shutil.copytree(package, tmp_path / "parts" / package.name)
    shutil.move(tmp_path / "parts" / package.name / "conf", tmp_path / "parts" / "conf")
    few = ["data.workers=0", "data.format.train=32", "data.format.val=16", "data.format.test=16"]
    small = ["task=counting", "backbone.width=0.25", "data.resolution=32", "data.batch_size=8", *few]

    def ran(*command: str, there: bool = True) -> subprocess.CompletedProcess[str]:
        code = "from mobilevision.cli.commands import main; main()"
        given = {"MOBILEVISION_PATH": str(tmp_path / "parts")} if there else {}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **given}
        typed = [sys.executable, "-c", code, *command]
        return subprocess.run(typed, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert ran("train", *small, "trainer=debug", "logger=none", "run_dir=run").returncode == 0
    assert ran("export", "run", "--out", "counts").returncode == 0
    done = ran("evaluate", "counts", "data=dots", *few)
    assert done.returncode == 0, done.stderr
    assert "mean_error" in done.stdout
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    for model in ("run", "counts"):
        done = ran("predict", model, "one.png", "--out", f"predicted_{model}")
        assert "one.png  count " in done.stdout, done.stdout + done.stderr
    left = ran("evaluate", "counts", "data=dots", there=False)
    assert left.returncode == 1
    assert "its task counting is not installed here" in left.stderr
