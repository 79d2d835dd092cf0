"""The family of arXiv 1704.04861: its shapes, its place in timm, and timm's weights in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from mobilevision.backbones import mobilenet_v1
from mobilevision.errors import UserError
from mobilevision.spec import Needs


def test_timm_weights_give_timm_logits(tmp_path: Path, images: Tensor) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv1_100").eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = mobilenet_v1(weights=str(tmp_path / "weights.pth"), activation="relu6").eval()
    assert ours.report is not None
    assert ours.report.complete
    assert ours.classifier is not None
    with torch.no_grad():
        pooled = ours(images, Needs(pooled=True)).pooled
        logits = pooled @ ours.classifier.weight.T + ours.classifier.bias
        expected = theirs(ours.normalize(images))
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("width", [0.05, 0.25, 0.3, 0.75])
@pytest.mark.parametrize(("conv", "depth"), [("separable", "standard"), ("full", "standard"), ("separable", "shallow")])
def test_channels_are_the_papers_times_alpha(width: float, conv: str, depth: str) -> None:
    with torch.device("meta"):
        spec = mobilenet_v1(width=width, conv=conv, depth=depth).spec
    assert spec.width == int(1024 * width)
    assert spec.strides == {s: int(c * width) for s, c in {2: 64, 4: 128, 8: 256, 16: 512, 32: 1024}.items()}


@pytest.mark.parametrize("side", [(96, 128), (65, 33)])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_maps_have_the_promised_sizes(side: tuple[int, int], padding: str) -> None:
    body = mobilenet_v1(width=0.25, padding=padding).eval()
    maps, pooled = body(torch.zeros(1, 3, *side), Needs((8, 16, 32), pooled=True))
    for stride, channels in {8: 64, 16: 128, 32: 256}.items():
        assert maps[stride].shape == (1, channels, -(-side[0] // stride), -(-side[1] // stride))
    assert pooled.shape == (1, 256)


def test_the_papers_activation_and_the_papers_layers() -> None:
    body = mobilenet_v1(width=0.25)
    convs = [m for m in body.model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == 27  # with the fully connected layer: the paper's 28
    assert body.preset.activation == "relu"


def test_registered_in_timm(images: Tensor) -> None:
    assert timm.is_model("mobilevision_mobilenetv1")
    levels = timm.create_model("mobilevision_mobilenetv1", width=0.5, features_only=True)
    assert [level.shape[1] for level in levels(images.float())] == [32, 64, 128, 256, 512]
    whole = timm.create_model("mobilevision_mobilenetv1", width=0.25, num_classes=5, in_chans=1)
    assert whole(torch.zeros(2, 1, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 0.0}, "above 0 and at most 1"),
        ({"width": 1.25}, "mobilenetv1_125"),
        ({"conv": "fulll"}, "separable and full"),
        ({"depth": "deep"}, "standard and shallow"),
        ({"activation": "relu7"}, "relu6"),
        ({"padding": "valid"}, "same and symmetric"),
        ({"preset": "imagnet"}, "imagenet"),
        ({"preset": {"means": [0.5]}}, "means"),
        ({"channels": 0}, "at least one"),
        ({"width": 0.5, "weights": "timm"}, "no weights of this width"),
    ],
)
def test_wrong_arguments_name_the_fix(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        mobilenet_v1(**arguments)  # type: ignore[arg-type]
