"""--raw: what the graph leaves out, whoever runs it can do; what it cannot leave out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.deploy import decode_raw_boxes
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.exporting.description import decoding_left, write_beside
from mobilevision.heads import PicoDetHead
from mobilevision.tools.demo.command import exported


def built(*overrides: str) -> Any:
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    torch.manual_seed(0)
    return build(compose(["data.resolution=96", "backbone.width=0.25", *overrides])).task.eval()


def awake(task: Any) -> None:
    """Layers that answer to images and scores that differ, as a trained detector's do."""
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    for layer in (task.head.towers if isinstance(task.head, PicoDetHead) else task.head.classifiers).modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.normal_(std=4.0 / layer.weight[0].numel() ** 0.5)
    task.train()(torch.randint(0, 256, (4, 3, *task.data_spec.resolution), dtype=torch.uint8))
    task.eval()


def rows(found: Any, place: int) -> Any:
    """Label and box of each detection of an image."""
    return np.concatenate([np.asarray(found["labels"][place])[:, None], np.asarray(found["boxes"][place])], axis=1)


@pytest.mark.parametrize("head", ["ssd", "ssdlite", "picodet", "picodet head.one_to_one=true"])
@pytest.mark.parametrize("side", ["96", "[97,130]"])  # maps of odd sides have anchors of their own
@torch.inference_mode()
def test_the_rest_of_the_graph_is_in_the_facts(head: str, side: str) -> None:
    more = [] if "picodet" in head else ["head.outputs=9"]
    more += ["head.score_threshold=0.01", "head.detections=20", f"data.resolution={side}"]
    task = built("task=detection", *f"head={head}".split(), *more)
    awake(task)
    height, width = task.data_spec.resolution
    graph = Graph(task, shape=(3, height, width), raw=True)
    answer, facts = decoding_left(task, decodes="one_to_one" not in head)
    facts = json.loads(json.dumps(facts))
    assert (graph.names, answer) == (("logits", "deltas"), "raw_boxes")
    images = graph.example()
    logits, deltas = (value.numpy() for value in graph(images))
    assert logits.shape == (2, len(facts["anchors"]), len(task.data_spec.classes) if "picodet" in head else 9)
    expected, found = task.predict(images), decode_raw_boxes.decode(logits, deltas, facts)
    assert (expected["labels"] >= 0).sum() >= 20
    np.testing.assert_allclose(found["scores"], expected["scores"].numpy(), atol=1e-5)
    mine, theirs = (np.stack([rows(each, place) for place in range(2)]) for each in (found, expected))
    gaps = np.abs(mine[:, :, None] - theirs[:, None]).max(axis=-1)  # by place: scores that are nearly equal change it
    assert gaps.min(axis=1).max() < 1e-3
    assert gaps.min(axis=2).max() < 1e-3
    final, anchors = task.head(task.extract(images)).final, np.array(facts["anchors"], np.float32)
    if "picodet" in head:
        assert np.array_equal((anchors[:, :2] + anchors[:, 2:]) / 2, final.points[0])
    else:
        assert np.array_equal(anchors, final.anchors[0])


def test_the_file_beside_is_the_one_that_we_run(tmp_path: Path) -> None:
    task = built("task=detection", "head=ssd")
    graph, (answer, facts) = Graph(task, shape=(3, 96, 96), raw=True), decoding_left(task)
    look, note = Preprocessing("stretch", 1.0, 3, 96, 96), ModelFile("m", 0, "")
    about = {"decision": {}, "facts": facts, "about": {}}
    classes = task.data_spec.classes
    manifest = Manifest("detection", answer, "onnx", "float32", note, classes, graph.port, look, graph.outputs, **about)
    manifest.write(tmp_path)
    with pytest.raises(UserError, match="export it without --raw"):  # a browser has a suppression
        exported(tmp_path, tmp_path / "page")
    assert write_beside(manifest, tmp_path) == ["decode.py"]
    assert decode_raw_boxes.__file__ is not None
    assert (tmp_path / "decode.py").read_bytes() == Path(decode_raw_boxes.__file__).read_bytes()


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["task=classification"], "--raw: Classification has no non-maximum suppression"),
        (
            ["task=detection", "head=picodet", "head.one_to_one=true"],
            "--raw: .* nothing is suppressed, .* leave --raw out",
        ),
        (["task=detection", "head=faster_rcnn"], "--raw: FasterRCNNHead suppresses boxes between its two stages"),
    ],
)
def test_others_have_nothing_to_leave_out(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        decoding_left(built(*overrides))
