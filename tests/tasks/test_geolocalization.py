"""The task of places: what it answers, what it says and draws, and a run from data to predictions elsewhere."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilevision.config.compose import compose
from mobilevision.engine.build import Built, build
from mobilevision.geo.distance import haversine
from mobilevision.ops.rows import take

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["data.format.train=400", "data.format.val=40", "data.format.test=60", "data.workers=0", "backbone.width=0.25"]


@pytest.fixture(scope="module")
def built() -> Built:
    return build(compose(["task=geolocalization", *SMALL]))


def logits(built: Built, *cells: int) -> torch.Tensor:
    """Of one image: the first cell a little more probable than the second, and so on; all others hardly at all."""
    values = torch.full((1, len(built.task.cells)), -20.0)
    for place, cell in enumerate(cells):
        values[0, cell] = -0.5 * place
    return values


def test_the_answer_is_the_best_cells_photo_centre(built: Built) -> None:
    task = built.task
    found = task.decode(logits(built, 5, 9))
    assert found["coordinate"].dtype == torch.float64
    cells = task.cells
    np.testing.assert_allclose(found["coordinate"][0].numpy(), [cells.latitude[5], cells.longitude[5]], atol=1e-9)
    assert found["cells"][0, :2].tolist() == [5, 9]
    assert found["probabilities"].sum() == pytest.approx(1)


def test_the_mean_lies_between_on_the_sphere(built: Built) -> None:
    task = built.task
    east = task.cells.longitude
    pair = int(np.argmin(east)), int(np.argmax(east))  # at both sides of the antimeridian
    task.answer = "mean"
    try:
        latitude, longitude = task.decode(logits(built, *pair))["coordinate"][0].tolist()
    finally:
        task.answer = "cell"
    ends = [(task.cells.latitude[cell], task.cells.longitude[cell]) for cell in pair]
    between = [float(haversine(latitude, longitude, *end)) for end in ends]
    assert sum(between) == pytest.approx(float(haversine(*ends[0], *ends[1])), rel=1e-3)
    assert between[0] < between[1]
    assert abs(longitude) > 90


def test_what_it_says(built: Built) -> None:
    task = built.task
    row = task.describe(take(task.decode(logits(built, 5, 9)), 0))
    assert json.dumps(row)
    assert len(row["places"]) == 5
    assert row["places"][0]["probability"] == pytest.approx(0.6225, abs=1e-3)
    assert row["found"].endswith("(0.62)")
    assert abs(row["latitude"] - task.cells.latitude[5]) < 1e-4
    target = {"coordinate": torch.tensor([48.5, -2.25], dtype=torch.float64), "cell": torch.tensor(-1)}
    assert task.truth(target) == "48.50000 -2.25000"


def test_what_it_draws(built: Built) -> None:
    task = built.task
    prediction = take(task.decode(logits(built, 5, 9)), 0)
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    plain = task.draw(pixels, prediction)
    near = {"coordinate": prediction["coordinate"] + 0.5, "cell": torch.tensor(5)}
    far = {"coordinate": -prediction["coordinate"], "cell": torch.tensor(-1)}
    images = [np.asarray(task.draw(pixels, prediction, target)) for target in (near, far)]
    assert plain.size[0] > 64
    assert not np.array_equal(*images)


def test_coordinates_stay_float64_on_the_cpu(built: Built) -> None:
    batch = next(iter(built.data.eval_dataloader("test")))
    moved = built.task.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["image"].device.type == moved["target"]["cell"].device.type == "meta"
    assert moved["target"]["coordinate"] is batch["target"]["coordinate"]


def test_half_precision_does_not_reach_coordinates(built: Built) -> None:
    task = built.task
    expected = task.decode(logits(built, 5))["coordinate"]
    found = task.decode(logits(built, 5).bfloat16())["coordinate"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("geolocalization") / "run"
    words = ["task=geolocalization", *SMALL, "trainer.max_epochs=1", "logger=none", f"run_dir={folder}"]
    done = subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def photos(folder: Path) -> Path:
    """A list as Im2GPS's, with photos at places that the run may know or not."""
    rng = np.random.default_rng(0)
    rows = ["IMG_ID,LAT,LON"]
    for number, (north, east) in enumerate([(48.8, 2.3), (40.7, -74.0), (-77.8, 166.7), (35.7, 139.7)]):
        name = f"{number}.jpg"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(folder / "images" / name)
        rows.append(f"{name},{north},{east}")
    (folder / "im2gps_list.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.slow
def test_a_run_shows_its_places(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"test/within_1km", "test/within_2500km", "test/median_km", "test/prior_within_750km"} <= set(metrics)
    tables = json.loads((run / "tables.json").read_text())
    assert [row["radius_km"] for row in tables["radii"]] == [1, 25, 200, 750, 2500]
    assert {path.stem for path in (run / "figures").iterdir()} >= {"answers", "shares"}
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["mobilevision"]["data"]["cells"]["format"] == "mobilevision.cells"


def test_a_run_is_judged_by_other_photos_without_its_training_data(run: Path, tmp_path: Path) -> None:
    from mobilevision.evaluation.evaluate import evaluate

    found = evaluate(run, ["data=im2gps", f"data.root={photos(tmp_path / 'set')}", "data.workers=0"])
    assert {"test/within_750km", "test/median_km"} <= set(found)
    tables = json.loads(next((run / "evaluations").glob("*/tables.json")).read_text())
    assert sum(row["pictures"] for row in tables["per_cell"]) == 4
    again = evaluate(run, ["data.batch_size=7", "data.workers=0"])
    own = json.loads((run / "metrics.json").read_text())
    assert again["test/within_2500km"] == pytest.approx(own["test/within_2500km"], abs=1e-9)


def test_predictions_of_photos_nobody_knows_the_place_of(run: Path, tmp_path: Path) -> None:
    from mobilevision.prediction.predict import predict

    rows = predict(run, [photos(tmp_path / "set") / "images"], out=tmp_path / "out")
    assert len(rows) == 4
    assert all(len(row["places"]) == 5 and -90 <= row["latitude"] <= 90 for row in rows)
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert {"found", "latitude", "longitude", "places"} <= set(next(csv.DictReader(file)))
    assert Image.open(tmp_path / "out" / "pictures" / "0.png").width > 300


def test_a_teacher_of_places(run: Path, tmp_path: Path) -> None:
    from mobilevision.training.train import train

    words = [*SMALL, "trainer.max_epochs=1", "logger=none", "distill=outputs", f"distill.teacher={run}"]
    cfg = compose(["task=geolocalization", *words, "trainer.limit_train_batches=2", f"run_dir={tmp_path / 'student'}"])
    train(cfg)
    rows = (tmp_path / "student" / "metrics.csv").read_text()
    assert "within_750km" in rows


def test_the_first_stage_of_two_learns_places_too(tmp_path: Path) -> None:
    from mobilevision.errors import UserError
    from mobilevision.training.prerequisite_runs import first_stage, pretrain
    from mobilevision.training.train import train

    words = ["experiment=paper_planet", f"pretrain.root={tmp_path}", "data.root=x", "data.cells.most=70"]
    first = first_stage(compose([*words, "loss.smoothing_km=75"]))
    assert (first.data.kind, first.data.root, first.data.cells.most) == ("coordinate", str(tmp_path), 70)
    assert (first.loss.smoothing_km, first.trainer.max_epochs) == (75, 10)
    with pytest.raises(UserError, match=r"pretrain\.loss=bootstrap is for classes"):
        pretrain(compose([*words, "pretrain.loss=bootstrap"]), train)
