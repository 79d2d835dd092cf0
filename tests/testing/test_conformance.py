"""Every registered task passes the conformance test, and a broken one does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mobilevision.config.compose import compose
from mobilevision.engine.build import Built, build
from mobilevision.testing import check
from mobilevision.testing.conformance import exports, handful, one_step, overfits, works_on_features

TASKS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "task").glob("*.yaml"))


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=() if task in ("classification", "detection") else pytest.mark.slow) for task in TASKS],
)
def test_every_task_conforms(task: str) -> None:
    check([f"task={task}", "backbone.width=0.25"])


TORCHVISION = "{} head.layout=torchvision backbone=mobilenet_v3"


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        "ssdlite",
        "picodet",
        "picodet head.one_to_one=true",
        "faster_rcnn_fpn",
        TORCHVISION.format("ssdlite"),
        TORCHVISION.format("faster_rcnn_fpn"),
    ],
)
def test_detectors_with_other_heads_conform(head: str) -> None:
    check(["task=detection", "backbone.width=0.25", *f"head={head}".split()])


@pytest.fixture
def built() -> Built:
    return build(compose(["task=classification", "backbone.width=0.25", "data.workers=0"]))


def test_a_head_that_learns_nothing_is_found(built: Built) -> None:
    batch = handful(built)
    for weight in built.task.parameters():
        weight.requires_grad_(False)
    built.task.head.classifier.bias.requires_grad_(True)
    with pytest.raises(AssertionError, match="fell"):
        overfits(built, batch)


def test_a_weight_without_gradient_is_found(built: Built) -> None:
    built.task.head.idle = torch.nn.Linear(2, 2)
    with pytest.raises(AssertionError, match=r"head\.idle"):
        one_step(built, handful(built))


def test_a_task_that_needs_images_is_found(built: Built) -> None:
    decode = built.task.decode
    built.task.predict = lambda images: decode(built.task(images) + 1.0 * images.float().mean() * torch.arange(10))
    with pytest.raises(AssertionError, match="from features and from images"):
        works_on_features(built, handful(built))


def test_a_task_that_is_another_in_a_file_is_found(built: Built) -> None:
    pytest.importorskip("onnx")
    overfits(built, batch := handful(built))
    forward = built.task.forward
    built.task.forward = lambda images: forward(images) * (-1.0 if torch.compiler.is_exporting() else 1.0)
    with pytest.raises(AssertionError, match="task and file agree on"):
        exports(built, batch)
