"""Where annotation files and images lie, whatever a set's layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final
from urllib.parse import unquote_to_bytes

from mobilevision.data.formats.annotations.raw import Raw
from mobilevision.data.formats.scan import ALIASES, Listing, entries, folders, images
from mobilevision.errors import UserError
from mobilevision.images.decode import printable

# Finding annotated images whose paths are those of another machine.

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
class ImageIndex:
    """The images of a place by the ends of their paths, upper and lower case apart.

    Args:
        paths: of the images.
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
        """The images that share the longest tail with a name; several where it says too little, none where none does.

        A name counts as it stands and as an address. Where no image is named so, one of the same name without ending
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
    """The images whose path shares the longest end with another, case aside; of these, those of its case."""
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


ANNOTATIONS = ("annotations", "annotation", "labels", "xmls", "xml", "ann", "anns", "json", "jsons")
IMAGES = ("images", "jpegimages", "image", "img", "imgs", "pictures", "photos", "data", "frames")
PROBES = 32  # images looked for before a folder is taken as theirs


def split_in_name(name: str) -> str | None:
    """The split that a file or folder is named for: ``train_labels``, ``instances_val2017``, ``valid``."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((ALIASES[word] for word in words if word in ALIASES), None)


def annotation_files(root: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str | None, Path]]:
    """(split, file) for the files in a root, in its annotation folders and in its folders of a split."""
    if root.is_file():
        yield None, root
        return
    inner = [root / os.fsdecode(name) for name in folders(root)]
    named = [folder for folder in inner if folder.name.lower() in ANNOTATIONS or split_in_name(folder.name)]
    below = [folder / os.fsdecode(name) for folder in named for name in folders(folder)]
    named += [folder for folder in below if folder.name.lower() in ANNOTATIONS or split_in_name(folder.name)]
    found = [each for folder in (root, *named) for each in _files_in(folder, root, suffixes)]
    found = found or [each for folder in inner for each in _files_in(folder, root, suffixes)]
    if not found and len(inner) == 1:  # the root is too high
        yield from annotation_files(inner[0], suffixes)
    yield from found


def _files_in(folder: Path, root: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str | None, Path]]:
    above = folder.relative_to(root).parts
    split = next((found for found in map(split_in_name, reversed(above)) if found), None)
    for entry in entries(os.fsencode(folder)):
        if entry.name.lower().endswith(tuple(map(os.fsencode, suffixes))) and entry.is_file():
            path = folder / os.fsdecode(entry.name)
            yield split_in_name(path.stem) or split, path


def image_folders(root: Path, beside: Path, split: str | None) -> Iterator[Path]:
    """Folders in which the images of an annotation file may lie, likely ones first.

    Args:
        root: of the data.
        beside: the folder of the annotation file.
        split: whose images; folders of another split are passed over.
    """
    tops = [beside] if beside == root else [beside, root]
    inner = [folder for top in tops for folder in _named(top)]
    outside = [folder for folder in _named(root.resolve().parent) if folder.name.lower() in IMAGES]
    below = [folder for top in (*inner, *outside) if top.name.lower() in IMAGES for folder in _named(top)]
    every = [*below, *inner, *tops, *outside]
    if split:
        yield from (folder for folder in every if split_in_name(folder.name) == split)
    yield from (
        folder for folder in every if folder in tops or split_in_name(folder.name) in (split, None) or not split
    )


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


def named_folder(images: str, top: Path) -> Path:
    """The folder of images that a user names (``data.format.images``): as it stands, else below ``top``.

    Raises:
        UserError: neither is one.
    """
    given = Path(images).expanduser()
    found = next((each for each in (given, top / given) if each.is_dir()), None)
    if found is None:
        raise UserError(f"data.format.images={images}: there is no such folder, neither here nor in {top}")
    return found


