"""Tiles: every pixel is looked at, what several tiles see is found once, and evaluate sees what predict does."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.deploy.answers import Boxes
from mobilevision.deploy.predictor import Predictor
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.prediction.tiling import TiledPredictor, Tiling, cut_off, merged


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("text", ["1x1", "2x2", "3x1", "1X4", "64", "97", "5000"])
@pytest.mark.parametrize("shape", [(100, 300), (97, 64), (1, 1), (2, 900)])
def test_tiles_cover_every_pixel(text: str, overlap: float, shape: tuple[int, int]) -> None:
    tiling = Tiling.of(text, overlap=overlap)
    assert tiling is not None
    parts, seen = tiling.parts(shape), np.zeros(shape, dtype=int)
    for left, top, right, bottom in parts:
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]
        seen[top:bottom, left:right] += 1
    assert seen.all() or not parts
    assert len(parts) == len(set(parts))
    assert (0, 0, shape[1], shape[0]) not in parts, "the whole is looked at anyway"


def test_neighbours_share_what_was_asked_for() -> None:
    by_side = Tiling.of("100", overlap=0.25)
    by_number = Tiling.of("4x1", overlap=0.25)
    assert by_side is not None
    assert by_number is not None
    for tiling in (by_side, by_number):
        parts = sorted({(left, right) for left, _, right, _ in tiling.parts((100, 1000))})
        for (_, end), (start, far) in pairwise(parts):
            assert end - start >= 0.25 * (far - start) - 1


@pytest.mark.parametrize("text", ["", "2x", "x2", "0", "-3", "2x2x2", "0x3", "1e3", "33x33", "2.5x2", "ninety"])
def test_no_tiling_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=rf"--tiles {text}: COLUMNSxROWS of at most 1,024 tiles"):
        Tiling.of(text)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_no_overlap_is_one_line(overlap: float) -> None:
    with pytest.raises(UserError, match=r"--overlap .*at least 0 and below 1"):
        Tiling.of("2x2", overlap=overlap)


def test_what_says_nothing_is_refused() -> None:
    assert Tiling.of(None) is None
    with pytest.raises(UserError, match=r"--overlap 0\.3: it says how --tiles go together, and there are none"):
        Tiling.of(None, overlap=0.3)
    with pytest.raises(UserError, match="--merge best: "):
        Tiling.of(None, merge="best")
    small = Tiling.of("8")
    assert small is not None
    with pytest.raises(UserError, match=r"--tiles 8: [0-9,]+ tiles of an image of 4000 x 3000 pixels, more than 1,024"):
        small.parts((3000, 4000))


def found(*rows: tuple[list[float], float, int, bool]) -> dict[str, Any]:
    boxes, scores, labels, cut = zip(*rows, strict=True)
    return {
        "boxes": np.array(boxes, dtype=np.float64).reshape(-1, 4),
        "scores": np.array(scores, dtype=np.float32),
        "labels": np.array(labels, dtype=np.int64),
        "cut": np.array(cut, dtype=bool),
    }


def test_the_best_of_several_stays_and_others_of_its_class_go() -> None:
    seen = found(
        ([0, 0, 10, 10], 0.6, 0, False),
        ([1, 0, 11, 10], 0.9, 0, False),
        ([0, 0, 10, 10], 0.5, 1, False),
        ([30, 0, 40, 10], 0.7, 0, False),
    )
    kept = merged(seen, "best")
    assert kept["scores"].tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert kept["labels"].tolist() == [0, 0, 1]
    assert kept["boxes"][0].tolist() == [1, 0, 11, 10]
    mean = merged(seen, "weighted")["boxes"][0]
    assert mean.tolist() == pytest.approx([0.9 / 1.5, 0, (0.6 * 10 + 0.9 * 11) / 1.5, 10])


def test_what_a_tile_cuts_off_gives_way_to_the_whole_object_whatever_its_score() -> None:
    seen = found(([0, 0, 40, 10], 0.6, 0, False), ([0, 0, 12, 10], 0.95, 0, True), ([100, 0, 112, 10], 0.4, 0, True))
    kept = merged(seen, "weighted")
    assert kept["boxes"].tolist() == [[0, 0, 40, 10], [100, 0, 112, 10]], "and stays where nobody saw more of it"


def test_a_small_object_before_a_large_one_stays() -> None:
    seen = found(([0, 0, 40, 40], 0.6, 0, False), ([10, 10, 20, 20], 0.9, 0, False))
    assert len(merged(seen, "best")["boxes"]) == 2


def test_edges_of_the_image_cut_nothing() -> None:
    boxes = np.array([[0, 0, 20, 20], [0, 80, 20, 100], [90, 40, 100, 50], [40, 40, 60, 60]], dtype=np.float64)
    assert cut_off(boxes, (0, 0, 100, 100), (100, 200)).tolist() == [False, False, True, False]
    assert not cut_off(boxes, (0, 0, 100, 100), (100, 100)).any()


class SquareFinder(Predictor):
    """Finds squares of its input by their brightness, but none below 8 pixels, as a model of strides does."""

    def __init__(self, side: int, fit: str) -> None:
        answer = Boxes(classes=("square",), decision={"thresholds": [0.3]}, facts={})
        look = Preprocessing(fit, 1.0, 1, side, side)
        super().__init__(answer, answer=answer, classes=("square",), preprocessing=look)
        self.calls: list[int] = []

    def raw(self, tensors: Any) -> list[dict[str, Any]]:
        self.calls.append(len(tensors))
        return [self._found(np.asarray(pixels)[0]) for pixels in tensors]

    def _found(self, pixels: Any) -> dict[str, Any]:
        rows = []
        for value in range(150, 251, 10):
            ys, xs = np.nonzero(np.abs(pixels.astype(int) - value) < 2)
            if not len(xs):
                continue
            if len(xs) < 0.6 * (np.ptp(xs) + 1) * (np.ptp(ys) + 1):
                continue  # blurred edges of brighter ones
            if min(np.ptp(xs), np.ptp(ys)) >= 7:
                rows.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        boxes = np.array([*rows, [0, 0, 0, 0]], dtype=np.float32)  # filled up, as detectors do
        scores = np.array([0.8] * len(rows) + [0.0], dtype=np.float32)
        return {"boxes": boxes, "scores": scores, "labels": np.array([0] * len(rows) + [-1])}


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_small_squares_are_found_once_wherever_they_lie(fit: str) -> None:
    pixels = np.zeros((400, 600), dtype=np.uint8)
    squares = {150: (20, 30, 18), 170: (410, 90, 20), 190: (560, 370, 20), 210: (100, 180, 200)}
    for value, (x, y, side) in squares.items():
        pixels[y : y + side, x : x + side] = value
    model = SquareFinder(200, fit)
    seen = 2 if fit == "crop" else 1  # a crop is sharper, but does not see all
    assert len(model.predict(pixels)["detections"]) == seen, "of the whole image the large one is seen, no small ones"
    tiled = TiledPredictor(model, Tiling(3, 2, 0, 0.25), batch_size=4)
    model.calls.clear()
    rows = tiled.predict(pixels)["detections"]
    assert model.calls == [4, 3]
    got = sorted([round(value) for value in row["box"]] for row in rows)
    expected = sorted([x, y, x + side, y + side] for x, y, side in squares.values())
    assert np.abs(np.array(got) - expected).max() <= 4  # the whole image has 3 of its pixels in one of the input
    again = tiled.predict([pixels, pixels])
    assert [len(row["detections"]) for row in again] == [4, 4]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of odd sides with a box each, as COCO json: three to learn from, a val and a test."""
    root, rng = tmp_path_factory.mktemp("boxes"), np.random.default_rng(0)
    for split, count in (("train", 3), ("valid", 1), ("test", 2)):
        images, notes = [], []
        for number in range(count):
            height, width = (61 + 30 * number, 143)
            pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
            (root / split).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
            notes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [20, 10, 40, 30], "iscrowd": 0})
        document = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "thing"}]}
        (root / split / "_annotations.coco.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def detector(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mobilevision.config.compose import compose
    from mobilevision.training.train import train

    run = tmp_path_factory.mktemp("detector") / "run"
    few = ["data.resolution=64", "data.workers=0", "backbone.width=0.25", "trainer.max_epochs=1", "trainer=cpu"]
    few += ["logger=none", "callbacks.pictures.enabled=false", "data.batch_size=3", "head.score_threshold=0.0001"]
    train(compose(["task=detection", "data=auto", f"data.root={boxes}", *few, f"run_dir={run}"]))
    return run


def test_evaluate_sees_what_predict_does(detector: Path, boxes: Path, tmp_path: Path) -> None:
    from mobilevision.evaluation.evaluate import evaluate
    from mobilevision.prediction.predict import predict

    more: dict[str, Any] = {"tiles": "2x2", "overlap": 0.3, "merge": "weighted", "scores": "all"}
    rows = predict(detector, [boxes / "test"], out=tmp_path / "out", **more)
    plain = predict(detector, [boxes / "test"], out=tmp_path / "plain", scores="all")
    assert [len(row["all_detections"]) for row in rows] != [len(row["all_detections"]) for row in plain]
    figures = evaluate(detector, **more)
    assert "test/map" in figures
    assert "test/loss" not in figures
    (folder,) = (detector / "evaluations").iterdir()
    seen = json.loads((folder / "predictions.json").read_text())
    assert len(seen) == len(rows) == 2
    for one, other in zip(seen, rows, strict=True):
        assert one["all_detections"] == other["all_detections"]
        assert one["all_detections"]
    assert "tiles" in json.loads((folder / "info.json").read_text())


def test_other_models_have_no_tiles(finished_run: Path, coloured: Path, tmp_path: Path) -> None:
    from mobilevision.evaluation.evaluate import evaluate
    from mobilevision.prediction.predict import predict

    with pytest.raises(UserError, match="--tiles: it is for detectors; task=classification finds no boxes"):
        predict(finished_run, [coloured / "test"], out=tmp_path / "out", tiles="2x2")
    with pytest.raises(UserError, match="--tiles: it is for detectors; task=classification finds no boxes"):
        evaluate(finished_run, tiles="2x2")
    assert not (tmp_path / "out").exists()
