"""Detections from raw outputs, in NumPy: those that the checkpoint finds."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mobilevision.deploy import decode_raw_boxes
from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.ops.box_coding import LARGEST, SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.postprocess import detections

SETTINGS: dict[str, Any] = {"score_threshold": 0.05, "nms_iou": 0.45, "per_class": 20, "detections": 30}


def scene(anchors: int = 400, outputs: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, deltas and anchors of two images; boxes lie over each other, leave the image, explode."""
    generator = torch.Generator().manual_seed(0)
    logits = 2.5 * torch.randn(2, anchors, outputs, generator=generator)
    deltas = 4 * torch.randn(2, anchors, 4, generator=generator)
    deltas[0, 0] = 1e4
    corner = 180 * torch.rand(anchors, 2, generator=generator) - 20
    sides = 10 + 60 * torch.rand(anchors, 2, generator=generator)
    return logits, deltas, torch.cat([corner, corner + sides], dim=1)


def facts_of(anchors: torch.Tensor, classes: int, **more: Any) -> dict[str, Any]:
    rows = [[float(str(side)) for side in box] for box in anchors.numpy()]
    known = {"coding_weights": list(SSD_WEIGHTS), "largest_log_scale": LARGEST, "clip": [160, 128], "background": 0}
    return {"anchors": rows, **known, "classes": classes, **SETTINGS, **more}


@pytest.mark.parametrize("per_class", [20, 3, None])
@pytest.mark.parametrize("classes", [6, 4])  # outputs that stand for nothing are left out
def test_it_finds_what_the_checkpoint_finds(per_class: int | None, classes: int) -> None:
    logits, deltas, anchors = scene()
    valid = torch.ones(2, len(anchors), dtype=torch.bool)
    candidates = Candidates(logits, deltas, anchors.expand(2, -1, -1), valid, SSD_WEIGHTS)
    wanted = {"score_threshold": 0.05, "iou": 0.45, "per_class": per_class, "most": 30, "classes": classes}
    expected = detections(candidates, resolution=(128, 160), **wanted)
    facts = facts_of(anchors, classes, per_class=per_class)
    found = decode_raw_boxes.decode(logits.numpy(), deltas.numpy(), facts)
    assert (expected["labels"] >= 0).sum() > 20
    np.testing.assert_array_equal(found["labels"], expected["labels"].numpy())
    np.testing.assert_allclose(found["scores"], expected["scores"].numpy(), atol=1e-6)
    np.testing.assert_allclose(found["boxes"], expected["boxes"].numpy(), atol=1e-3)
    assert {name: value.dtype.name for name, value in found.items()} == {
        "boxes": "float32",
        "scores": "float32",
        "labels": "int64",
    }


def test_nothing_above_the_threshold_is_nothing() -> None:
    logits, deltas, anchors = scene(anchors=5)
    logits[..., 0] = 50
    found = decode_raw_boxes.decode(logits.numpy(), deltas.numpy(), facts_of(anchors, 6))
    assert (found["labels"] == -1).all()
    assert not found["scores"].any()
    assert found["boxes"].shape == (2, 30, 4)


def test_it_stands_alone() -> None:
    tree = ast.parse(inspect.getsource(decode_raw_boxes))
    modules = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    modules |= {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
    assert modules <= {"__future__", "collections.abc", "typing", "numpy"}


def manifest(facts: dict[str, Any]) -> Manifest:
    outputs = Port("logits", "float32", (None, 5, 7)), Port("deltas", "float32", (None, 5, 4))
    look, image = Preprocessing("stretch", 1.0, 3, 128, 160), Port("image", "uint8", (None, 3, 128, 160))
    known = {"decision": {"thresholds": [0.1] * 6}, "facts": facts, "about": {}}
    names = tuple("abcdef")
    return Manifest(
        "detection", "raw_boxes", "onnx", "float32", ModelFile("m", 0, ""), names, image, look, outputs, **known
    )


def test_its_answer_is_that_of_boxes() -> None:
    logits, deltas, anchors = scene(anchors=5)
    about = manifest(facts_of(anchors, 6))
    answer = find_answer(about, "here")
    found = answer.finish({"logits": logits.numpy(), "deltas": deltas.numpy()})
    one = {name: value[1] for name, value in found.items()}
    ports = tuple(Port(name, "float32", (None, 30)) for name in one)
    same = find_answer(replace(about, answer="boxes", outputs=ports), "here")
    assert answer.describe(one) == same.describe(one)
    assert answer.describe(one)["detections"]
    assert answer.agree(one, one) == same.agree(one, one)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"anchors": [[1, 2, 3]]}, r"facts: anchors=.*a list of \[left, top, right, bottom\]"),
        ({"anchors": [[1, 2, 3, "x"]] * 5}, r"a list of \[left, top, right, bottom\]"),
        ({"anchors": [[1, 2, 3, 4]] * 4}, "4 anchors for logits"),
        ({"coding_weights": [1, 1, 0, 1]}, "coding_weights=.*4 numbers above 0"),
        ({"clip": [160]}, "clip=.*2 numbers above 0"),
        ({"classes": 7}, "there are 6 classes"),
        ({"background": 9}, "7 outputs with background 9"),
        ({"detections": 0}, "detections=0: it has to be at least 1"),
        ({"per_class": "all"}, "per_class=all: it has to be a whole number"),
        ({"nms_iou": None}, "nms_iou=None: it has to be a number"),
    ],
)
def test_wrong_facts_are_one_line(change: dict[str, Any], complaint: str) -> None:
    _, _, anchors = scene(anchors=5)
    with pytest.raises(UserError, match=complaint) as caught:
        find_answer(manifest(facts_of(anchors, 6) | change), "here")
    assert "\n" not in str(caught.value)
