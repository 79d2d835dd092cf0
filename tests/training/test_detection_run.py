"""A detection run from the first command to predictions: files, images, thresholds, evaluation, resume."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mobilevision
from mobilevision.config.compose import compose
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.prediction.predict import predict
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import train

QUICK = ["task=detection", "backbone.width=0.25", "data.resolution=64", "data.batch_size=8", "data.workers=0"]
QUICK += ["data.format.train=48", "data.format.val=12", "data.format.test=10", "trainer=cpu", "optimizer.lr=0.002"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run on scenes that came to its end."""
    folder = tmp_path_factory.mktemp("detection") / "run"
    train(compose([*QUICK, "trainer.max_epochs=2", "logger=csv", "callbacks.pictures.count=4", f"run_dir={folder}"]))
    return folder


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """An image that is wider than high."""
    file = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 150, 3), dtype=np.uint8)).save(file)
    return file


def test_the_run_folder_holds_numbers_charts_and_images(found: Path) -> None:
    metrics = json.loads((found / "metrics.json").read_text())
    assert list(metrics)[:3] == ["test/loss", "test/map_50", "test/map"]
    assert all(0 <= value <= 1 for name, value in metrics.items() if name != "test/loss")
    assert {path.stem for path in (found / "figures").iterdir()} == {"errors", "pr_curves"}
    tables = json.loads((found / "tables.json").read_text())
    assert [row["class"] for row in tables["per_class"]] == list(load_run(found).task.data_spec.classes)
    with (found / "predictions" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert len([row for row in rows if row["picture"]]) == 4
    assert "data:image/png" in (found / "report.html").read_text()


def test_the_thresholds_that_val_chose_come_back_with_the_weights(found: Path) -> None:
    task = load_run(found).task
    assert len(task.decision["thresholds"]) == len(task.data_spec.classes)
    kept = torch.load(found / "checkpoints" / "best.ckpt", weights_only=True)["mobilevision"]["decision"]
    assert task.decision == kept


def test_the_same_numbers_come_out_again(found: Path) -> None:
    measured, kept = evaluate(found), json.loads((found / "metrics.json").read_text())
    assert measured == pytest.approx(kept, abs=1e-6)


def test_an_evaluation_tells_all_boxes_in_pixels_of_each_image(found: Path, tmp_path: Path) -> None:
    Image.effect_mandelbrot((150, 60), (-3, -2.5, 2, 2.5), 100).convert("RGB").save(tmp_path / "a.png")
    (tmp_path / "test.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.png,disk,5,5,40,40\n")
    run = Path(shutil.copytree(found, tmp_path / "run"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"(score_threshold:) [\d.]+", r"\1 0.0", config))
    evaluate(run, ["data=boxes_csv", f"data.root={tmp_path}"], scores="all", threshold=0.02)
    [row] = json.loads((max((run / "evaluations").iterdir()) / "predictions.json").read_text())
    [same] = predict(run, [tmp_path / "a.png"], out=tmp_path / "out", scores="all", threshold=0.02)
    assert row["truth"] == "1 disk"
    assert [(each["label"], each["box"]) for each in row["all_detections"]] == [
        (each["label"], pytest.approx(each["box"], abs=0.06)) for each in same["all_detections"]
    ]
    assert row["all_detections"]
    assert len(row["detections"]) == sum(each["score"] >= 0.02 for each in row["all_detections"])


def test_boxes_are_told_in_pixels_of_the_image(found: Path, wide: Path) -> None:
    model = mobilevision.load(found, device="cpu")
    model.task.decision, model.task.head.score_threshold = {"thresholds": [0.0] * len(model.classes)}, 0.0
    prepared = model.prepare(wide)
    [inside] = model.raw([prepared.pixels])
    row = model.predict(wide)
    assert prepared.pixels.shape == (3, 64, 64)
    assert row["detections"], "with thresholds of 0 something is found"
    for detection, box in zip(row["detections"], inside["boxes"].tolist(), strict=False):
        expected = [box[0] * 150 / 64, box[1] * 60 / 64, box[2] * 150 / 64, box[3] * 60 / 64]
        assert detection["box"] == pytest.approx(expected, abs=0.06)
    scores = [detection["score"] for detection in row["detections"]]
    assert scores == sorted(scores, reverse=True)


def test_predict_draws_and_lists(found: Path, wide: Path, tmp_path: Path) -> None:
    [row] = predict(found, [wide], out=tmp_path / "out")
    assert set(row) == {"file", "found", "detections", "picture"}
    with Image.open(tmp_path / "out" / row["picture"]) as image:
        assert image.width > image.height


def test_another_side_rebuilds_what_depends_on_it(found: Path) -> None:
    measured = evaluate(found, ["data.resolution=48"])
    assert 0 <= measured["test/map"] <= 1
    assert float(load_run(found, resolution=(48, 48)).task.head.anchors.max()) < 64
    with pytest.raises(UserError, match=r"data.resolution=\[96, 96\]: .* has layers for 64x64 only"):
        evaluate(found, ["data.resolution=96"])


def test_data_of_other_classes_is_refused_and_known_ones_are_matched_by_name(found: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), "grey").save(tmp_path / "a.png")
    table = tmp_path / "test.csv"
    head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    table.write_text(f"{head}a.png,80,60,ring,5,5,40,40\na.png,80,60,disk,20,20,70,50\n")
    other = ["data=boxes_csv", f"data.root={tmp_path}"]
    assert "test/map" in evaluate(found, other)
    table.write_text(f"{head}a.png,80,60,unicorn,5,5,40,40\n")
    with pytest.raises(UserError, match=r"does not know: unicorn; the model knows: disk, .*ring"):
        evaluate(found, other)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """The second stage's sample is drawn at random: it too is the same."""
    common = [*QUICK, "head=faster_rcnn", "head.regions=16", "data.format.train=24", "logger=none"]
    common += ["callbacks.pictures.enabled=false"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(compose([*common, "scheduler=constant", "trainer.max_epochs=2", f"run_dir={whole}"]))
    train(compose([*common, "scheduler=constant", "trainer.max_epochs=1", f"run_dir={parts}"]))
    train(compose_resume(parts, ["trainer.max_epochs=2"]))
    first, second = (load_run(folder, which="last").task.state_dict() for folder in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
