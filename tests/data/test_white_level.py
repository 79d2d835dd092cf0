"""Images of more than 8 bits: one scale for a data set, the same in training, prediction and an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.spec import DataSpec

SIDE = 24
RAMP = np.linspace(0.0, 1.0, SIDE * SIDE).reshape(SIDE, SIDE)


def deep(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def whole_set(root: Path, top: float, kind: type, suffix: str) -> Path:
    """Two classes of three images; only one of all reaches the top."""
    for number in range(6):
        values = RAMP * top * (1.0 if number == 4 else 0.4)
        deep(root / "ab"[number % 2] / f"{number}.{suffix}", values.astype(kind))
    return root


def module(root: Path, **options: Any) -> DataModule:
    data = DataModule(format=Auto(), root=str(root), workers=0, resolution=SIDE, val_fraction=0.0, **options)
    data.setup_data(crop=1.0)
    return data


def pixels(data: DataModule, name: str) -> np.ndarray[Any, Any]:
    records = data.splits.train
    assert records is not None
    index = next(i for i in range(len(records)) if records.name(i).endswith(name))
    return records.pixels(index)[..., 0].astype(int)


@pytest.mark.parametrize(
    ("top", "kind", "suffix", "level"),
    [
        (1.0, np.float32, "tif", 1.0),
        (1.1, np.float32, "tif", 1.0),
        (255.0, np.float32, "tif", 255.0),
        (65535.0, np.float32, "tif", 65535.0),
        (1023, np.uint16, "png", 1023.0),
        (4095, np.uint16, "png", 4095.0),
        (4000, np.uint16, "tif", 4095.0),
        (65535, np.uint16, "png", 65535.0),
        (65535, np.uint16, "pgm", 65535.0),
    ],
)
def test_the_level_is_chosen_from_the_set(tmp_path: Path, top: float, kind: type, suffix: str, level: float) -> None:
    data = module(whole_set(tmp_path, top, kind, suffix))
    assert data.spec.white_level == level
    assert DataSpec.from_dict(data.spec.to_dict()).white_level == level
    assert any("is white in all of them" in note for note in data.splits.notes)
    for name, share in ((f"4.{suffix}", 1.0), (f"1.{suffix}", 0.4)):
        expected = np.clip(RAMP * top * share / level, 0, 1) * 255
        assert np.abs(pixels(data, name) - expected).max() < 1.3


def test_all_images_have_one_scale_and_the_key_decides(tmp_path: Path) -> None:
    root = whole_set(tmp_path, 4095, np.uint16, "png")
    assert pixels(module(root), "1.png").max() == 102  # 0.4 of white, though nothing in it is brighter
    assert pixels(module(root, white_level=65535), "4.png").max() == 15
    with pytest.raises(UserError, match=r"data\.white_level=0: must be above 0"):
        module(root, white_level=0)
    with pytest.raises(UnreadableImageError, match=r"values go up to 4095, but 1023 is white: see data\.white_level"):
        pixels(module(root, white_level=1023), "4.png")


def test_eight_bits_have_no_level(tmp_path: Path) -> None:
    data = module(whole_set(tmp_path, 255, np.uint8, "png"))
    assert data.spec.white_level is None
    assert pixels(data, "4.png").max() == 255


def test_floats_and_whole_numbers_side_by_side_are_refused(tmp_path: Path) -> None:
    whole_set(tmp_path, 4095, np.uint16, "png")
    deep(tmp_path / "a/float.tif", RAMP.astype(np.float32))
    with pytest.raises(UserError, match="no one scale fits both"):
        module(tmp_path)


def test_a_run_and_an_exported_model_look_at_it_alike(tmp_path: Path) -> None:
    data = module(whole_set(tmp_path, 4095, np.uint16, "png"))
    path = tmp_path / "a/4.png"
    trained = pixels(data, "4.png")
    predicted = Preprocessing.of(data.spec, 1.0).prepare(path).pixels[0]
    written = Preprocessing("crop", 1.0, 3, SIDE, SIDE, white_level=data.spec.white_level).to_dict()
    assert written["white_level"] == 4095.0
    exported = Preprocessing.read(Fields(written, "model.json")).prepare(path).pixels[0]
    assert np.array_equal(trained, predicted)
    assert np.array_equal(trained, exported)
    assert trained.max() == 255
    assert "white_level" not in Preprocessing("crop", 1.0, 3, SIDE, SIDE).to_dict()
    with pytest.raises(UserError, match="white_level=-1"):
        Preprocessing.read(Fields(written | {"white_level": -1}, "model.json"))
