"""Captions, contact sheets and charts: the sizes, the colours, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mobilevision.visualization.charts import confusion_matrix, reliability_diagram
from mobilevision.visualization.draw import BAD, GOOD, captioned, contact_sheet, to_image


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (32, 32, 2), (32, 32, 3), (32, 32, 4), (40, 20, 7)])
def test_a_small_image_of_any_channels_is_scaled_up_in_whole_steps(shape: tuple[int, ...]) -> None:
    pixels = _noise(*shape)
    image = to_image(pixels)
    times = image.height // shape[0]
    assert image.mode == "RGB"
    assert image.size == (shape[1] * times, shape[0] * times)
    assert max(image.size) >= 192
    channel = pixels if pixels.ndim == 2 else pixels[..., 0]
    np.testing.assert_array_equal(np.asarray(image)[::times, ::times, 0], channel)


def test_a_large_image_is_scaled_down() -> None:
    assert max(to_image(_noise(900, 1800, 3)).size) == 640


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        to_image(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(("correct", "colour"), [(True, GOOD), (False, BAD)])
def test_the_banner_says_by_its_colour_whether_the_model_is_right(correct: bool, colour: str) -> None:
    image = captioned(_noise(64, 64, 3), prediction="shirt 0.93", truth="dress", correct=correct)
    banner = np.asarray(image)[194:]
    expected = tuple(int(colour[index : index + 2], 16) for index in (1, 3, 5))
    assert (banner == expected).all(axis=2).mean() > 0.2
    assert image.width == 192
    assert image.height > 192


def test_a_banner_takes_long_and_foreign_names() -> None:
    image = captioned(_noise(64, 64, 3), prediction="a very long name " * 20, truth="Ünïcode Ελληνικά Кошка")
    assert image.width == 192


def test_a_contact_sheet_holds_all_and_keeps_their_shape() -> None:
    wide = Image.new("RGB", (400, 100), "#ff0000")
    sheet = contact_sheet([wide] * 7, columns=3, side=100, gap=10)
    assert sheet.size == (3 * 110 + 10, 3 * 110 + 10)
    red = (np.asarray(sheet) == (255, 0, 0)).all(axis=2).sum()
    assert red == 7 * 100 * 25
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


@pytest.mark.parametrize("classes", [2, 16, 50])
def test_a_confusion_matrix_is_dark_on_the_diagonal_of_a_good_model(classes: int) -> None:
    names = [f"class {index}" for index in range(classes)]
    good = np.asarray(confusion_matrix(np.eye(classes) * 9, names)).astype(int)
    empty = np.asarray(confusion_matrix(np.zeros((classes, classes)), names)).astype(int)
    assert (good.sum(axis=2) < 300).sum() > (empty.sum(axis=2) < 300).sum()


def test_a_confusion_matrix_that_does_not_fit_its_names_is_refused() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        confusion_matrix(np.zeros((2, 2)), ["a", "b", "c"])


def test_a_reliability_diagram_is_drawn_with_empty_bins_and_nan_in_them() -> None:
    counts = np.array([0, 0, 5, 0, 20.0])
    confidence = np.array([np.nan, np.nan, 0.5, np.nan, 0.95])
    accuracy = np.array([np.nan, np.nan, 0.4, np.nan, 0.9])
    assert min(reliability_diagram(counts, confidence, accuracy).size) > 300
