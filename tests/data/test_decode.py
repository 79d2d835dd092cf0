from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilevision.images import jpeg
from mobilevision.images.decode import EncodedImage, UnreadableImageError
from mobilevision.images.pixels import Pixels

from .conftest import Save, photo


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **{"quality": 95, **options} if kind == "JPEG" else options)
    return stream.getvalue()


def psnr(first: Pixels, second: Pixels) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 99.0


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(photo(1), exif=exif.tobytes())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_fast_path_equals_the_exact_one(channels: int, progressive: bool) -> None:
    data = encode(photo(2, 300, 400), progressive=progressive)
    box = (17.0, 31.0, 290.0, 233.0)
    header = jpeg.read_header(data)
    assert header == (300, 400, 3, 1)
    fast = jpeg.decode_part(data, header, channels, box, (96, 128))
    assert fast is not None
    assert fast.shape == (96, 128, channels)
    exact = EncodedImage(data, "").pixels(channels, box=box, size=(96, 128), exact=True)
    assert psnr(fast, exact) > 50


def test_a_shrunk_decode_does_not_alias_or_shift() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (640, 800, 3), dtype=np.uint8))
    data = encode(Image.blend(photo(3, 640, 800), noise, 0.3), subsampling=0)
    box, size = (64.0, 40.0, 512.0, 560.0), (64, 64)
    header = jpeg.read_header(data)
    assert header
    assert jpeg._shrink(box, size) == 8
    fast = jpeg.decode_part(data, header, 3, box, size)
    exact = EncodedImage(data, "").pixels(3, box=box, size=size, exact=True)
    assert fast is not None
    assert psnr(fast, exact) > 32
    assert psnr(fast[:, 1:], exact[:, :-1]) < psnr(fast, exact) - 5


@settings(max_examples=30, deadline=None)
@given(
    side=st.tuples(st.integers(9, 150), st.integers(9, 150)),
    corner=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_any_part_at_any_size_is_near_the_exact_path(
    side: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> None:
    image = EncodedImage(encode(photo(4, *side)), "")
    box = (float(corner[1]), float(corner[0]), float(side[1] - corner[1]), float(side[0] - corner[0]))
    fast = image.pixels(3, box=box, size=size, exact=False)
    exact = image.pixels(3, box=box, size=size, exact=True)
    assert fast.shape == exact.shape == (*size, 3)
    few = size[0] * size[1] < 16  # of so few pixels, one that differs is not averaged away
    assert abs(fast.astype(int) - exact).mean() < (12 if few else 6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_on_both_paths(orientation: int) -> None:
    image = EncodedImage(rotated(orientation), "turned.jpg")
    assert image.shape == ((48, 64) if orientation < 5 else (64, 48))
    height, width = image.shape
    box = (0.0, 0.0, float(width), float(height))
    fast = image.pixels(3, box=box, size=(32, 32), exact=False)
    exact = image.pixels(3, box=box, size=(32, 32), exact=True)
    assert psnr(fast, exact) > 45
    upright = np.asarray(photo(1).transpose(_METHODS[orientation])) if orientation > 1 else np.asarray(photo(1))
    assert psnr(image.pixels(3, box=None, size=None, exact=True), upright) > 25


_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    data = encode(Image.fromarray(ramp), "PNG")
    pixels = EncodedImage(data, "").pixels(3, box=None, size=None, exact=True)
    assert np.abs(pixels[..., 0].astype(float) - ramp / 257).max() <= 1


def test_cmyk_looks_as_pillow_shows_it() -> None:
    image = photo(5).convert("CMYK")
    encoded = EncodedImage(encode(image), "")
    for exact in (False, True):
        pixels = encoded.pixels(3, box=(0, 0, 64, 48), size=(48, 64), exact=exact)
        assert psnr(pixels, np.asarray(image.convert("RGB"))) > 25


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_mode_gives_the_channels_asked_for(mode: str, channels: int) -> None:
    image = EncodedImage(encode(photo(6).convert(mode), "PNG"), "")
    pixels = image.pixels(channels, box=(1.5, 2.0, 40.0, 30.0), size=(20, 24), exact=False)
    assert pixels.shape == (20, 24, channels)
    assert pixels.dtype == np.uint8
    if channels == 4:
        assert pixels[..., 3].min() == 255


def test_a_png_named_jpg_is_read_as_what_it_is(save: Save) -> None:
    path = save("wrong.png", seed=7).rename(save("wrong.jpg").with_name("right.jpg"))
    assert np.array_equal(EncodedImage.read(path).pixels(3, box=None, size=None, exact=True), np.asarray(photo(7)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"this is a text, not an image", "not an image"),
        (encode(photo(8, 200, 200))[:1500], "truncated"),
        (encode(photo(8, 200, 200))[:40], "Truncated"),
        (b"\xff\xd8\xff", "not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 30, ""),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes, says: str, exact: bool) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=rf"bad\.jpg.*{says}.*data\.on_error=skip"):
        EncodedImage.read(path).pixels(3, box=(0, 0, 20, 20), size=(8, 8), exact=exact)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"gone\.jpg: No such file"):
        EncodedImage.read(tmp_path / "gone.jpg")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_header_reader(junk: bytes) -> None:
    jpeg.read_header(junk)
    jpeg.read_header(b"\xff\xd8" + junk)
    jpeg.read_header(b"\xff\xd8\xff\xe1\x00\x40Exif\0\0" + junk)


def test_without_simplejpeg_pillow_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    pixels = EncodedImage(encode(photo(9)), "").pixels(3, box=(0, 0, 64, 48), size=(24, 32), exact=False)
    assert pixels.shape == (24, 32, 3)
