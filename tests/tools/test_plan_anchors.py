"""plan-anchors: the reach that it states is that of the head's own boxes, and what it prints can be trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from mobilevision.config.compose import compose
from mobilevision.engine.build import Built, build
from mobilevision.errors import UserError
from mobilevision.ops.anchor_planning import Places, cluster, coverage, plan
from mobilevision.tools.plan_anchors import plan_anchors, training_boxes

SMALL = [
    "data=scenes",
    "data.format.train=60",
    "data.format.val=4",
    "data.format.test=4",
    "data.workers=0",
    "backbone.width=0.25",
]


def built(*more: str) -> Built:
    return build(compose(["task=detection", *SMALL, *more]))


def anchors_of(task: Any) -> torch.Tensor:
    """The boxes that a head really starts from, [A, 4] in pixels."""
    height, width = task.data_spec.resolution
    with torch.no_grad():
        outputs = task.eval().outputs({"image": torch.zeros(1, 3, height, width, dtype=torch.uint8)})
    return (outputs.proposals or outputs.final).anchors[0]


@pytest.mark.parametrize("head", ["ssd", "faster_rcnn", "faster_rcnn_fpn"])
def test_the_reach_is_that_of_the_heads_own_boxes(head: str) -> None:
    run = built(f"head={head}", "data.resolution=[96,128]")
    boxes, labels = training_boxes(run.data)
    pixels = torch.from_numpy(boxes * (128, 96, 128, 96)).float()
    best = box_iou(pixels, anchors_of(run.task)).amax(dim=1)
    found = coverage(boxes, labels, run.task.head.places, run.task.head.anchor_shapes)
    assert found.mean == pytest.approx(best.mean().item(), abs=2e-3)  # torchvision's anchors are whole pixels
    assert found.recall == pytest.approx((best >= 0.5).float().mean().item(), abs=0.02)


@pytest.mark.parametrize("head", ["ssdlite", "faster_rcnn"])
def test_more_is_reached_and_the_override_can_be_pasted(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan_anchors([*SMALL, f"head={head}"], out=tmp_path)
    assert found.reachable.recall > found.reached.recall
    assert found.reachable.mean > found.reached.mean
    assert [len(each) for each in found.after] == [len(each) for each in found.before]
    assert not (found.reachable.by_class < found.reached.by_class).any()
    said = capsys.readouterr().out
    override = next(line for line in said.splitlines() if line.startswith("'head.anchors=")).strip("'")
    task = built(f"head={head}", override).task
    assert np.allclose(np.concatenate(task.head.anchor_shapes), np.concatenate(found.after))
    with Image.open(tmp_path / "anchors.png") as chart:
        assert chart.width > 600


def test_a_proposal_that_would_cost_a_class_is_not_made() -> None:
    """Many large boxes of one class, few small ones of another which the default boxes reach as they are."""
    rng = np.random.default_rng(0)
    large = np.column_stack([rng.uniform(0.3, 0.6, 300), rng.uniform(0.3, 0.9, 300)])
    sides = np.concatenate([large, np.full((8, 2), 0.1)])
    middles = np.concatenate([rng.uniform(0.3, 0.7, (300, 2)), np.full((8, 2), 0.45)])
    boxes = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)
    labels = np.repeat([0, 1], [300, 8])
    grid = (np.arange(10) + 0.5) / 10
    places, sizes = [Places(grid, grid)], [[(0.1, 0.1), (0.5, 0.5)]]
    before = coverage(boxes, labels, places, sizes)
    assert before.by_class[1] == 1
    clusters = cluster(sides, 2, np.random.default_rng(0))
    assert coverage(boxes, labels, places, [[(w, h) for w, h in clusters]]).by_class[1] == 0, "as plain clusters do"
    found = coverage(boxes, labels, places, plan(boxes, labels, places, sizes, rng))
    assert not (found.by_class < before.by_class).any()
    assert found.mean >= before.mean


def test_a_head_without_default_boxes_says_which_boxes_it_can_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SMALL, "head=picodet", "data.resolution=96", "head.strides=[16,32]", "head.bins=4"]
    assert plan_anchors(command, out=tmp_path / "none") is None
    said = capsys.readouterr().out
    sides = training_boxes(built(*command[6:]).data)[0].reshape(-1, 2, 2) * 96
    sides = sides[:, 1] - sides[:, 0]
    for stride in (16, 32):
        share = ((sides >= stride) & (sides <= 6 * stride)).all(axis=1).mean()
        assert f"{stride} to {6 * stride}" in said
        assert f"{share:.1%}" in said
    assert "head.strides=[8, 16, 32]" in said
    assert not (tmp_path / "none").exists()
    with pytest.raises(UserError, match="--boxes: PicoDetHead has no default boxes"):
        plan_anchors(command, boxes=3, out=tmp_path)


def test_the_recipe_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan_anchors(["task=detection", *SMALL], boxes=2, out=tmp_path)
    assert [len(each) for each in found.after] == [2] * len(found.after)
    monkeypatch.setenv("MOBILEVISION_PATH", str(tmp_path))
    cfg = compose(["task=detection", *SMALL, "experiment=anchors"])
    assert [[tuple(pair) for pair in each] for each in cfg.head.anchors] == found.after


def test_boxes_are_taken_as_the_model_sees_them() -> None:
    stretched, boxed = (built(f"data.fit={fit}").data for fit in ("stretch", "letterbox"))
    records = boxed.splits.train
    odd = next(i for i in range(len(records)) if len(set(records.shape(i))) == 2 and len(records.targets[i]))
    row = int(records.targets.offsets[odd])
    height, width = records.shape(odd)
    true = records.targets[odd].boxes[0]
    assert training_boxes(stretched)[0][row] == pytest.approx(true / (width, height, width, height))
    ratio = (true[2] - true[0]) / (true[3] - true[1])
    seen = training_boxes(boxed)[0][row]
    assert (seen[2] - seen[0]) / (seen[3] - seen[1]) == pytest.approx(ratio, rel=0.03)


def test_crowds_and_boxes_of_no_area_do_not_count() -> None:
    data = built().data
    targets = data.splits.train.targets
    before = len(training_boxes(data)[0])
    targets.all.crowd[0] = True
    targets.all.boxes[1, 2] = targets.all.boxes[1, 0]
    assert len(training_boxes(data)[0]) == before - 2
    targets.all.crowd[:] = True
    with pytest.raises(UserError, match="no training boxes"):
        training_boxes(data)


def test_tasks_without_boxes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task=classification learns from class.*task=detection"):
        plan_anchors(["task=classification"], out=tmp_path)
    with pytest.raises(UserError, match="data=shapes is for class"):
        plan_anchors(["data=shapes"], out=tmp_path)
