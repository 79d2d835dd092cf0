"""The pinned way from a file to the input: to the bit what evaluation does, whatever the file is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.data.files import FileRecords
from mobilevision.data.view import View
from mobilevision.deploy.fields import Fields
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.images.framing import Affine
from mobilevision.spec import DataSpec


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files as people have them: turned by EXIF, grey, 16 bits, palette, transparent, CMYK, progressive, tiny."""
    folder, rng = tmp_path_factory.mktemp("dirty"), np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)).resize((310, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.save(folder / "progressive.jpg", progressive=True)
    photo.convert("L").save(folder / "grey.jpg")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("P").save(folder / "palette.png")
    photo.convert("RGBA").save(folder / "transparent.png")
    photo.resize((1, 3)).save(folder / "tiny.png")
    Image.fromarray(rng.integers(0, 65536, (40, 50), dtype=np.uint16)).save(folder / "deep.png")
    photo.save(folder / "photo.webp")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
@pytest.mark.parametrize(("channels", "side"), [(3, (32, 32)), (1, (40, 24)), (4, (224, 300))])
def test_it_is_what_evaluation_does(dirty: list[Path], fit: str, channels: int, side: tuple[int, int]) -> None:
    spec = DataSpec("class", ("a", "b"), channels, side, fit=fit)
    pinned = Preprocessing.of(spec, 0.875)
    assert pinned == Preprocessing(fit, 0.875, channels, *side)
    records = FileRecords(paths=map(os.fsencode, dirty), targets=np.zeros(len(dirty), np.int64), channels=channels)
    view = View(records, channels=channels, resolution=side, fit=fit, crop=0.875)
    for index, file in enumerate(dirty):
        ours, lies, (height, width) = pinned.prepare(file), view.frame(index), records.shape(index)
        np.testing.assert_array_equal(ours.pixels, view.sample(index).pixels.transpose(2, 0, 1), err_msg=file.name)
        assert ours.to_image == lies.to_input.inverse
        assert ours.shape == (height, width)
        shown = lies.to_input.inverse.then(Affine(64 / width, 64 / height, 0.0, 0.0))
        assert ours.to_shown((64, 64)) == shown
        np.testing.assert_array_equal(pinned.whole(file), records.pixels(index, exact=True))
        small = pinned.whole(file, side=16)
        np.testing.assert_array_equal(small, records.pixels(index, size=small.shape[:2], exact=True))
        assert max(small.shape[:2]) == min(16, max(height, width))


def test_a_file_an_image_and_an_array_are_the_same(dirty: list[Path]) -> None:
    pinned = Preprocessing("crop", 0.9, 3, 32, 32)
    for file in dirty:
        with Image.open(file) as image:
            np.testing.assert_array_equal(pinned.prepare(str(file)).pixels, pinned.prepare(image).pixels)
    pixels = np.random.default_rng(1).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pinned.prepare(pixels).pixels, pinned.prepare(Image.fromarray(pixels)).pixels)


def test_it_survives_being_written() -> None:
    pinned = Preprocessing("letterbox", 0.875, 3, 160, 224)
    assert Preprocessing.read(Fields(pinned.to_dict(), "model.json")) == pinned


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"resize": "lanczos"}, "resize=lanczos: this version of mobilevision knows only 'bilinear'"),
        ({"fit": "squeeze"}, "fit=squeeze: there are crop, stretch, letterbox"),
        ({"height": 0}, "height=0: it has to be at least 1"),
        ({"crop": "half"}, "crop=half: it has to be a number"),
        ({"crop": 0}, "crop=0: it has to be more than 0 and at most 1"),
        ({"crop": 1.5}, "crop=1.5: it has to be more than 0 and at most 1"),
        ({"colours": "BGR"}, "colours=BGR: a model of 3 channels takes 'RGB'"),
        ({"channels": 1}, "colours=RGB: a model of 1 channels takes 'L'"),
        ({"antialias": 1}, "antialias=1: it has to be true/false"),
    ],
)
def test_what_this_version_cannot_do_is_refused(change: dict[str, object], complaint: str) -> None:
    values = Preprocessing("crop", 0.875, 3, 32, 32).to_dict() | change
    with pytest.raises(UserError, match=complaint):
        Preprocessing.read(Fields(values, "model.json"))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    pinned = Preprocessing("crop", 0.875, 3, 32, 32)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    Image.new("RGB", (200, 200)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:120])
    text = r"text.jpg: not an image \(its first bytes are b'not an image'\)$"
    for name, why in (("empty", "empty file"), ("text", text), ("cut", "truncated"), ("no", "No such")):
        file = tmp_path / (f"{name}.png" if name == "cut" else f"{name}.jpg")
        with pytest.raises(UnreadableImageError, match=why):
            pinned.prepare(file)
    with pytest.raises(UserError, match=r"not float64 \(3, 3\)"):
        pinned.prepare(np.zeros((3, 3)))
