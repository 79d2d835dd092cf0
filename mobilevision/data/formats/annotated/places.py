"""Where annotation files and pictures lie, whatever a set's layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mobilevision.data.decode import printable
from mobilevision.data.formats.annotated.raw import Raw
from mobilevision.data.formats.scan import entries, folders
from mobilevision.data.formats.table_rows import ALIASES
from mobilevision.errors import UserError
from mobilevision.ops.picture_files import PICTURE_SUFFIXES

ANNOTATIONS = ("annotations", "annotation", "labels", "xmls", "xml", "ann", "anns")
PICTURES = ("images", "jpegimages", "image", "img", "imgs", "pictures", "photos")
PROBES = 32  # pictures looked for before a folder is taken as theirs


def split_of(name: str) -> str | None:
    """The split that a file or folder is named for: ``train_labels``, ``instances_val2017``, ``valid``."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((ALIASES[word] for word in words if word in ALIASES), None)


def annotation_files(root: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str | None, Path]]:
    """(split, file) for the files in a root, in its annotation folders and in its folders of a split."""
    if root.is_file():
        yield None, root
        return
    tops = [os.fsdecode(name) for name in folders(root)]
    inner = [name for name in tops if name.lower() in ANNOTATIONS or split_of(name)]
    for folder in (root, *(root / name for name in inner)):
        for entry in entries(os.fsencode(folder)):
            if entry.name.lower().endswith(tuple(map(os.fsencode, suffixes))) and entry.is_file():
                path = folder / os.fsdecode(entry.name)
                yield split_of(path.stem) or (split_of(folder.name) if folder != root else None), path


def picture_folders(root: Path, beside: Path, split: str | None) -> Iterator[Path]:
    """Folders in which the pictures of an annotation file may lie, likely ones first.

    Args:
        root: of the data.
        beside: the folder of the annotation file.
        split: whose pictures; folders of another split are passed over.
    """
    tops = [beside] if beside == root else [beside, root]
    inner = [folder for top in tops for folder in _named(top)]
    outside = [folder for folder in _named(root.resolve().parent) if folder.name.lower() in PICTURES]
    below = [folder for top in (*inner, *outside) if top.name.lower() in PICTURES for folder in _named(top)]
    every = [*below, *inner, *tops, *outside]
    if split:
        yield from (folder for folder in every if split_of(folder.name) == split)
    yield from (folder for folder in every if folder in tops or split_of(folder.name) in (split, None) or not split)


def locate(names: Sequence[bytes], candidates: Iterable[Path]) -> tuple[Path, bool] | None:
    """The folder in which most of the files lie, by a few of them.

    Args:
        names: as annotated: names or paths, perhaps of another machine.
        candidates: folders to try.

    Returns:
        The folder, and whether only the last part of each name counts; None where nothing is found.
    """
    probes = [os.fsencode(plain(name)) for name in names[:: max(1, len(names) // PROBES)]]
    best, most = None, 0
    for folder in dict.fromkeys(candidates):
        for bare in (False, True):
            found = sum(_exists(folder, os.path.basename(name) if bare else name) for name in probes)
            if found > most:
                best, most = (folder, bare), found
        if most == len(probes):
            break
    return best


def full(names: Sequence[bytes], place: tuple[Path, bool]) -> list[bytes]:
    """The paths of annotated files, after :func:`locate`."""
    folder, bare = os.fsencode(place[0]), place[1]
    given = map(plain, names)
    return [os.path.normpath(os.path.join(folder, os.path.basename(name) if bare else name)) for name in given]


def plain(name: bytes) -> bytes:
    """A path with this system's separators."""
    return name.replace(b"\\", b"/") if b"\\" in name else name


def one_a_split(found: Iterable[tuple[str | None, Path]], top: Path, notes: list[str]) -> tuple[dict[str, Path], bool]:
    """The one file of each split, and whether there is but one, of no split, which is called train then.

    Beside files of splits, those of none are noted as not used: often they hold all rows once more.

    Raises:
        UserError: several files for one split, or several of which none says its split.
    """
    named: dict[str | None, list[Path]] = {}
    for split, file in found:
        named.setdefault(split, []).append(file)
    loose = named.pop(None, [])
    whole = not named
    if whole:
        named, loose = {"train": loose}, []
    for split, files in named.items():
        if len(files) > 1:
            names = ", ".join(os.path.relpath(file, top) for file in files[:6])
            raise UserError(f"data.root={top}: {split} may be any of {names}: choose with data.format.{split}=FILE")
    if loose:
        notes.append("not used: " + ", ".join(os.path.relpath(file, top) for file in loose[:6]))
    return {str(split): named[split][0] for split in ("train", "val", "test") if split in named}, whole


def with_paths(raw: Raw, file: Path, top: Path, split: str | None, images: str | None) -> Raw:
    """The pictures' names as files.

    Raises:
        UserError: none of the pictures is found.
    """
    if not raw.paths:
        return raw
    given = Path(images).expanduser() if images else None
    tried = list(picture_folders(given, given, split) if given else picture_folders(top, file.parent, split))
    if given and not given.is_absolute():
        tried += picture_folders(top / given, top / given, split)
    found = locate(raw.paths, tried)
    if found is None and (paths := _by_stem(raw.paths, tried)):
        return replace(raw, paths=paths)
    if found is None:
        where = ", ".join(str(folder) for folder in list(dict.fromkeys(tried))[:6])
        raise UserError(
            f"{file}: none of its pictures is found ({printable(raw.paths[0])}, for one, in {where}):"
            " name their folder with data.format.images=FOLDER"
        )
    return replace(raw, paths=full(raw.paths, found))


def _by_stem(names: Sequence[bytes], tried: Iterable[Path]) -> list[bytes] | None:
    """The paths of names without an ending; None where not one of them is found."""
    for folder in dict.fromkeys(tried):
        listed = entries(os.fsencode(folder)) if folder.is_dir() else []
        stems = {os.path.splitext(entry.name)[0]: entry.name for entry in listed if is_picture(entry.name)}
        if any(name in stems for name in names):
            return [os.path.join(os.fsencode(folder), stems.get(name, name)) for name in names]
    return None


def is_picture(name: bytes) -> bool:
    """Whether a file is named like a picture."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def _named(top: Path) -> list[Path]:
    """The folders of ``top`` that are named for pictures or for a split."""
    try:
        names = [os.fsdecode(name) for name in folders(top)]
    except OSError:
        return []
    return [top / name for name in names if name.lower() in PICTURES or split_of(name)]


def _exists(folder: Path, name: bytes) -> bool:
    return os.path.isfile(os.path.join(os.fsencode(folder), name))