def with_paths(raw: Raw, file: Path, top: Path, split: str | None, images: str | None, option: str) -> Raw:
    """The images' names as files.

    Names count as they are written, relative to a likely folder; where most are not found so, by the longest end of
    their paths that an image below the root has.

    Args:
        raw: what was read.
        file: the annotation file.
        top: the root of the data.
        split: whose images; None for all.
        images: their folder, where a user names it.
        option: the data option that messages name.

    Raises:
        UserError: none of the images is found, a name may be several, or the named folder is none.
    """
    given = Path(images).expanduser() if images else None
    if images:
        named_folder(images, top)
    if not raw.paths:
        return raw
    tried = list(image_folders(given, given, split) if given else image_folders(top, file.parent, split))
    if given and not given.is_absolute():
        tried += image_folders(top / given, top / given, split)
    found = locate(raw.paths, tried)
    paths = full(raw.paths, found) if found else list(map(plain, raw.paths))
    there = Listing(Path())
    missing = [i for i, path in enumerate(paths) if path not in there]
    if not missing:
        return replace(raw, paths=paths)
    base = given if given and given.is_dir() else top / given if given else top
    mostly = found is not None and 2 * len(missing) <= len(paths)
    far = [] if given else [folder for folder in tried if folder != base and base not in folder.parents]
    hits = _missing(raw.paths, paths, missing, found if mostly else None, _below(base, split, far))
    if found is None and not hits:
        where = ", ".join(str(folder) for folder in list(dict.fromkeys(tried))[:6])
        raise UserError(
            f"{file}: none of its images is found ({printable(raw.paths[0])}, for one, in {where}):"
            f" name their folder with data={option} data.format.images=FOLDER"
        )
    for i, hit in hits.items():
        paths[i] = hit
    return replace(raw, paths=paths, notes=(*raw.notes, *_suffix_notes(raw.paths, hits)))


def _suffix_notes(names: Sequence[bytes], hits: Mapping[int, bytes]) -> list[str]:
    """A note for images that were found under another ending than the annotations give them."""
    others = [
        (names[i], os.path.basename(hit))
        for i, hit in hits.items()
        if (ending := os.path.splitext(names[i])[1]) and ending.lower() != os.path.splitext(hit)[1].lower()
    ]
    if not others:
        return []
    name, file = (printable(each) for each in others[0])
    return [f"{len(others)} annotated with another ending than the file's: {name} is taken for {file}"]


def _missing(
    names: Sequence[bytes],
    paths: Sequence[bytes],
    missing: Sequence[int],
    place: tuple[Path, bool] | None,
    images_: Sequence[bytes],
) -> dict[int, bytes]:
    """Files for images that are not where they were looked for.

    Args:
        names: as annotated.
        paths: where each was looked for.
        missing: the places of those that are not there.
        place: where most of the others are; an image must be at its place there then, in other case or with another
            ending.
        images_: those that there are.

    Raises:
        UserError: a name may be several images.
    """
    index = ImageIndex(images_)
    hits: dict[int, bytes] = {}
    for i in missing:
        found = index.find(names[i])
        if place is not None:
            wanted = {os.path.splitext(each)[0].lower() for each in (paths[i], *full([local(names[i])], place))}
            found = [path for path in found if os.path.splitext(path)[0].lower() in wanted]
        if len(found) > 1:
            some = " or ".join(printable(path) for path in found[:3])
            raise UserError(f"{printable(names[i])} may be {some}: keep one of them, or annotate by folder and name")
        if found:
            hits[i] = found[0]
    return hits


def _below(base: Path, split: str | None, far: Sequence[Path]) -> list[bytes]:
    """The images below a folder, those of another split left out; without any, those of folders elsewhere."""
    for folder in (base, *dict.fromkeys(far)):
        found = [path for path in images(os.fsencode(folder), b"") if _may_be(path, split)] if folder.is_dir() else []
        if found:
            return [os.path.join(os.fsencode(folder), path) for path in found]
    return []


def _may_be(path: bytes, split: str | None) -> bool:
    above = os.fsdecode(os.path.dirname(path)).split(os.sep)
    splits = {found for found in map(split_in_name, above) if found}
    return not split or not splits or split in splits


def unused_lists(root: Path) -> list[str]:
    """A note for lists of a split's images at the root, or in its ImageSets/Main, which a format does not read."""
    tops = [root, root / "ImageSets", root / "ImageSets" / "Main"] if root.is_dir() else []
    found = [
        os.path.relpath(path, root)
        for top in tops
        for path in sorted(top.glob("*.txt"))
        if path.stem.lower() in (*ALIASES, "trainval")
    ]
    return [f"lists seen and not used: {', '.join(found)}"] if found else []


def _named(top: Path) -> list[Path]:
    """The folders of ``top`` that are named for images or for a split."""
    try:
        names = [os.fsdecode(name) for name in folders(top)]
    except OSError:
        return []
    return [top / name for name in names if name.lower() in IMAGES or split_in_name(name)]


def _exists(folder: Path, name: bytes) -> bool:
    return os.path.isfile(os.path.join(os.fsencode(folder), name))
