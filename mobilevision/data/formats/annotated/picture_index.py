"""Finding annotated pictures whose paths are those of another machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import final
from urllib.parse import unquote_to_bytes

Parts = tuple[str, ...]

SCHEME = re.compile(rb"^[A-Za-z][A-Za-z0-9+.-]+:(?=/)")  # not the C: of a path
HOST = re.compile(rb"^//[^/]*")
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # before names of files uploaded to Label Studio


def plain(name: bytes) -> bytes:
    """A path with this system's separators."""
    return name.replace(b"\\", b"/") if b"\\" in name else name


def local(name: bytes) -> bytes:
    """The path in an address: ``file:///a/b%20c.jpg``, ``https://host/a/1.jpg?key=2``, ``/local-files/?d=a/1.jpg``."""
    name = plain(name)
    scheme = SCHEME.match(name)
    if scheme:
        name = name[scheme.end() :]
        name = HOST.sub(b"", name) if scheme[0].lower() != b"file:" else name.removeprefix(b"//")
    if b"?d=" in name:
        name = name.partition(b"?d=")[2]
    elif scheme and scheme[0].lower() != b"file:":
        name = name.partition(b"?")[0]
    return unquote_to_bytes(name)


@final
class PictureIndex:
    """The pictures of a place by the ends of their paths, upper and lower case apart.

    Args:
        paths: of the pictures.
    """

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._names: dict[str, list[bytes]] = {}
        self._stems: dict[str, list[bytes]] = {}
        for path in paths:
            name = os.fsdecode(os.path.basename(path)).casefold()
            self._names.setdefault(name, []).append(path)
            self._stems.setdefault(os.path.splitext(name)[0], []).append(path)

    def __bool__(self) -> bool:
        return bool(self._names)

    def find(self, name: bytes) -> list[bytes]:
        """The pictures that share the longest tail with a name; several where it says too little, none where none does.

        A name counts as it stands and as an address. Where no picture is named so, one of the same name without ending
        is taken, then one without the letters that Label Studio puts before the names of uploads.
        """
        tails = dict.fromkeys(_parts(each) for each in (plain(name), local(name)))
        short = dict.fromkeys((*tail[:-1], UPLOADED.sub("", tail[-1])) for tail in tails if tail)
        for parts in (*tails, *short):
            if parts and (found := self._names.get(parts[-1].casefold())):
                return _longest(parts, found)
        for parts in (*tails, *short):
            stem = os.path.splitext(parts[-1])[0] if parts else ""
            for each in (parts[-1] if parts else "", stem):
                if each and (found := self._stems.get(each.casefold())):
                    return _longest((*parts[:-1], each), found, stems=True)
        return []


def _longest(parts: Parts, found: list[bytes], *, stems: bool = False) -> list[bytes]:
    """The pictures whose path shares the longest end with another, case aside; of these, those of its case."""
    if len(found) == 1:
        return found
    for fold in (str.casefold, str):
        shared = [_shared(tuple(map(fold, parts)), tuple(map(fold, _parts(path))), stems=stems) for path in found]
        found = [path for path, count in zip(found, shared, strict=True) if count == max(shared)]
    return found


def _shared(one: Parts, other: Parts, *, stems: bool) -> int:
    if stems:
        other = (*other[:-1], os.path.splitext(other[-1])[0])
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _parts(path: bytes) -> Parts:
    return tuple(part for part in os.fsdecode(path).split("/") if part not in ("", ".", ".."))
