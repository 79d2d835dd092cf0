"""mobilevision.load(run): one image or many, from a file, Pillow or an array, always the same answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mobilevision
from mobilevision.errors import UserError
from mobilevision.prediction.model import Model


@pytest.fixture(scope="module")
def model(finished_run: Path) -> Model:
    return mobilevision.load(finished_run, device="cpu")


@pytest.fixture(scope="module")
def files(coloured: Path) -> list[Path]:
    return sorted((coloured / "test").rglob("*.png"))


def test_it_knows_its_classes_and_its_side(model: Model) -> None:
    assert model.classes == ("blue & <b>", "green", "red")
    assert model.resolution == (32, 32)
    assert model.channels == 3


def test_a_file_a_pillow_image_and_an_array_give_the_same(model: Model, files: list[Path]) -> None:
    with Image.open(files[0]) as image:
        pixels = np.asarray(image)
        answers = [model.predict(given) for given in (files[0], str(files[0]), image, pixels)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["label"] in model.classes
    assert 0 <= answers[0]["score"] <= 1
    assert len(answers[0]["top5"]) == 3


def test_many_are_answered_in_order_whatever_the_batch(model: Model, files: list[Path]) -> None:
    one_by_one = [model.predict(file) for file in files]
    for batch in (4, 100):
        rows = model.predict(files, batch_size=batch)
        assert [row["label"] for row in rows] == [row["label"] for row in one_by_one]
        np.testing.assert_allclose([row["score"] for row in rows], [row["score"] for row in one_by_one], atol=1e-5)
    assert model.predict([]) == []


def test_what_is_no_image_is_one_line(model: Model) -> None:
    with pytest.raises(UserError, match=r"predict takes an image file.* not int$"):
        model.predict(3)  # type: ignore[call-overload]


def test_an_array_with_a_batch_axis_is_many(model: Model) -> None:
    assert len(model.predict(np.zeros((3, 20, 30, 3), np.uint8))) == 3


def test_it_sees_what_the_evaluation_sees(model: Model, files: list[Path], finished_run: Path) -> None:
    from mobilevision.engine.build import build_data
    from mobilevision.engine.restore import load_run

    data = build_data(load_run(finished_run).cfg)
    data.setup_data(default_resolution=(32, 32), crop=model.task.backbone.preset.crop)
    batch = next(iter(data.test_dataloader()))
    name = data.splits.test.name(int(batch["index"][0]))
    assert torch.equal(batch["image"][0], model.preprocess(name))
    assert name in map(str, files)


def test_grey_alpha_and_turned_images_are_taken(model: Model, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 60, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.jpg"
    Image.fromarray(pixels).save(turned, exif=exif)
    whole = model.preprocessing.whole
    with Image.open(turned) as image:
        assert torch.equal(model.preprocess(turned), model.preprocess(image))
        assert whole(turned).shape == whole(image).shape == (60, 30, 3)
    for array in (pixels[..., 0], pixels[..., :1], np.dstack([pixels, pixels[..., :1]])):
        assert model.preprocess(array).shape == (3, 32, 32)


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8)])
def test_what_is_no_image_is_refused(model: Model, array: np.ndarray) -> None:
    with pytest.raises(UserError, match="uint8"):
        model.predict(array)


def test_a_missing_file_and_a_missing_run_are_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jpg"):
        model.predict("nowhere.jpg")
    with pytest.raises(UserError, match=r"no config\.yaml"):
        mobilevision.load(tmp_path)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, mobilevision; mobilevision.load; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
