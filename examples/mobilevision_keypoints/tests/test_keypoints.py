"""The plugin as its author tests it: it conforms, reads what people have, and its numbers are the plain ones."""

# ruff: noqa: D103 - the names of the tests say it
from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobilevision_keypoints.answer import PointAnswer
from mobilevision_keypoints.coco import CocoKeypoints
from mobilevision_keypoints.figures import NAMES, SKELETON, DrawnFigures
from mobilevision_keypoints.heads import Bins, Maps, from_bins, from_maps
from mobilevision_keypoints.loss import PointLoss
from mobilevision_keypoints.metric import COCO, PointMetrics
from mobilevision_keypoints.points import PointTargets, mirrored
from mobilevision_keypoints.table import KeypointsCsv
from PIL import Image

from mobilevision.api import Affine, DataSpec, Frame, Placement, UserError
from mobilevision.testing import check

SMALL = ["task=keypoints", "backbone.width=0.25", "data.resolution=64", "data.format.train=16"]
POINTS = ["nose", "left_eye", "right_eye"]
WHOLE = Placement(Frame((0.0, 0.0, 40.0, 30.0), (30, 40)), False, (30, 40), (30, 40), False)


@pytest.mark.parametrize("head", ["head=heatmaps", "head.read=argmax", "head=simcc"])
def test_conforms(head: str) -> None:
    check([*SMALL, head])


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (POINTS, [0, 2, 1]),
        (["eyeLeft", "eyeRight"], [1, 0]),
        (["L_hip", "r_hip", "tail"], [1, 0, 2]),
        (["wing.l", "wing.r"], [1, 0]),
        (["bright", "bleft", "last", "rast"], [1, 0, 2, 3]),
        (["left_eye", "nose"], [0, 1]),
    ],
)
def test_names_say_what_a_mirror_swaps(names: list[str], wanted: list[int]) -> None:
    assert mirrored(names, None) == wanted


def test_pairs_are_names() -> None:
    assert mirrored(POINTS, [["nose", "left_eye"]]) == [1, 0, 2]
    with pytest.raises(
        UserError, match=r"data\.format\.flip_pairs: there is no point 'left_ey'; did you mean left_eye"
    ):
        mirrored(POINTS, [["left_ey", "right_eye"]])
    with pytest.raises(UserError, match="is no pair"):
        mirrored(POINTS, ["left_eye"])
    with pytest.raises(UserError, match="stands in two pairs"):
        mirrored(POINTS, [["nose", "left_eye"], ["nose", "right_eye"]])


def test_points_move_with_their_image() -> None:
    points = np.array([[[10.0, 6.0], [20.0, 8.0], [12.0, 9.0]]])
    targets = PointTargets(points, np.array([[2, 1, 0]]), mirrored(POINTS, None), corners=np.array([[100.0, 50.0]]))
    placement = Placement(Frame((8.0, 4.0, 16.0, 12.0), (24, 32), (4, 0)), True, (30, 40), (32, 32), True)
    placed = targets[np.array([0])].placed(0, placement)
    assert placed["points"].tolist() == [[32 - 4, 8], [32 - 8, 14], [32 - 24, 12]]  # the eyes changed places
    assert placed["visible"].tolist() == [2, 0, 1]
    back = Affine(*placed["to_image"]).points(placed["points"].astype(float))
    assert back.tolist() == [[110, 56], [112, 59], [120, 58]]
    assert (placed["side"], placed["area"]) == (10, 20)


