"""One YOLO label file: class and box in fractions of the picture a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mobilevision.data.formats.text import decode
from mobilevision.ops.regular_files import open_regular


class YoloRow(NamedTuple):
    """One line; ``fault`` says what is wrong with it, and is empty where nothing is.

    ``corners`` are (left, top, right, bottom), as a rule in fractions of the picture.
    """

    line: int
    label: int
    corners: tuple[float, float, float, float]
    fault: str = ""


def read_yolo(path: bytes, *, keypoints: bool = False) -> Iterator[YoloRow]:
    """The rows of a file.

    Five numbers are class, centre x, centre y, width, height; an odd number of seven or more is a polygon, of which
    the box around it is taken.

    Args:
        path: the file.
        keypoints: what follows the first five numbers are keypoints, not a polygon.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read()
    if not content[:3].isascii() or b"\0" in content:  # a byte order mark, UTF-16
        content = decode(content).encode("utf-8", "surrogateescape")
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            yield _faulty(number, f"{_shown(line)} is not a row of numbers")
            continue
        yield _row(number, values[:5] if keypoints else values, line)


def _row(number: int, values: Sequence[float], line: bytes) -> YoloRow:
    label = values[0]
    if len(values) < 5 or len(values) % 2 == 0:
        also = ": the sixth may be a confidence, which truth does not have" if len(values) == 6 else ""
        return _faulty(
            number, f"{len(values)} numbers instead of class, x, y, width, height or class and polygon{also}"
        )
    if not label.is_integer() or label < 0:
        return _faulty(number, f"{_shown(line.split()[0])} is no class number")
    if len(values) == 5:
        _, x, y, width, height = values
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        xs, ys = values[1::2], values[2::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    return YoloRow(number, int(label), corners)


def _faulty(number: int, fault: str) -> YoloRow:
    return YoloRow(number, -1, (0, 0, 0, 0), fault)


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace")[:40])
