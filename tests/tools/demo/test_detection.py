"""A detector in the browser: suppression included, the boxes are those of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.deploy.precision import FLOAT32
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.images.framing import Affine
from mobilevision.tools.demo.files import write_page
from mobilevision.tools.demo.runtime import Runtime
from tests.tools.demo.conftest import Serve
from tests.tools.demo.test_browser import RUN

CLASSES = ("disk", "square", "triangle", "star", "plus", "ring")


def detector() -> Any:
    """An untrained one whose layers answer to images and whose scores differ, as a trained one's do."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    settings = ["data.resolution=96", "backbone.width=0.25", "head.detections=30", "head.score_threshold=0.001"]
    torch.manual_seed(1)
    task = build(compose(["task=detection", "head=ssd", *settings])).task
    torch.manual_seed(0)
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for name, value in task.head.named_parameters():
            if name.endswith("weight") and "classif" in name:
                value.normal_(std=4.0 / value[0].numel() ** 0.5)
        task.train()(torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8))
    return task.eval()


def write(folder: Path, dtype: Any) -> Artifact:
    graph = Graph(detector(), shape=(3, 96, 96), dtype=dtype)
    folder.mkdir()
    Onnx().write(graph, folder / "model.onnx", FLOAT32)
    look = Preprocessing("letterbox", 1.0, 3, 96, 96)
    parts: dict[str, Any] = {"decision": {"thresholds": [0.05] * 6}, "facts": {}, "about": {}}
    note = ModelFile.of(folder / "model.onnx")
    Manifest("detection", "boxes", "onnx", "float32", note, CLASSES, graph.port, look, graph.outputs, **parts).write(
        folder
    )
    return Artifact(folder)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_boxes_are_pythons(browser: Any, runtime: Runtime, serve: Serve, tmp_path: Path, dtype: str) -> None:
    model = write(tmp_path / "model", dtype)
    noise = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(noise).resize((200, 150), Image.Resampling.NEAREST).save(tmp_path / "pictures" / "one.png")
    write_page(tmp_path / "page", tmp_path / "model", runtime, examples=tmp_path / "pictures")
    page = browser.new_page()
    page.goto(serve(tmp_path / "page"))
    page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
    given, mapping = page.evaluate(RUN, "examples/1.png")
    assert page.inner_text("#trouble") == ""
    prepared = model.prepare(tmp_path / "pictures" / "one.png")
    wanted = model.raw([prepared.pixels])[0]
    found = {name: np.array(given[name]).reshape(value.shape) for name, value in wanted.items()}
    there = Affine(mapping["scaleX"], mapping["scaleY"], mapping["shiftX"], mapping["shiftY"])
    agreed = model.answer.agree(model.answer.locate(wanted, prepared.to_image), model.answer.locate(found, there))
    assert agreed.of >= 10
    assert agreed.same >= 0.98 * agreed.of
    assert np.abs(found["scores"] - wanted["scores"]).max() < 1e-4
    page.close()
