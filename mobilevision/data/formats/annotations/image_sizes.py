"""The sizes of many images from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from mobilevision.images import jpeg
from mobilevision.images.decode import SIDEWAYS
from mobilevision.io.regular_files import open_regular

HEAD = 16_384  # bytes that mostly hold the header
CHUNK, THREADS = 128, 8  # threads hide the time a disk takes; a chunk each keeps their own cost low


def image_sizes(paths: Sequence[bytes]) -> NDArray[np.int64]:
    """Upright sizes and EXIF orientations.

    Args:
        paths: the files.

    Returns:
        int64 [n, 3], (height, width, orientation), sizes after the EXIF rotation; zeros for what is no image.
    """
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    if len(chunks) < 2:
        found = [_size(path) for path in paths]
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            found = [
                size for sizes in pool.map(lambda chunk: [_size(path) for path in chunk], chunks) for size in sizes
            ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _size(path: bytes) -> tuple[int, int, int]:
    try:
        with open_regular(path) as file:
            header = jpeg.read_header(file.read(HEAD))
        if header is not None:
            return _upright(header.height, header.width, header.orientation)
        with Image.open(path) as image:
            # Asking a PNG without EXIF for it decodes the image.
            tagged = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if tagged else 1
            return _upright(image.height, image.width, int(orientation))
    except Exception:
        return 0, 0, 0  # damage is named by whoever needs the size, or by the loader


def _upright(height: int, width: int, orientation: int) -> tuple[int, int, int]:
    return (width, height, orientation) if orientation in SIDEWAYS else (height, width, orientation)


def turned(corners: NDArray[np.float64], orientation: int, height: int, width: int) -> NDArray[np.float64]:
    """Boxes drawn on the stored pixels of an image that EXIF turns by a quarter, on its upright pixels.

    Args:
        corners: float64 [n, 4], (left, top, right, bottom).
        orientation: EXIF's, 5 to 8.
        height: upright, in pixels.
        width: likewise.

    Returns:
        float64 [n, 4].
    """
    left, top, right, bottom = corners.T
    x0, x1 = (width - bottom, width - top) if orientation in (6, 7) else (top, bottom)
    y0, y1 = (height - right, height - left) if orientation in (7, 8) else (left, right)
    return np.stack([x0, y0, x1, y1], axis=1)
