"""Where a photo says that it was taken: the GPS part of its EXIF."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

from mobilevision.ops.regular_files import open_regular

NO_GPS = "no GPS in its EXIF"
_SIGNS = {"N": 1.0, "E": 1.0, "S": -1.0, "W": -1.0}


class NoPlaceError(Exception):
    """Why a photo does not say where it was taken."""


def exif_place(path: str | bytes) -> tuple[float, float]:
    """Latitude and longitude in degrees; nothing of the picture is decoded.

    Raises:
        NoPlaceError: the file cannot be read, has no GPS, or what it has there makes no sense.
    """
    try:
        with open_regular(path) as file, Image.open(file) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    except Exception as error:  # Pillow raises nearly anything for broken EXIF
        raise NoPlaceError(f"cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from None
    if not gps:
        raise NoPlaceError(NO_GPS)
    try:
        latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS")
        longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW")
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        raise NoPlaceError("the GPS in its EXIF is incomplete") from None
    return latitude, longitude


def _degrees(gps: Any, tag: int, side: int, letters: str) -> float:
    """Degrees, minutes and seconds, any of which may be missing at the end, with their side of the Earth."""
    letter = gps[side]
    word = (letter.decode("ascii", "ignore") if isinstance(letter, bytes) else str(letter)).strip("\0 ").upper()[:1]
    if not word or word not in letters:
        raise ValueError("no side of the Earth")
    parts = gps[tag]
    values = [float(part) for part in (parts if isinstance(parts, tuple | list) else [parts])][:3]
    return _SIGNS[word] * sum(value / 60.0**power for power, value in enumerate(values))
