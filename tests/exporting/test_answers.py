"""What a task says of its predictions, its answer says of the exported outputs, word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine

TASKS = ["classification", "fine_grained", "face_attributes", "face_embedding", "geolocalization", "detection"]


def manifest(answer: str, outputs: tuple[Port, ...], classes: tuple[str, ...], **more: Any) -> Manifest:
    look, image = Preprocessing("crop", 1.0, 3, 64, 64), Port("image", "uint8", (None, 3, 64, 64))
    known = {"decision": {}, "facts": {}, "about": {}, **more}
    return Manifest("any", answer, "onnx", "float32", ModelFile("m", 0, ""), classes, image, look, outputs, **known)


def made(name: str) -> Any:
    """An untrained task whose layers answer to images, with choices as of a val."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    task = build(compose([f"task={name}", "data.resolution=64", "backbone.width=0.25"])).task
    torch.manual_seed(0)
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        task.train()(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))
    count = len(task.data_spec.classes)
    if name == "face_attributes":
        task.decision = {"temperatures": np.linspace(0.5, 3, count).tolist(), "thresholds": [0.45] * count}
    if name == "detection":
        task.decision = {"thresholds": [0.012] * count}
    return task.eval()


@pytest.mark.parametrize("name", TASKS)
@torch.inference_mode()
def test_every_task_has_its_answer(name: str) -> None:
    task = made(name)
    graph = Graph(task, shape=(3, 64, 64))
    about = manifest(task.answers, graph.outputs, task.data_spec.classes, decision=task.decision, facts=task.facts())
    answer = find_answer(about, "here")
    images = graph.example()
    mine = task.predict(images)
    theirs = dict(zip(graph.names, (value.numpy() for value in graph(images)), strict=True))
    assert set(theirs) == set(mine)
    for place in range(2):
        one = {name: value[place] for name, value in mine.items()}
        other = {name: value[place] for name, value in theirs.items()}
        moved = Affine(2.0, 3.0, 5.0, 7.0)
        expected = task.describe(task.locate(one, moved))
        found = answer.describe(answer.locate(other, moved))
        assert _near(found, expected), (found, expected)
        same, of = answer.agree(other, {name: value.numpy() for name, value in one.items()})
        assert same == pytest.approx(of)
        drawn = answer.draw(np.zeros((80, 90, 3), np.uint8), other)
        assert min(drawn.size) > 50


def _near(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_near(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_near, one, other))
    return bool(abs(one - other) <= 2e-4) if isinstance(one, float) else one == other


def test_boxes_agree_by_place_not_by_order() -> None:
    ports = tuple(Port(name, "float32", (None, 3)) for name in ("boxes", "scores", "labels"))
    answer = find_answer(manifest("boxes", ports, ("a", "b"), decision={"thresholds": [0.5, 0.2]}), "here")
    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 0, 0]], np.float32)
    given = {"boxes": boxes, "scores": np.array([0.9, 0.3, 0.0]), "labels": np.array([0, 1, -1])}
    turned = {name: value[[1, 0, 2]] for name, value in given.items()}
    assert answer.agree(given, turned) == (4, 4)
    assert answer.agree(given, {**given, "labels": np.array([1, 1, -1])}) == (2, 4)
    assert answer.agree(given, {**given, "scores": np.array([0.9, 0.15, 0.0])}) == (3, 3)  # faint, but there
    assert answer.agree(given, {**given, "boxes": boxes + np.float32([0, 0, 3, 0])})[0] < 4
    nothing = {**given, "labels": np.array([-1, -1, -1])}
    assert answer.agree(nothing, nothing) == (0, 0)
    assert answer.describe(given)["found"] == "1 a, 1 b"
    assert answer.describe(nothing) == {"found": "nothing", "detections": []}


def test_other_outputs_are_told_as_they_are() -> None:
    port = Port("heat", "float32", (None, 2))
    answer = find_answer(manifest("numbers", (port,), ()), "here")
    row = {"heat": np.array([0.25, 1 / 3], np.float32), "count": np.array(3)}
    assert answer.describe(row) == {"heat": [0.25, 0.333333], "count": 3}
    assert answer.agree(row, row) == (1, 1)
    assert answer.agree(row, {**row, "count": np.array(4)}) == (0, 1)
    with pytest.raises(
        UserError, match=r"there are attributes, .*boxes, classes, embedding, .*numbers, .*places, raw_boxes"
    ):
        find_answer(manifest("maps", (port,), ()), "here")


def test_the_bootstrap_knows_chance_from_damage() -> None:
    from mobilevision.exporting.gate import Paired, is_chance
    from mobilevision.metrics import ClassificationMetrics, TaskMetric

    def share(wrong: int) -> float:
        paired = Paired(lambda: ClassificationMetrics(classes=("a", "b")))
        truth = torch.arange(200) % 2
        right = torch.nn.functional.one_hot(truth, 2).float()
        other = right.clone()
        other[:wrong] = other[:wrong].flip(1)
        for start in range(0, 200, 64):
            rows = slice(start, start + 64)
            paired.add({"probabilities": right[rows]}, {"probabilities": other[rows]}, truth[rows])

        def drop(one: TaskMetric, two: TaskMetric) -> float:
            return float(one.compute()["top1"] - two.compute()["top1"])

        return paired.chance(drop)

    assert is_chance(share(1))
    assert not is_chance(share(20))


def test_nothing_here_loads_torch_by_itself() -> None:
    import subprocess
    import sys

    code = "import sys, mobilevision.deploy.artifact as a; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parent).returncode == 0
