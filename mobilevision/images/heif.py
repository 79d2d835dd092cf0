"""HEIC and HEIF, a phone's images: read where pi-heif (the extra ``heic``) or pillow-heif is installed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".heics", ".heifs")
_READERS = ("pi_heif", "pillow_heif")


@cache
def reads_heif() -> bool:
    """Whether HEIC can be read here; imports nothing."""
    return any(find_spec(name) is not None for name in _READERS)


@cache
def register_heif() -> None:
    """Let Pillow open HEIC, upright as its own rotation says, with EXIF; without a reader nothing happens."""
    for name in _READERS:
        if find_spec(name) is not None:
            import_module(name).register_heif_opener()
            return