def coco(folder: Path, annotations: list[dict[str, Any]], file: str = "train/_annotations.coco.json") -> Path:
    """A set of an image of 40 x 30 pixels, whose category has three points."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / "train").mkdir(exist_ok=True)
    Image.new("RGB", (40, 30)).save(folder / "train" / "a.jpg")
    shared = {"image_id": 7, "category_id": 3, "iscrowd": 0, "bbox": [10, 5, 10, 10], "area": 80}
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "top"}, {"id": 3, "name": "bird", "keypoints": POINTS, "skeleton": [[1, 2]]}],
        "annotations": [{"id": number, **shared, **row} for number, row in enumerate(annotations)],
    }
    (folder / file).write_text(json.dumps(document), encoding="utf-8")
    return folder


def read(format: Any, root: Path) -> Any:
    return format.read(root=root, kind="keypoints", channels=3, seed=0)


GOOD = {"keypoints": [12, 8, 2, 14, 9, 1, 0, 0, 0]}


@pytest.mark.parametrize("file", ["train/_annotations.coco.json", "annotations/person_keypoints_train2017.json"])
def test_objects_of_coco_are_cut_out(tmp_path: Path, file: str) -> None:
    rows = [GOOD, {"keypoints": [0] * 9, "num_keypoints": 0}, {"keypoints": [38, 3, 2] * 3, "bbox": [30, 0, 10, 6]}]
    coco(tmp_path, rows, file)
    (tmp_path / "train" / "instances_train.json").write_text("{}", encoding="utf-8")
    splits = read(CocoKeypoints(margin=0.1), tmp_path)
    assert (splits.classes, splits.facts, len(splits.train)) == (tuple(POINTS), {"skeleton": [[0, 1]]}, 2)
    assert splits.train.shape(0) == (12, 12)  # a square of ten pixels and one on every side
    first = splits.train.targets[0]
    assert first["points"].tolist() == [[3, 4], [5, 5], [-9, -4]]
    assert (first["side"], first["area"], first["corner"].tolist()) == (10, 80, [9, 4])
    assert splits.train.groups.tolist() == [0, 0]
    assert splits.train.pixels(0).shape == (12, 12, 3)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"keypoints": [1, 2, 2]}, r"annotation 1: 3 numbers, and the 3 named points take 9"),
        ({"keypoints": [1, 2, 2, 4]}, r"annotation 1: keypoints: 4 values"),
        ({"keypoints": [50, 2, 2] * 3}, r"annotation 1: nose \(50, 2\) lies outside the image of 40 x 30 pixels"),
        ({**GOOD, "image_id": 9}, r"annotation 1: no image has the id 9"),
        (GOOD, r"annotation 1: a second object in a\.jpg .*data\.format\.margin"),
    ],
)
def test_objects_that_cannot_be_used_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    (problem,) = read(CocoKeypoints(margin=None), coco(tmp_path, [GOOD, row])).problems
    assert str(problem).startswith("train/_annotations.coco.json: ")
    assert re.search(said, str(problem)), problem


def test_json_without_keypoints_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"_annotations\.coco\.json: no annotation has keypoints .*data=coco_json"):
        read(CocoKeypoints(), coco(tmp_path, [{}]))
    with pytest.raises(UserError, match=r"categories bird, top: name one of them with data\.format\.category=NAME"):
        read(CocoKeypoints(), coco(tmp_path, [GOOD, {**GOOD, "category_id": 1}]))
    splits = read(CocoKeypoints(category="top"), coco(tmp_path, [GOOD, {**GOOD, "category_id": 1}]))
    assert splits.classes == ("point_1", "point_2", "point_3")


def table(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    (folder / "points.csv").write_text(text, encoding="utf-8")
    return folder


def test_tables_are_read(tmp_path: Path) -> None:
    text = "file,split,nose_x,nose_y,tail_x,tail_y,tail_v\na.png,train,1.5,2,,,\nb.png,val,3,4,5,6,1\n"
    splits = read(KeypointsCsv(skeleton=[["nose", "tail"]]), table(tmp_path, text))
    assert (splits.classes, splits.facts) == (("nose", "tail"), {"skeleton": [[0, 1]]})
    assert splits.train.targets[0]["visible"].tolist() == [2, 0]
    assert splits.val.targets.placed(0, WHOLE)["points"].tolist() == [[3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,x\na.png,1\n", r"points\.csv: no columns NAME_x and NAME_y; it has file, x"),
        ("file,nose_x\na.png,1\n", r"points\.csv: the point nose has no column nose_y"),
        ("file,nose_x,nose_y\na.png,1,here\n", r"points\.csv:2: nose_y: 'here' is no number"),
        ("file,nose_x,nose_y\na.png,1,\n", r"points\.csv:2: nose_x \.\.\.: a point with x and no y"),
        ("file,nose_x,nose_y\nc.png,1,2\n", r"points\.csv:2: no file c\.png"),
        ("file,nose_x,nose_y\na.png,1,70\n", r"points\.csv:2: nose \(1, 70\) lies outside the image of 40 x 30"),
    ],
)
def test_tables_that_cannot_be_read_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(KeypointsCsv(), table(tmp_path, text))


def test_a_mirrored_figure_has_the_same_skeleton() -> None:
    splits = DrawnFigures(train=2, val=1, test=1, side=32).read(root=None, kind="keypoints", channels=3, seed=0)
    points = splits.train.targets[0]["points"]
    assert ((points > 0) & (points < 32)).all()
    flip = mirrored(NAMES, None)
    assert {frozenset((flip[one], flip[other])) for one, other in SKELETON} == set(map(frozenset, SKELETON))


@pytest.mark.parametrize("form", ["maps", "bins"])
def test_a_head_that_is_right_has_no_loss_and_is_read_so(form: str) -> None:
    """Gaussians themselves as outputs; a point without a label may lie anywhere."""
    points = torch.tensor([[[21.0, 10.0], [40.3, 33.1], [7.0, 50.0]]])
    batch = {"target": {"points": points, "visible": torch.tensor([[2, 1, 0]], dtype=torch.uint8)}}
    loss = PointLoss(data=DataSpec("keypoints", tuple(POINTS), 3, (64, 64)))
    cells = 16 if form == "maps" else 128
    sigma = 6.0 if form == "maps" else 3.0
    across, down = (loss.bump(points, axis, cells, sigma) for axis in (0, 1))
    if form == "maps":
        outputs: Any = Maps(down[..., :, None] * across[..., None, :])
        found = from_maps(outputs.maps, (64, 64))
    else:
        outputs = Bins((across + 1e-12).log(), (down + 1e-12).log())
        found = from_bins(outputs, (64, 64), integral=True)
        assert (from_bins(outputs, (64, 64), integral=False)["points"] - points).abs().max() <= 0.3
    assert (found["points"] - points).abs().max() <= (1.1 if form == "maps" else 0.1)
    assert (found["scores"] > 0.6).all()
    assert float(loss(outputs, batch)["points"]) == pytest.approx(0, abs=1e-4)
    worse = [each.clone().requires_grad_() for each in outputs]
    for each in worse:
        each.data += torch.rand_like(each)
    loss(type(outputs)(*worse), batch)["points"].backward()
    assert all((each.grad[0, 2] == 0).all() and (each.grad[0, 0] != 0).any() for each in worse)


def test_a_map_of_nothing_has_a_loss_of_one() -> None:
    points = torch.tensor([[[30.0, 30.0]]])
    loss = PointLoss(data=DataSpec("keypoints", ("nose",), 3, (64, 64)))
    batch = {"target": {"points": points, "visible": torch.ones(1, 1)}}
    assert float(loss(Maps(torch.zeros(1, 1, 16, 16)), batch)["points"]) == pytest.approx(1, abs=0.05)


def made_up(rng: np.random.Generator, n: int, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predictions and targets of objects, some images of which have several."""
    truth = rng.uniform(0, 60, (n, len(names), 2))
    target = {
        "points": truth.astype(np.float32),
        "visible": rng.integers(0, 3, (n, len(names))).astype(np.uint8),
        "to_image": np.tile([2.0, 1.5, 3.0, 4.0], (n, 1)),
        "side": rng.uniform(20, 90, n),
        "area": rng.uniform(400, 4000, n),
        "place": np.stack([rng.integers(0, n // 2, n), np.arange(n)], axis=1),
    }
    target["visible"][:, 0] = 2
    spread = rng.uniform(0, 8, (n, 1, 1))
    found = {"points": truth + rng.normal(0, 1, truth.shape) * spread, "scores": rng.uniform(0, 1, (n, len(names)))}
    tensors = [{name: torch.from_numpy(np.asarray(value)) for name, value in each.items()} for each in (found, target)]
    return tensors[0], tensors[1]


@pytest.mark.parametrize(("names", "sigma"), [(COCO, None), (POINTS, 0.08)])
def test_precision_is_pycocotools_whatever_the_batches(tmp_path: Path, names: list[str], sigma: float | None) -> None:
    from pycocotools import coco, cocoeval

    found, target = made_up(np.random.default_rng(1), 40, names)
    scale, shift = target["to_image"][0, :2], target["to_image"][0, 2:]
    truth, results = [], []
    for row in range(40):
        shared = {"image_id": int(target["place"][row, 0]), "category_id": 1}
        triples = torch.cat([target["points"][row] * scale + shift, target["visible"][row, :, None]], dim=1)
        own = {"id": row + 1, "area": float(target["area"][row]), "iscrowd": 0, "bbox": [0, 0, 9, 9]}
        own |= {"num_keypoints": int((target["visible"][row] > 0).sum()), "keypoints": triples.flatten().tolist()}
        truth.append({**shared, **own})
        guessed = torch.cat([found["points"][row] * scale + shift, torch.ones(len(names), 1)], dim=1)
        results.append({**shared, "keypoints": guessed.flatten().tolist(), "score": float(found["scores"][row].mean())})
    images = [{"id": number} for number in range(20)]
    document = {"images": images, "annotations": truth, "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "found.json").write_text(json.dumps(results), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = coco.COCO(str(tmp_path / "truth.json"))
        evaluation = cocoeval.COCOeval(theirs, theirs.loadRes(str(tmp_path / "found.json")), "keypoints")
        if sigma is not None:
            evaluation.params.kpt_oks_sigmas = np.full(len(names), sigma)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    one, two = (PointMetrics(names=tuple(names), sigma=sigma) for _ in range(2))
    one.update(found, target)
    for part in torch.arange(40).split(7)[::-1]:
        two.update(*({name: value[part] for name, value in each.items()} for each in (found, target)))
    mine = [float(one.compute()[name]) for name in ("oks_ap", "oks_ap50", "oks_ap75")]
    assert 0.05 < mine[0] < 0.95
    assert mine == pytest.approx(evaluation.stats[:3].tolist(), abs=1e-9)
    assert {k: float(v) for k, v in one.compute().items()} == pytest.approx(
        {k: float(v) for k, v in two.compute().items()}
    )


def test_pck_is_counted_by_hand() -> None:
    metric = PointMetrics(names=tuple(POINTS))
    target = {
        "points": torch.tensor([[[10.0, 10.0], [20.0, 10.0], [0.0, 0.0]]]),
        "visible": torch.tensor([[2, 1, 0]]),
        "to_image": torch.tensor([[2.0, 2.0, 0.0, 0.0]]),
        "side": torch.tensor([100.0]),
        "area": torch.tensor([5000.0]),
        "place": torch.tensor([[0, 0]]),
    }
    points = torch.tensor([[[12.0, 10.0], [20.0, 19.0], [50.0, 0.0]]])  # 4 and 18 pixels of the image away
    metric.update({"points": points, "scores": torch.ones(1, 3)}, target)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert (found["pck_05"], found["pck_10"], found["pck_20"]) == (0.5, 0.5, 1.0)
    assert found["error"] == pytest.approx(0.11)
    assert [row["labelled"] for row in metric.tables()["per_point"]] == [1, 1, 0]
    assert metric.tables()["per_point"][2]["pck_10"] is None


def test_rows_and_pictures_say_what_is_seen() -> None:
    answer = PointAnswer(classes=tuple(POINTS), decision={}, facts={"skeleton": [[0, 1], [0, 2]]})
    prediction = {"points": np.array([[4.0, 4.0], [30.0, 4.0], [9.0, 20.0]]), "scores": np.array([0.9, 0.8, 0.1])}
    row = answer.describe(answer.locate(prediction, Affine(2.0, 2.0, 0.0, 1.0)))
    assert row["found"] == "2 of 3 points, without right_eye"
    assert row["points"]["left_eye"] == [60.0, 9.0, 0.8]
    drawn = answer.draw(np.zeros((200, 200, 3), np.uint8), prediction, {**prediction, "visible": np.array([2, 0, 2])})
    assert drawn.width > 400
    near = {**prediction, "points": prediction["points"] + [[1.0, 0.0], [5.0, 0.0], [90.0, 0.0]]}
    assert answer.agree(prediction, near) == (2, 3)


def test_answers_need_no_torch() -> None:
    code = "import sys, mobilevision_keypoints; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
