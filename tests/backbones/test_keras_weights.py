"""Keras' MobileNet V1: our logits are its own, whatever form its file has, and bad files are one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional

from mobilevision.backbones import keras_weights, mobilenet_v1, mobilenet_v2
from mobilevision.backbones.keras_weights import fetch, preset_of, published_side, read_h5
from mobilevision.config.compose import compose
from mobilevision.engine.build import build_backbone
from mobilevision.errors import UserError
from mobilevision.spec import Needs

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")


def model_of(width: float, side: int, *, top: bool = True) -> Any:
    """Keras' own, with random weights and statistics."""
    keras.utils.set_random_seed(0)
    options = {"classifier_activation": None} if top else {"pooling": "avg"}
    model = keras.applications.MobileNet(
        input_shape=(side, side, 3), alpha=width, weights=None, include_top=top, **options
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            count = layer.get_weights()[0].shape[0]
            low = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.3, 1.5))
            layer.set_weights([rng.uniform(*limits, count).astype(np.float32) for limits in low])
    return model


def images(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def keras_says(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    seen = keras.applications.mobilenet.preprocess_input(pixels.permute(0, 2, 3, 1).numpy().astype(np.float32))
    return torch.as_tensor(np.asarray(keras.ops.convert_to_numpy(model(seen, training=False))))


def we_say(path: Path, width: float, pixels: torch.Tensor) -> torch.Tensor:
    body = mobilenet_v1(width=width, weights=str(path)).eval()
    assert body.report is not None
    assert body.report.complete, body.report.lines()
    with torch.inference_mode():
        pooled = body(pixels, Needs(pooled=True)).pooled
        assert pooled is not None
        return pooled if body.classifier is None else functional.linear(pooled, *body.classifier)


def as_keras2(model: Any, path: Path) -> None:
    """Weights as Keras 2 wrote them: a group a layer, ``:0`` behind each name, depthwise kernels by their name."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            group = file.create_group(layer.name)
            for weight in layer.weights:
                depthwise = layer.name.startswith("conv_dw") and weight.name == "kernel"
                name = f"depthwise_{weight.name}" if depthwise else weight.name
                group[f"{layer.name}/{name}:0"] = keras.ops.convert_to_numpy(weight)


@pytest.mark.parametrize(("width", "side"), [(0.25, 128), (0.5, 160), (0.75, 192), (1.0, 224)])
def test_our_logits_are_its_own(width: float, side: int, tmp_path: Path) -> None:
    model, pixels = model_of(width, side), images(side)
    expected = keras_says(model, pixels)
    assert expected.std() > 1e-3
    path = tmp_path / f"mobilenet_{keras_weights.WIDTHS[width]}_{side}_tf.h5"
    as_keras2(model, path)
    torch.testing.assert_close(we_say(path, width, pixels), expected, atol=1e-4, rtol=1e-4)
    assert mobilenet_v1(width=width, weights=str(path)).preset.side == side


@pytest.mark.parametrize("form", ["whole.h5", "plain.weights.h5", "keras2.hdf5"])
@pytest.mark.parametrize("top", [True, False])
def test_every_form_of_its_files(form: str, top: bool, tmp_path: Path) -> None:
    model, pixels, path = model_of(0.25, 64, top=top), images(64), tmp_path / form
    if form == "keras2.hdf5":
        as_keras2(model, path)
    elif form == "whole.h5":
        model.save(path)
    else:
        model.save_weights(path)
    said = we_say(path, 0.25, pixels)
    assert said.shape == (2, 1000 if top else 256)
    torch.testing.assert_close(said, keras_says(model, pixels), atol=1e-4, rtol=1e-4)


def test_what_they_expect() -> None:
    for stem in ("mobilenet_2_5_128_tf", "mobilenet_2_5_128_tf_no_top"):
        preset = preset_of(stem)
        assert (preset.side, preset.padding, preset.activation, preset.bn_eps) == (128, "same", "relu6", 1e-3)
        assert preset.mean == preset.std == (0.5, 0.5, 0.5)
    assert preset_of("mine").side == 224
    assert [published_side(side) for side in (None, 96, 128, 144, 160, 300, [160, 320])] == [
        224, 128, 128, 160, 160, 224, 160
    ]  # fmt: skip


def test_the_side_of_the_images_chooses_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    model = model_of(0.25, 160)
    as_keras2(model, tmp_path / "there" / "mobilenet_2_5_160_tf.h5")
    monkeypatch.setattr(keras_weights, "ADDRESS", f"file://{tmp_path}/there/")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    cfg = compose(["backbone=mobilenet_v1", "backbone.width=0.25", "data.resolution=160", "backbone.weights=keras"])
    body = build_backbone(cfg)
    assert body.report is not None
    assert body.report.complete
    assert body.preset.side == 160
    (tmp_path / "there" / "mobilenet_2_5_160_tf.h5").unlink()
    assert mobilenet_v1(width=0.25, weights="keras-160").report is not None, "from the cache"
    with pytest.raises(UserError, match=r"mobilenet_5_0_224_tf\.h5 cannot be fetched .*backbone\.weights=FOLDER/"):
        fetch(0.5, 224)
    assert sorted(path.name for path in (tmp_path / "cache" / "checkpoints").iterdir()) == ["mobilenet_2_5_160_tf.h5"]


def test_what_is_not_published_is_said() -> None:
    with pytest.raises(UserError, match=r"widths 0\.25, 0\.5, .* at sides 128, 160, 192, 224, not 0\.4 at 224"):
        mobilenet_v1(width=0.4, weights="keras")
    with pytest.raises(UserError, match="not 0\\.5 at 96"):
        mobilenet_v1(width=0.5, weights="keras-96")
    for refused in (lambda: mobilenet_v2(weights="keras"), lambda: mobilenet_v1(depth="shallow", weights="keras")):
        with pytest.raises(UserError, match="Keras' weights are read for backbone=mobilenet_v1 alone"):
            refused()


def test_another_width_names_the_fix(tmp_path: Path) -> None:
    as_keras2(model_of(0.25, 64), tmp_path / "small.h5")
    with pytest.raises(UserError, match=r"of another width: set backbone\.width=0\.25"):
        mobilenet_v1(width=0.5, weights=str(tmp_path / "small.h5"))


def test_damage_and_strangers_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    as_keras2(model_of(0.25, 64), path)
    whole = path.read_bytes()
    for content in (b"", b"no file of that kind", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable HDF5 file"):
            read_h5(path)
    with h5py.File(path, "w") as file:
        file["dense/dense/kernel:0"] = np.zeros((3, 4), np.float32)
    with pytest.raises(UserError, match="not Keras' MobileNet V1; it holds dense/dense/kernel:0"):
        read_h5(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r'needs h5py: pip install "mobilevision\[keras\]"'):
        read_h5(path)


def test_a_file_reads_no_other_file_and_stays_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, path = tmp_path / "secret", tmp_path / "a.h5"
    secret.write_bytes(np.arange(216, dtype=np.float32).tobytes())
    with h5py.File(path, "w") as file:
        shape = (3, 3, 3, 8)
        file.create_dataset("conv1/conv1/kernel:0", shape, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(UserError, match="conv1/conv1/kernel:0 lies in another file"):
        read_h5(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel:0"] = np.ones(shape, np.float32)
    with h5py.File(path, "w") as file:
        file["conv1/conv1/kernel:0"] = h5py.ExternalLink("other.h5", "kernel:0")
    with pytest.raises(UserError, match="it holds nothing"):
        read_h5(path)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(shape, np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "kernel:0", shape)
        file.create_virtual_dataset("conv1/conv1/kernel:0", layout)
    with pytest.raises(UserError, match="lies in another file"):
        read_h5(path)
    with h5py.File(path, "w") as file:  # some bytes that stand for 4 GB
        file.create_dataset("conv1/conv1/kernel:0", (1 << 30,), np.float32, chunks=(1 << 20,), compression="gzip")
    with pytest.raises(UserError, match="too large for a MobileNet V1"):
        read_h5(path)
    with h5py.File(path, "w") as file:
        for number in range(30):
            file.create_group(f"group{number}")
    monkeypatch.setattr(keras_weights, "_MOST_OBJECTS", 20)
    with pytest.raises(UserError, match="it holds more than 20 groups and arrays"):
        read_h5(path)


def test_what_a_file_says_twice_or_wrongly_is_one_line(tmp_path: Path) -> None:
    path, model = tmp_path / "a.h5", model_of(0.25, 64)

    def changed(name: str, value: Any) -> Path:
        as_keras2(model, path)
        with h5py.File(path, "a") as file:
            if name in file:
                del file[name]
            file[name] = value
        return path

    with pytest.raises(UserError, match=r"conv1/conv1/kernel:0 and conv1/zz/kernel:0 are both conv_stem\.weight"):
        read_h5(changed("conv1/zz/kernel:0", np.ones((3, 3, 3, 8), np.float32)))
    with pytest.raises(UserError, match="conv1/conv1/kernel:0 holds int32 where numbers with fractions belong"):
        read_h5(changed("conv1/conv1/kernel:0", np.ones((3, 3, 3, 8), np.int32)))
    with pytest.raises(UserError, match="its first kernel, of the layer conv1, is missing"):
        read_h5(changed("conv1/conv1/kernel:0", h5py.Empty("f")))
    with pytest.raises(UserError, match="groups more than 10 deep"):
        read_h5(changed("/".join("a" * 2000), np.ones(1, np.float32)))
    wide = np.ones((3, 3, 256, 10), np.float32)
    assert read_h5(changed("conv_preds/conv_preds/kernel:0", wide))["classifier.weight"].shape == (10, 256, 3, 3)
    assert mobilenet_v1(width=0.25, weights=str(path)).classifier is None
    with pytest.raises(UserError, match=r"a\.h5: conv_stem\.weight holds NaN or infinite values"):
        mobilenet_v1(
            width=0.25, weights=str(changed("conv1/conv1/kernel:0", np.full((3, 3, 3, 8), np.nan, np.float32)))
        )
    assert "conv_stem.weight" in read_h5(changed("layers/conv2d/vars/\u00b2", np.ones(3, np.float32)))


def test_damaged_bytes_are_read_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_keras2(model_of(0.25, 64), path)
    whole, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        damaged = whole.copy()
        for place in rng.integers(0, len(whole), 30):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_h5(path)
        except UserError as error:
            refused += "\n" not in str(error)
    assert refused > 5
