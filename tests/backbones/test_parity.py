"""Published weights give the logits they should: those of a timm model built by hand with the right settings.

Accuracy on a small set would not see a wrong padding, epsilon or activation; the logits do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.models import EfficientNet
from timm.models._efficientnet_builder import decode_arch_def
from torch import Tensor, nn

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2
from mobilevision.spec import Needs

V1 = [["dsa_r1_k3_s1_c64"], *([f"dsa_r{n}_k3_s2_c{c}"] for n, c in ((2, 128), (2, 256), (6, 512), (2, 1024)))]
V2 = [["ds_r1_k3_s1_c16"]] + [
    [f"ir_r{n}_k3_s{s}_e6_c{c}"]
    for n, s, c in ((2, 2, 24), (3, 2, 32), (4, 2, 64), (3, 1, 96), (3, 2, 160), (1, 1, 320))
]


@dataclass(frozen=True)
class Published:
    """One weights file and what its README says of it."""

    stem: str
    width: float
    side: int
    act: Callable[..., nn.Module]
    pad: str
    eps: float
    scale: Callable[[Tensor], Tensor]
    classes: int = 1000
    arch: tuple[list[str], ...] = tuple(V1)
    features: int = 0

    def by_hand(self, weights: Path) -> nn.Module:
        """The timm model, put together here without a line of ours."""
        model: nn.Module = EfficientNet(
            decode_arch_def(list(self.arch)),
            num_classes=self.classes,
            num_features=self.features,
            round_chs_fn=lambda channels: int(channels * self.width),
            norm_layer=partial(nn.BatchNorm2d, eps=self.eps),
            act_layer=self.act,
            pad_type=self.pad,
        )
        model.load_state_dict(load_file(weights / f"{self.stem}.safetensors"))
        return model.eval()

    def ours(self, weights: Path) -> Backbone:
        """The same through the framework, with nothing said but the file and the width."""
        make = mobilenet_v2 if self.features else mobilenet_v1
        return make(width=self.width, weights=str(weights / f"{self.stem}.safetensors")).eval()


def imagenet(x: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x / 255 - mean[:, None, None]) / std[:, None, None]


def halves(x: Tensor) -> Tensor:
    return x / 127.5 - 1


def unit(x: Tensor) -> Tensor:
    return x / 255


FILES = [
    Published("mobilenet_v1_0.25_224_in1k", 0.25, 224, partial(nn.LeakyReLU, 0.1), "", 1e-5, imagenet),
    Published("mobilenet_v1_0.25_128_in1k", 0.25, 128, nn.ReLU6, "same", 1e-3, halves),
    Published("mobilenet_v1_0.5_160_in1k", 0.5, 160, nn.ReLU6, "same", 1e-3, halves),
    Published("mobilenet_v2_1.0_224_in1k", 1.0, 224, nn.ReLU6, "same", 1e-5, halves, arch=tuple(V2), features=1280),
    Published("mobilenet_v1_0.25_96_person", 0.25, 96, nn.ReLU, "same", 1e-3, unit, classes=2),
]


def photos(data: Path, side: int) -> Tensor:
    """Six real photos, uint8 [6, 3, side, side], channels innermost."""
    paths = [*sorted((data / "pets").rglob("*.jpg"))[::20][:4], *sorted((data / "faces").rglob("*.jpg"))[:2]]
    assert len(paths) == 6
    arrays = [np.asarray(Image.open(path).convert("RGB").resize((side, side))) for path in paths]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@torch.no_grad()
def test_logits_are_those_of_timm_built_by_hand(file: Published, shared_weights: Path, shared_data: Path) -> None:
    images = photos(shared_data, file.side)
    expected = file.by_hand(shared_weights)(file.scale(images))
    body = file.ours(shared_weights)
    assert body.report is not None
    assert body.report.complete
    assert body.classifier is not None
    assert body.preset.side == file.side
    pooled = body(images, Needs(pooled=True)).pooled
    logits = pooled @ body.classifier.weight.T + body.classifier.bias
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("wrong", [{"padding": "symmetric"}, {"activation": "relu"}, {"preset": "imagenet"}])
@torch.no_grad()
def test_a_wrong_setting_is_seen_in_the_logits(wrong: dict[str, str], shared_weights: Path, shared_data: Path) -> None:
    file = FILES[2]
    images = photos(shared_data, file.side)
    path = str(shared_weights / f"{file.stem}.safetensors")
    right, other = (mobilenet_v1(width=0.5, weights=path, **kw).eval() for kw in ({}, wrong))  # type: ignore[arg-type]
    needs = Needs(pooled=True)
    assert (right(images, needs).pooled - other(images, needs).pooled).abs().max() > 0.05
