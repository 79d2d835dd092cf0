"""The fast way to a part of a JPEG: its header in a few microseconds, a shrunk decode, a vectorised resize.

Only plain files go this way. For anything else (CMYK, EXIF rotation, damage, another format under the name .jpg) the
functions here give None, and Pillow takes over.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import torch
from torch.nn.functional import interpolate

from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels

try:
    import simplejpeg
except ImportError:  # no wheel for this machine
    simplejpeg = None

COLOURS = {1: "GRAY", 3: "RGB"}
FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive, Huffman-coded
ORIENTATION = 0x0112


class JpegHeader(NamedTuple):
    """What the markers in front of the pixels say."""

    height: int
    width: int
    components: int
    orientation: int


def read_header(data: bytes) -> JpegHeader | None:
    """Read the header of a JPEG that can be decoded the fast way, that is 8 bits, grey or colour.

    Args:
        data: the file's bytes.
    """
    orientation, at = 1, 2
    if data[:2] != b"\xff\xd8":
        return None
    try:
        while True:
            mark, code, length = struct.unpack_from(">BBH", data, at)
            if mark != 0xFF:
                return None
            if code in FRAMES:
                bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
                plain = bits == 8 and components in (1, 3) and height and width
                return JpegHeader(height, width, components, orientation) if plain else None
            if code == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                orientation = _orientation(data[at + 10 : at + 2 + length])
            at += 2 + length
    except struct.error:
        return None


def _orientation(exif: bytes) -> int:
    """The orientation tag of the first directory, 1 (upright) without one."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2], "")
    if not order:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == ORIENTATION:
            return int(value)
    return 1


def decode_part(data: bytes, header: JpegHeader, channels: int, box: CropBox, size: tuple[int, int]) -> Pixels | None:
    """Decode ``box`` of an upright JPEG at ``size``, or give None where Pillow has to do it.

    A box much larger than ``size`` is decoded at a half, a quarter or an eighth, for which libjpeg computes only the
    low frequencies; the rest is an antialiased bilinear resize on uint8.

    Args:
        data: the file's bytes.
        header: as read from them.
        channels: 1 or 3.
        box: (x, y, w, h) in pixels; only whole ones can be taken here.
        size: (height, width) of the result.

    Returns:
        uint8 [height, width, channels].
    """
    if simplejpeg is None or channels not in COLOURS or header.orientation != 1:
        return None
    shrink = _shrink(box, size)
    x, y, width, height = (int(edge) // shrink for edge in box)
    if box != (x * shrink, y * shrink, width * shrink, height * shrink):
        return None
    least = (-(-header.height // shrink), -(-header.width // shrink)) if shrink > 1 else (0, 0)
    try:
        # strict: what libjpeg only warns of, such as missing data, is for Pillow to judge
        pixels = simplejpeg.decode_jpeg(data, COLOURS[channels], min_height=least[0], min_width=least[1])
    except ValueError:
        return None
    # The batch dimension goes first: added to the permuted image, its stride would hide the channels_last layout.
    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    part = image[:, :, y : y + height, x : x + width].contiguous(memory_format=torch.channels_last)
    if part.shape[2:] != size:
        part = interpolate(part, size, mode="bilinear", antialias=True)
    result: Pixels = part[0].permute(1, 2, 0).numpy()
    return result


def _shrink(box: CropBox, size: tuple[int, int]) -> int:
    """The largest of 8, 4, 2, 1 that leaves at least ``size`` and divides the box."""
    for shrink in (8, 4, 2):
        if box[2] >= shrink * size[1] and box[3] >= shrink * size[0] and not any(edge % shrink for edge in box):
            return shrink
    return 1
