"""Detectors as one graph, suppression included: whatever the batch, the detections of the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.deploy.precision import FLOAT32
from mobilevision.deploy.preprocessing import Preprocessing

CLASSES = ("disk", "square", "triangle", "star", "plus", "ring")


def manifest(graph: Graph, path: Path) -> Manifest:
    look = Preprocessing("stretch", 1.0, 3, 96, 96)
    about = {"decision": {"thresholds": [0.05] * 6}, "facts": {}, "about": {}}
    note = ModelFile.of(path)
    return Manifest("detection", "boxes", "onnx", "float32", note, CLASSES, graph.port, look, graph.outputs, **about)


def awake(task: Any) -> Any:
    """An untrained task whose layers answer to images and whose scores differ, as a trained one's do."""
    torch.manual_seed(0)
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for name, value in task.head.named_parameters():
            if name.endswith("weight") and ("classif" in name or "objectness" in name or "output.weight" in name):
                value.normal_(std=4.0 / value[0].numel() ** 0.5)
        task.train()(torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8))
    return task.eval()


BOTH = ["picodet", "picodet head.one_to_one=true"]
SLOW = [pytest.param(head, marks=pytest.mark.slow) for head in (*BOTH, "ssdlite", "faster_rcnn", "faster_rcnn_fpn")]


@pytest.mark.parametrize("head", ["ssd", *SLOW])
def test_every_head_finds_the_same(head: str, tmp_path: Path) -> None:
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    settings = ["data.resolution=96", "backbone.width=0.25", "head.detections=30", "head.score_threshold=0.001"]
    torch.manual_seed(1)
    task = awake(build(compose(["task=detection", *f"head={head}".split(), *settings])).task)
    graph = Graph(task, shape=(3, 96, 96))
    Onnx().write(graph, tmp_path / "model.onnx", FLOAT32)
    run = Onnx().open(tmp_path / "model.onnx", outputs=graph.names)
    answer = find_answer(manifest(graph, tmp_path / "model.onnx"), "here")
    for batch in (1, 3):
        images = graph.example(batch)
        with torch.inference_mode():
            mine = {name: value.numpy() for name, value in task.predict(images).items()}
        theirs = run(images.numpy())
        assert {name: value.shape for name, value in theirs.items()} == {n: v.shape for n, v in mine.items()}
        pairs = [({n: v[at] for n, v in mine.items()}, {n: v[at] for n, v in theirs.items()}) for at in range(batch)]
        agreed = np.sum([answer.agree(*pair) for pair in pairs], axis=0)
        assert agreed[1] >= 10 * batch
        assert agreed[0] >= 0.98 * agreed[1]
