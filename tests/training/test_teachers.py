"""A timm name as the teacher: the hub is replaced by random weights, all else is as it is."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from mobilevision.backbones import timm_backbone
from mobilevision.distill import ModelTeacher
from mobilevision.heads import LinearHead
from mobilevision.spec import DataSpec, Needs
from mobilevision.training.teacher_comparison import cost_together
from mobilevision.training.teachers import of_timm


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def made(name: str, pretrained: bool = False, **arguments: object) -> nn.Module:
        torch.manual_seed(0)
        model: nn.Module = create(name, **arguments)
        return model

    monkeypatch.setattr(timm, "create_model", made)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["mobilenetv2_050", "mobilenetv3_small_050"])
def test_a_timm_model_teaches_what_timm_answers(name: str) -> None:
    teacher = of_timm(name, 3)
    model = timm.create_model(name).eval()
    images = torch.randint(0, 256, (2, 3, *teacher.resolution), dtype=torch.uint8)
    mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = model((images / 255 - mean) / std)
    torch.testing.assert_close(teacher({"image": images}, Needs()).outputs, expected, rtol=1e-4, atol=1e-4)
    assert len(set(teacher.classes)) == 1000
    assert "tench" in teacher.classes[0]


@pytest.mark.usefixtures("offline")
def test_the_backbone_of_parts_that_one_run_teaches_counts_once() -> None:
    def teacher(backbone: Any, classes: int, side: int) -> ModelTeacher:
        spec = DataSpec("class", tuple(map(str, range(classes))), 3, (side, side))
        head = LinearHead(backbone=backbone.spec, data=spec)
        return ModelTeacher(
            backbone=backbone, head=head, resolution=spec.resolution, classes=spec.classes, name=str(classes)
        )

    one, again, other = (timm_backbone(name="mobilenetv3_small_050") for _ in range(3))
    again.load_state_dict(one.state_dict())  # as a run that is read twice
    next(other.parameters()).data += 1
    alone, few = cost_together([teacher(one, 8, 64)]), 4
    head = few * (one.spec.width + 1), few * one.spec.width
    both = cost_together([teacher(one, 8, 64), teacher(again, few, 64)])
    assert both == {"parameters": alone["parameters"] + head[0], "mult_adds": alone["mult_adds"] + head[1]}
    assert cost_together([teacher(one, 8, 64), teacher(again, few, 32)])["mult_adds"] > both["mult_adds"]
    assert cost_together([teacher(one, 8, 64), teacher(other, few, 64)])["parameters"] > both["parameters"]
