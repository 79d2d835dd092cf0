"""evaluate: a run on its own data or other, pretrained weights without a run, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from mobilevision.errors import UserError
from mobilevision.evaluation.config import take_split
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.io.atomic_files import read_csv, read_metrics, write_metrics
from mobilevision.prediction.predict import predict


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def _only(run: Path) -> Path:
    (folder,) = (run / "evaluations").iterdir()
    return folder


def test_a_run_measured_again_gives_what_its_training_gave(run: Path) -> None:
    before = json.loads((run / "metrics.json").read_text())
    found = evaluate(run, ["data.batch_size=4"])
    assert found == pytest.approx(before, abs=1e-6)
    assert json.loads((run / "metrics.json").read_text()) == before
    written = _only(run)
    assert json.loads((written / "metrics.json").read_text()) == found
    assert {path.name for path in (written / "figures").iterdir()} == {"confusion.png", "reliability.png"}
    assert json.loads((written / "info.json").read_text())["samples"] == 15


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threshold": 2}, "threshold=2: it has to be a number from 0 to 1"),
        ({"threshold": float("nan")}, "threshold=nan: it has to be a number"),
        ({"threshold": True}, "threshold=True: it has to be a number"),
        ({"threshold": "0.3"}, "threshold='0.3': it has to be a number"),
        ({"scores": "bogus"}, "scores='bogus': it has to be 'shown' or 'all'"),
        ({"scores": True}, "scores=True: it has to be"),
    ],
)
def test_what_python_code_asks_to_be_shown_is_looked_at_first(
    run: Path, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        evaluate(run, **wrong)
    with pytest.raises(UserError, match=said):
        predict(run, [tmp_path], out=tmp_path / "out", **wrong)
    with pytest.raises(UserError, match="--track-as 5: a name of letters"):
        evaluate(run, track_as=5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="batch_size=0: it has to be at least 1"):
        predict(run, [tmp_path], out=tmp_path / "out", batch_size=0)
    assert not (run / "evaluations").exists()


def test_an_undefined_number_is_null_in_its_file(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", {"a": 0.5, "b": math.nan, "c": math.inf})
    assert json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail) == {
        "a": 0.5,
        "b": None,
        "c": None,
    }
    again = read_metrics(tmp_path / "metrics.json")
    assert again["a"] == 0.5
    assert math.isnan(again["b"])


def test_split_chooses(run: Path) -> None:
    found = evaluate(run, ["split=val"])
    assert "val/top1" in found
    assert json.loads((_only(run) / "info.json").read_text())["samples"] == 12
    with pytest.raises(UserError, match="split=dev"):
        take_split(["split=dev"])


def test_other_data_without_a_split_is_taken_whole_and_matched_by_name(
    run: Path, coloured: Path, tmp_path: Path
) -> None:
    own = evaluate(run, [])
    for name in ("red", "green"):  # a subset, so other numbers
        shutil.copytree(coloured / "test" / name, tmp_path / "other" / name)
    found = evaluate(run, ["data=folder", f"data.root={tmp_path / 'other'}"])
    tables = json.loads((sorted((run / "evaluations").iterdir())[-1] / "tables.json").read_text())
    counts = {row["class"]: row["samples"] for row in tables["per_class"]}
    assert counts == {"blue & <b>": 0, "green": 5, "red": 5}
    assert "all/top1" in found
    whole = evaluate(run, ["data=auto", f"data.root={coloured / 'test'}"])
    assert whole["all/top1"] == pytest.approx(own["test/top1"])


def test_only_another_root_is_other_data(run: Path, coloured: Path) -> None:
    found = evaluate(run, [f"data.root={coloured / 'test'}"])
    assert "all/top1" in found


def test_foreign_classes_are_refused_with_both_lists(run: Path, coloured: Path, tmp_path: Path) -> None:
    shutil.copytree(coloured / "test" / "red", tmp_path / "other" / "purple")
    shutil.copytree(coloured / "test" / "red", tmp_path / "other" / "red")
    with pytest.raises(
        UserError, match=r"does not know: purple; the model knows: blue & <b>, green, red; call them as"
    ):
        evaluate(run, ["data=folder", f"data.root={tmp_path / 'other'}"])
    assert not list(run.glob("evaluations/*"))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=3", "the rest is the run's"),
        ("data.rot=x", "did you mean data.root"),
        ("trainer.device=1", "trainer.devices"),
        ("split=train", None),
    ],
)
def test_what_may_be_changed(run: Path, override: str, says: str | None) -> None:
    if says is None:
        assert "train/top1" in evaluate(run, [override])
    else:
        with pytest.raises(UserError, match=says):
            evaluate(run, [override])


def test_a_bad_image_is_skipped_and_listed_where_that_is_wanted(run: Path, coloured: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    shutil.copytree(coloured / "test", root)
    (root / "red" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match="empty file"):
        evaluate(run, ["data=folder", f"data.root={root}", "data.workers=0"])
    evaluate(run, ["data=folder", f"data.root={root}", "data.workers=0", "data.on_error=skip"])
    assert "0.png" in (sorted((run / "evaluations").iterdir())[-1] / "skipped.csv").read_text()


def test_weights_without_a_run_bring_their_classifier(
    finished_run: Path, coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    prefix = "backbone.model."
    tensors = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    tensors |= {f"classifier.{name}": weights[f"head.classifier.{name}"] for name in ("weight", "bias")}
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "w.safetensors")
    common = ["task=classification", "backbone.width=0.25", "data=folder", "data.workers=0", "trainer=cpu"]
    common += [f"backbone.weights={tmp_path / 'w.safetensors'}", "data.resolution=32"]
    found = evaluate(None, [*common, f"data.root={coloured}"])
    before = json.loads((finished_run / "metrics.json").read_text())
    assert found["test/top1"] == pytest.approx(before["test/top1"])
    assert len(list((tmp_path / "outputs" / "evaluate").glob("*/metrics.json"))) == 1
    two = tmp_path / "two"
    for name in ("red", "green"):
        shutil.copytree(coloured / "test" / name, two / name)
    with pytest.raises(UserError, match="know 3 classes, the data has 2"):
        evaluate(None, [*common, f"data.root={two}"])


@pytest.mark.slow
def test_classes_of_imagenet_are_found_by_name(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = timm.create_model("mobilenetv1_100", num_classes=1000)
    torch.nn.init.zeros_(model.classifier.weight)
    with torch.no_grad():  # whatever it sees, a great white shark before a tench before all others
        model.classifier.bias.zero_()[[2, 0]] = torch.tensor([2.0, 1.0])
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    common = ["task=classification", "data=folder", "data.workers=0", "trainer=cpu", "data.resolution=32"]
    common += [f"backbone.weights={tmp_path / 'w.safetensors'}"]
    for number, (tench, shark) in enumerate((("tench", "Great_White-shark"), ("n01440764", "n01484850"), ("0", "2"))):
        root = tmp_path / f"data{number}"
        shutil.copytree(coloured / "test" / "red", root / tench)
        shutil.copytree(coloured / "test" / "green", root / shark)
        next((root / shark).iterdir()).unlink()
        found = evaluate(None, [*common, f"data.root={root}"])
        tenches, sharks = (len(list((root / name).iterdir())) for name in (tench, shark))
        assert found["all/top1"] == pytest.approx(sharks / (sharks + tenches))
        assert sharks != tenches
        assert "the data's 2 classes are read as" in capsys.readouterr().out
    with pytest.raises(UserError, match="3 of the data's 3 classes are none of ImageNet's English names: blue"):
        evaluate(None, [*common, f"data.root={coloured}"])
    (root / "crane").mkdir()
    shutil.copy(next((root / "2").iterdir()), root / "crane")
    (root / "2").rename(root / "goldfish")
    (root / "0").rename(root / "tench")
    with pytest.raises(UserError, match="class crane: two classes of ImageNet have this name: call it n02012849 or"):
        evaluate(None, [*common, f"data.root={root}"])


def test_a_row_a_sample_says_what_the_model_predicts_of_it(run: Path, coloured: Path) -> None:
    evaluate(run, [], scores="all")
    rows = json.loads((_only(run) / "predictions.json").read_text())
    assert [row["file"] for row in rows] == sorted(map(str, (coloured / "test").rglob("*.png")))
    trained = {row["file"]: row for row in read_csv(run / "predictions" / "predictions.csv")}
    for row in rows:
        before = trained[row["file"]]
        assert (row["truth"], row["label"]) == (before["truth"], before["label"])
        assert row["score"] == pytest.approx(float(before["score"]), abs=2e-6)
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert max(row["probabilities"], key=row["probabilities"].get) == row["label"]
    with pytest.raises(UserError, match=r"--threshold 0\.5: it is for boxes and attributes"):
        evaluate(run, [], threshold=0.5)


def test_numbers_go_to_the_tracker_of_the_run(run: Path) -> None:
    before = (run / "steps.csv").read_text()
    found = evaluate(run, ["split=val"], track_as="night shots")
    added = (run / "steps.csv").read_text().removeprefix(before).splitlines()
    assert added == [f",night shots/{name},{value!r}" for name, value in found.items()]


@pytest.mark.parametrize(("name", "says"), [("a/b", "a name of letters"), ("", "a name of letters")])
def test_a_name_that_is_no_group_of_metrics_is_refused(run: Path, name: str, says: str) -> None:
    with pytest.raises(UserError, match=f"--track-as {name}: {says}"):
        evaluate(run, [], track_as=name)


def test_what_was_tracked_by_nothing_cannot_be_tracked(run: Path) -> None:
    with pytest.raises(UserError, match="--track-as x: only a run has a tracker"):
        evaluate(None, ["backbone.weights=timm"], track_as="x")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("loggers.csv_logger", "loggers.no_logger"))
    with pytest.raises(UserError, match="was trained with logger=none"):
        evaluate(run, [], track_as="x")
    assert not list(run.glob("evaluations/*"))


def test_nothing_to_evaluate_is_said(coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="name a run folder, or pretrained weights"):
        evaluate(None, ["data=folder", f"data.root={coloured}"])
