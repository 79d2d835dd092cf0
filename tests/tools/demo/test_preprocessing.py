"""Images come to the model with the same bytes in the browser as in Python."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mobilevision.tools.demo.files as files
from mobilevision.deploy.preprocessing import Preprocessing
from tests.tools.demo.conftest import Serve

PREPARE = """async ([name, how]) => {
  const [{ decode }, { prepare }] = await Promise.all([import("./decode.js"), import("./preprocess.js")]);
  const { pixels, toPicture } = prepare(await decode(await (await fetch(name)).blob()), how);
  let text = "";
  for (const byte of pixels) text += String.fromCharCode(byte);
  return [btoa(text), toPicture];
}"""
PILLOW = int(Image.__version__.split(".")[0])
SIZES = [(37, 53), (160, 96), (161, 203), (401, 300), (12, 300), (3, 5), (1, 1), (640, 480)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's modules; images go beside them."""
    folder = tmp_path_factory.mktemp("page") / "page"
    shutil.copytree(Path(files.__file__).parent / "page", folder)
    (folder / "model").mkdir()
    return folder


@pytest.fixture(scope="module")
def page(browser: Any, place: Path, serve: Serve) -> Iterator[Any]:
    context = browser.new_context(service_workers="block")
    found = context.new_page()
    found.goto(serve(place))
    yield found
    context.close()


def same(page: Any, file: Path, look: Preprocessing) -> None:
    """Compare the bytes, and the mapping back to the image."""
    text, mapping = page.evaluate(PREPARE, [file.name, {**look.to_dict(), "tallFirst": PILLOW >= 13}])
    wanted = look.prepare(file)
    found = np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(wanted.pixels.shape)
    off = np.abs(found.astype(int) - wanted.pixels)
    assert off.max() == 0, f"{file.name} {look}: {(off > 0).mean():.4f} of the bytes differ, by {off.max()} at most"
    names = ("scaleX", "scaleY", "shiftX", "shiftY")
    assert np.allclose([mapping[name] for name in names], wanted.to_image, rtol=1e-12, atol=1e-9)


def noise(size: tuple[int, int], channels: int) -> np.ndarray[Any, Any]:
    shape = (size[1], size[0], channels)
    return np.random.default_rng(size[0]).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bytes_are_pillows(page: Any, place: Path, fit: str, channels: int) -> None:
    for size in SIZES:
        name = f"noise_{size[0]}x{size[1]}.png"  # one name an image: the browser keeps what it has seen
        Image.fromarray(noise(size, 3)).save(place / name)
        for number, (height, width) in enumerate([(160, 160), (33, 64), (300, 96)]):
            crop = (0.875, 1.0, 0.7)[number]
            same(page, place / name, Preprocessing(fit, crop, channels, height, width))


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_of_images_with_few_colours(page: Any, place: Path, mode: str) -> None:
    Image.fromarray(noise((90, 70), 3)).convert(mode).save(place / f"{mode}.png")
    for channels in (1, 3):
        same(page, place / f"{mode}.png", Preprocessing("crop", 0.875, channels, 40, 40))


@pytest.mark.parametrize("turn", range(1, 9))
def test_upright_after_exif(page: Any, place: Path, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.fromarray(noise((90, 61), 3)).resize((360, 244), Image.Resampling.BICUBIC)
    image.save(place / f"turned_{turn}.jpg", exif=exif, quality=95, subsampling=0)
    for fit in ("crop", "letterbox"):
        same(page, place / f"turned_{turn}.jpg", Preprocessing(fit, 0.875, 3, 64, 64))


def test_hidden_colours_count_as_in_python(page: Any, place: Path) -> None:
    pixels = noise((64, 48), 4)
    Image.fromarray(pixels).save(place / "alpha.png")
    if not page.evaluate("document.createElement('canvas').getContext('webgl') !== null"):
        pytest.skip("this browser has no WebGL, by which the colours are read")
    for channels in (1, 3, 4):
        same(page, place / "alpha.png", Preprocessing("stretch", 1.0, channels, 40, 40))
