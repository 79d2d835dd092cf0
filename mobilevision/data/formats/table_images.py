"""The image files that the rows of a table mean, by paths that may be those of another machine, or ids."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import final

from mobilevision.data.formats.annotations.image_lookup import UPLOADED, local
from mobilevision.data.formats.scan import Listing, images, split_of
from mobilevision.data.formats.text import as_text
from mobilevision.images.files import IMAGE_SUFFIXES, printable

_SAMPLE = 200  # rows that decide whether paths are taken as they stand
_ABSOLUTE = re.compile(r"^(/|[A-Za-z]:/|//|[A-Za-z][A-Za-z0-9+.-]+://)")


@final
class TableImages:
    """Finds the files of a table's rows.

    A path is taken as it stands, from ``base`` on, with the other system's separators turned. Where that fails for most
    of the first rows, the images below ``base`` are searched by the end of their path, case aside, and by their
    stem where a row gives an id without suffix. A file is only taken where its whole path below ``base``, or the whole
    path of the row, agrees (of an absolute path, the name suffices) and there is no other.

    Args:
        base: the folder that relative paths start from.
        sample: the paths of some rows.
    """

    def __init__(self, base: Path, sample: Iterable[bytes]) -> None:
        self.base = base
        self._there = Listing(base)
        tried = list(islice(sample, _SAMPLE))
        direct = sum(self._direct(path) is not None for path in tried)
        self._search = direct * 2 < len(tried)
        self._names: dict[str, list[bytes]] | None = None
        self._example: tuple[bytes, bytes] | None = None
        self._found = 0

    def find(self, path: bytes, split: str | None = None) -> bytes | None:
        """The file, relative to the base, or None where there is none or more than one.

        Args:
            path: as the row has it.
            split: of the row; of several files, the one in a folder of that split is meant.
        """
        direct = self._direct(path)
        if direct is not None or not self._search:
            return direct
        found = self._candidates(path)
        if len(found) > 1:
            found = [each for each in found if split in map(split_of, os.fsdecode(os.path.dirname(each)).split("/"))]
        if len(found) != 1:
            return None
        self._found += 1
        self._example = self._example or (path, found[0])
        return found[0]

    def missing(self, path: bytes) -> str:
        """What to say of a row without a file."""
        several = self._candidates(path) if self._search else []
        if len(several) > 1:
            named = " and ".join(map(printable, several[:2]))
            return f"{printable(path)} could be {named}{' ...' if len(several) > 2 else ''} in {self.base}"
        return f"no file {printable(path)} in {self.base}"

    def notes(self) -> list[str]:
        """How files were found, where their paths did not lead to them."""
        if self._example is None:
            return []
        row, file = map(printable, self._example)
        return [f"{self._found:,} rows found by the end of their path or their id: {row} is {file}"]

    def _direct(self, path: bytes) -> bytes | None:
        if path in self._there:
            return path
        turned = path.replace(b"\\", b"/")
        for each in dict.fromkeys((turned, os.path.normpath(turned), as_text(os.fsdecode(turned)).encode())):
            if each != path and each in self._there:
                return each
        return None

    def _candidates(self, path: bytes) -> list[bytes]:
        if self._names is None:
            self._names = {}
            for file in images(os.fsencode(self.base), b""):
                name = os.fsdecode(os.path.basename(file)).casefold()
                for key in {name, os.path.splitext(name)[0]}:
                    self._names.setdefault(key, []).append(file)
        above, own = os.path.split(path)
        uploaded = os.path.join(above, os.fsencode(UPLOADED.sub("", os.fsdecode(own))))
        for each in dict.fromkeys((path, local(path), uploaded)):  # as it stands, as an address, as Label Studio has it
            if found := self._of_name(each):
                return found
        return []

    def _of_name(self, path: bytes) -> list[bytes]:
        assert self._names is not None
        text = as_text(os.fsdecode(path)).replace("\\", "/").casefold()
        absolute = _ABSOLUTE.match(text) is not None
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if not parts:
            return []
        bare = not parts[-1].encode("utf-8", "surrogateescape").endswith(IMAGE_SUFFIXES)
        best: list[bytes] = []
        most = 0
        for file in self._names.get(parts[-1], ()):
            own = os.fsdecode(file).casefold().split("/")
            if bare:
                own[-1] = own[-1] if own[-1] == parts[-1] else os.path.splitext(own[-1])[0]
            pairs = zip(reversed(parts), reversed(own), strict=False)
            shared = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(parts), len(own)))
            if shared < min(len(parts), len(own)) and not absolute:
                continue
            best, most = (
                ([*best, file], most) if shared == most else ([file], shared) if shared > most else (best, most)
            )
        return best
