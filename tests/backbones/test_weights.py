"""Weights of any origin: what goes in, what is said, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mobilevision.backbones import Backbone, Preset, mobilenet_v1, mobilenet_v2, timm_backbone
from mobilevision.errors import UserError

Saved = Callable[..., Path]


def same_weights(first: Backbone, second: Backbone) -> bool:
    """Do two backbones hold the same tensors under the same names?"""
    one, two = first.model.state_dict(), second.model.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", ["small.safetensors", "small.pth"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.backbone.model.", "_orig_mod."])
def test_files_of_all_makes(saved: Saved, name: str, prefix: str) -> None:
    path = saved(name, prefix=prefix)
    torch.manual_seed(1)
    expected = mobilenet_v1(width=0.25)
    body = mobilenet_v1(width=0.25, weights=str(path))
    assert same_weights(body, expected)
    assert body.report is not None
    assert body.report.complete
    assert body.report.classes == 7
    assert body.classifier is not None
    assert body.classifier.weight.shape == (7, 256)


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    plain, averaged = mobilenet_v1(width=0.25), mobilenet_v1(width=0.25)
    path = tmp_path / "both.pth"
    torch.save({"state_dict": plain.model.state_dict(), "state_dict_ema": averaged.model.state_dict()}, path)
    assert same_weights(mobilenet_v1(width=0.25, weights=str(path)), averaged)


def test_a_run_of_ours(tmp_path: Path) -> None:
    body = mobilenet_v1(width=0.25, activation="relu6")
    head = nn.Linear(256, 3)
    state = {f"backbone.{key}": value for key, value in body.state_dict().items()}
    state |= {f"head.classifier.{key}": value for key, value in head.state_dict().items()}
    ours = {"preset": Preset(side=96, activation="relu6", padding="same").to_dict()}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save({"state_dict": state, "mobilevision": ours}, tmp_path / "run" / "checkpoints" / "best.ckpt")
    loaded = mobilenet_v1(width=0.25, weights=str(tmp_path / "run"))
    assert same_weights(loaded, body)
    assert loaded.preset == Preset(side=96, activation="relu6", padding="same", bn_eps=1e-5)
    assert loaded.classifier is not None
    assert torch.equal(loaded.classifier.weight, head.weight)
    assert loaded.report is not None
    assert loaded.report.complete
    assert "run run" in loaded.report.lines()[0]


def test_a_part_is_loaded_and_said(saved: Saved, tmp_path: Path) -> None:
    state = load_file(saved())
    state.pop("bn1.bias")
    state["blocks.0.0.bn1.weight"] = torch.ones(3)
    state["extra.weight"] = torch.ones(3)
    save_file(state, tmp_path / "part.safetensors")
    body = mobilenet_v1(width=0.25, weights=str(tmp_path / "part.safetensors"))
    assert body.report is not None
    assert not body.report.complete
    text = "\n".join(body.report.lines(10))
    assert "133 of 135 tensors matched" in text
    assert "not in the file, started at random: bn1.bias" in text
    assert "blocks.0.0.bn1.weight [3] for [8]" in text
    assert "left out: extra.weight" in text
    assert "has 7 classes, yours 10: the body is kept" in text
    assert "taken too" in "\n".join(body.report.lines(7))
    assert "its classifier of 7 classes is left out: the body" in "\n".join(body.report.lines(10, classifier=False))
    assert "set backbone.preset" in text


@pytest.mark.parametrize("width", [0.25, 0.75])
def test_another_width_is_named(saved: Saved, width: float) -> None:
    with pytest.raises(UserError, match=rf"set backbone\.width={width:g}$"):
        mobilenet_v1(width=0.5, weights=str(saved(width=width)))


def test_another_width_of_v2_is_named(tmp_path: Path) -> None:
    torch.save(timm.create_model("mobilenetv2_050").state_dict(), tmp_path / "v2.pth")
    with pytest.raises(UserError, match=r"set backbone\.width=0\.5$"):
        mobilenet_v2(width=1.0, weights=str(tmp_path / "v2.pth"))


def test_another_architecture_is_refused(saved: Saved) -> None:
    with pytest.raises(UserError, match=r"fits only 0 of this backbone's .* choose the backbone"):
        timm_backbone(name="resnet10t", weights=str(saved()))


def test_the_stem_takes_other_channels(saved: Saved) -> None:
    path = saved()
    colour = mobilenet_v1(width=0.25, weights=str(path)).model.conv_stem.weight  # type: ignore[union-attr]
    grey = mobilenet_v1(width=0.25, weights=str(path), channels=1)
    torch.testing.assert_close(grey.model.conv_stem.weight, colour.sum(1, keepdim=True))  # type: ignore[union-attr]
    assert grey.report is not None
    assert "adapted to 1" in "\n".join(grey.report.lines())


def broken(path: Path) -> None:
    path.write_bytes(b"not weights at all")


def pickled_code(path: Path) -> None:
    torch.save({"state_dict": nn.Linear(1, 1)}, path)  # a module: loading it would run code


def empty(path: Path) -> None:
    torch.save({"epoch": 1}, path)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.safetensors", broken, "not a readable safetensors file"),
        ("a.pth", broken, "holds text, and no weights: name a file of torch.save"),
        ("g.pth", lambda path: path.write_text("hello\n"), "holds text, and no weights"),  # a KeyError of the unpickler
        ("h.pth", lambda path: path.write_bytes(b"\x80\x02h\x00."), "not a readable checkpoint"),  # likewise
        ("i.pth", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        ("b.pth", pickled_code, "could run code"),
        ("c.ckpt", empty, "holds no tensors"),
        ("d.pth", lambda path: path.write_bytes(b""), "holds nothing, and no weights"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, write: Callable[[Path], None], words: str) -> None:
    write(tmp_path / name)
    with pytest.raises(UserError, match=words) as raised:
        mobilenet_v1(width=0.25, weights=str(tmp_path / name))
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("tensor", "value", "words"),
    [
        ("blocks.0.0.bn1.running_var", -1.0, "running_var holds variances below 0"),
        ("blocks.0.0.bn1.weight", float("inf"), "bn1.weight holds NaN or infinite values"),
        ("classifier.bias", float("nan"), "the classifier holds NaN or infinite values"),
    ],
)
def test_values_that_no_network_has(saved: Saved, tmp_path: Path, tensor: str, value: float, words: str) -> None:
    state = load_file(saved())
    state[tensor][0] = value
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match=rf"odd\.safetensors: .*{words}: take another file"):
        mobilenet_v1(width=0.25, weights=str(tmp_path / "odd.safetensors"))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("nowhere/weights.pth", "no such file or run folder"),
        ("weights.safetensors", "no such file or run folder"),
        ("mobilenetv1_10", "mobilenetv1_100"),
        ("mobilenetv1_100.ra4_e3600_r224_in2k", "ra4_e3600_r224_in1k"),
    ],
)
def test_names_of_nothing(weights: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        mobilenet_v1(weights=weights)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoints/best\.ckpt"):
        mobilenet_v1(weights=str(tmp_path))


def test_timm_weights_bring_their_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    asked: list[str] = []

    def offline(name: str, pretrained: bool = False, **arguments: object) -> nn.Module:
        asked.append(name)
        torch.manual_seed(0)
        made: nn.Module = create(name, **arguments)
        return made

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    body = mobilenet_v1(weights="timm")
    assert asked == ["mobilenetv1_100"]
    assert body.preset == Preset(224, (0.5,) * 3, (0.5,) * 3, "relu6", "symmetric", 1e-5, 0.875)
    assert body.report is not None
    assert body.report.complete
    other = timm_backbone(name="convnext_atto", weights="timm")
    assert other.report is not None
    assert other.report.complete


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    monkeypatch.setenv("HF_HOME", "nowhere")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "nowhere")
    with pytest.raises(UserError, match=r"fetch model\.safetensors of .* name it: backbone") as raised:
        mobilenet_v1(weights="timm")
    assert "\n" not in str(raised.value)
