"""torchvision's classifiers with random weights and statistics, read into ours: the same logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3
from mobilevision.backbones.published_files import fetch
from mobilevision.backbones.torchvision_weights import fetch_classifier
from mobilevision.errors import UserError
from mobilevision.spec import Needs


def randomized(model: nn.Module) -> nn.Module:
    """Other statistics in every batch norm, and a classifier whose logits are of the size of trained ones."""
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.3, 1.5)
            nn.init.uniform_(layer.weight, 0.7, 1.3)
            nn.init.normal_(layer.bias, 0, 0.2)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.1)
    return model.eval()


def saved(model: str, path: Path, width: float = 1.0) -> nn.Module:
    """A model of torchvision with random weights, and its state dict in a file."""
    made = randomized(torchvision.models.get_model(model, weights=None, width_mult=width))
    torch.save(made.state_dict(), path)
    return made


def logits(body: Backbone, images: Tensor) -> Tensor:
    """What the weights' own classifier says."""
    assert body.classifier is not None
    with torch.no_grad():
        pooled = body.eval()(images, Needs(pooled=True)).pooled
        assert pooled is not None
        return pooled @ body.classifier.weight.T + body.classifier.bias


@pytest.mark.parametrize(
    ("model", "make"),
    [
        ("mobilenet_v2", lambda weights: mobilenet_v2(weights=weights)),
        ("mobilenet_v3_large", lambda weights: mobilenet_v3(weights=weights)),
        ("mobilenet_v3_small", lambda weights: mobilenet_v3(size="small", weights=weights)),
    ],
)
def test_equal_logits(model: str, make: Callable[[str], Backbone], tmp_path: Path) -> None:
    theirs = saved(model, tmp_path / "weights.pth")
    body = make(str(tmp_path / "weights.pth"))
    assert body.report is not None
    assert body.report.complete
    images = torch.randint(0, 256, (2, 3, 160, 128), dtype=torch.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        wanted = theirs((images / 255 - mean) / std)
    assert wanted.abs().max() > 1
    torch.testing.assert_close(logits(body, images), wanted, atol=1e-4, rtol=0)


def test_by_name_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchvision has fetched is found; the crop is that of the version."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for version in torchvision.models.MobileNet_V2_Weights:
        saved("mobilenet_v2", tmp_path / "checkpoints" / version.url.rpartition("/")[2])
    newest, first = (mobilenet_v2(weights=name) for name in ("torchvision", "torchvision-v1"))
    assert newest.report is not None
    assert newest.report.complete
    assert newest.preset.crop == pytest.approx(224 / 232)
    assert first.preset.crop == pytest.approx(224 / 256)
    assert newest.preset.bn_eps == 1e-5
    assert newest.preset.activation == "relu6"


def test_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, compared with the hash in the name; nothing stays of what is not there or is another file."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    (tmp_path / "weights.pth").write_bytes(b"weights")
    (tmp_path / "weights-00000000.pth").write_bytes(b"other weights")
    assert fetch(f"file://{tmp_path}/weights.pth", key="head.weights").read_bytes() == b"weights"
    (tmp_path / "weights.pth").unlink()
    assert fetch(f"file://{tmp_path}/weights.pth", key="head.weights").is_file(), "from the cache"
    for name in ("none.pth", "weights-00000000.pth"):
        with pytest.raises(UserError, match=rf"torchvision: {name} .*fetch file://.*: head\.weights=FOLDER/{name}"):
            fetch(f"file://{tmp_path}/{name}", key="head.weights")
    assert [path.name for path in (tmp_path / "cache" / "checkpoints").iterdir()] == ["weights.pth"]


def test_what_is_not_published_is_said() -> None:
    with pytest.raises(UserError, match=r"v3: of mobilenet_v2 there are torchvision-v1, torchvision-v2"):
        fetch_classifier("mobilenet_v2", 3)
    for refused in (
        lambda: mobilenet_v1(weights="torchvision"),
        lambda: mobilenet_v2(width=0.5, weights="torchvision"),
        lambda: mobilenet_v3(width=0.75, weights="torchvision-v1"),
    ):
        with pytest.raises(UserError, match="weights of mobilenet_v2 and mobilenet_v3 at width 1"):
            refused()


def test_another_width_and_another_model_name_the_fix(tmp_path: Path) -> None:
    saved("mobilenet_v2", tmp_path / "half.pth", width=0.5)
    with pytest.raises(UserError, match=r"half\.pth is of another width: set backbone\.width=0\.5"):
        mobilenet_v2(weights=str(tmp_path / "half.pth"))
    with pytest.raises(UserError, match="choose the backbone that it belongs to"):
        mobilenet_v3(weights=str(tmp_path / "half.pth"))
