"""A timm name as the teacher: the hub is replaced by random weights, all else is as it is."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mobilevision.spec import Needs
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
