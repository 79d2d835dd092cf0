"""Looking through folders, quickly and in an order that no file system changes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

from mobilevision.errors import UserError
from mobilevision.images.files import LeftOut, entries, images, is_folder, is_image, printable

__all__ = [
    "ALIASES",
    "LeftOut",
    "Listing",
    "by_split",
    "data_root",
    "entries",
    "folders",
    "has_images",
    "images",
    "in_class_order",
    "named_file",
    "named_folder",
    "split_folders",
    "split_of",
]

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "holdout", "heldout", "tst"),
}
"""Split -> the names that it goes by, the most usual first; eval is the test where val has a folder of its own."""

ALIASES = {alias: split for split, aliases in SPLIT_FOLDERS.items() for alias in aliases}
_SAY_NOTHING = frozenset(  # hold out, held out: "out" is the word that is left
    ("set", "data", "dataset", "images", "image", "imgs", "img", "photos", "split", "folder", "hold", "held")
)
_DEPTH = 4  # folders of a single folder that an archive may be wrapped in


def split_of(name: str, needless: Iterable[str] = ()) -> str | None:
    """The split that a folder, or a cell of a table, is named for: Train, training_set, hold-out, test images ...

    Args:
        name: the name.
        needless: words that say nothing, since every folder beside it has them (``seg`` of seg_train and seg_test).
    """
    alias = _alias(name, needless)
    return None if alias is None else ALIASES[alias]


def _alias(name: str, needless: Iterable[str] = ()) -> str | None:
    words = [word for word in _words(name) if word not in needless]
    joined = "".join(words).removesuffix("set")
    if joined in ALIASES:
        return joined
    left = [word.removesuffix("set") or word for word in words if word not in _SAY_NOTHING]
    if left == ["out"]:
        return "holdout"
    return left[0] if len(left) == 1 and left[0] in ALIASES else None


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def named_file(option: str, name: str, base: Path) -> Path:
    """The file that ``data.format.option`` names, relative to ``base``.

    Raises:
        UserError: no such file.
    """
    file = base / Path(name).expanduser()
    if not file.is_file():
        raise UserError(f"data.format.{option}={name}: no such file in {base}")
    return file


def named_folder(option: str, name: str, base: Path) -> Path:
    """Likewise a folder."""
    folder = base / Path(name).expanduser()
    if not folder.is_dir():
        raise UserError(f"data.format.{option}={name}: no such folder")
    return folder


def folders(folder: Path | bytes) -> list[bytes]:
    """Names of the folders in a folder."""
    return [entry.name for entry in entries(os.fsencode(folder)) if is_folder(entry)]


def has_images(folder: Path) -> bool:
    """Whether image files lie directly in a folder."""
    return any(not is_folder(entry) and is_image(entry) for entry in entries(os.fsencode(folder)))


def in_class_order(names: Iterable[str]) -> list[str]:
    """Class names as they are numbered: by value where all are numbers (2 before 10, 2.0 too), else by letter."""
    unsorted = list(names)
    try:
        return (
            sorted(unsorted, key=lambda name: (float(name), name))
            if all(map(_is_number, unsorted))
            else sorted(unsorted)
        )
    except ValueError:
        return sorted(unsorted)


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?", name, re.ASCII) is not None


@final
class Listing:
    """Which files there are below a folder; asks the file system once a folder, not once a file."""

    def __init__(self, base: Path) -> None:
        self._base = os.fsencode(base)
        self._folders: dict[bytes, set[bytes]] = {}

    def __contains__(self, path: bytes) -> bool:
        folder, name = os.path.split(os.path.join(self._base, path))
        if folder not in self._folders:
            try:
                self._folders[folder] = set(os.listdir(folder))
            except (OSError, ValueError):  # ValueError: a zero byte in the name
                self._folders[folder] = set()
        return name in self._folders[folder]


def by_split(names: Iterable[bytes]) -> dict[str, bytes]:
    """Split -> the folder that is named for it, by its most usual name; beside a val, eval is the test."""
    words = {name: set(_words(os.fsdecode(name))) for name in names}
    of_splits = [each for each in words.values() if each & set(ALIASES)]
    needless = set.intersection(*of_splits) - set(ALIASES) if len(of_splits) > 1 else set[str]()
    aliased: dict[str, bytes] = {}
    for name in words:
        alias = _alias(os.fsdecode(name), needless)
        if alias is not None:
            aliased.setdefault(alias, name)
    found: dict[str, bytes] = {}
    for split, aliases in SPLIT_FOLDERS.items():
        there = [aliased[alias] for alias in aliases if alias in aliased]
        if there:
            found[split] = there[0]
    if "test" not in found:
        spare = [aliased[alias] for alias in ("eval", "evaluation") if alias in aliased]
        if spare and spare[0] != found["val"]:
            found["test"] = spare[0]
    return found


def split_folders(root: Path) -> dict[str, bytes]:
    """The folders of ``root`` that are named for a split (also by its usual other names) and hold class folders.

    A folder of images may well be called train: among car and boat it is a class. Where a split folder holds nothing
    but a folder of its own name, as some archives unpack, that one is given.
    """
    base = os.fsencode(root)
    inner = [name for name in folders(root) if folders(os.path.join(base, name))]
    return {split: _unwrapped(base, name) for split, name in by_split(inner).items()}


def _unwrapped(base: bytes, name: bytes) -> bytes:
    """``name``, or the only folder in it where that is named for the same split and holds folders."""
    top = os.path.join(base, name)
    inside = folders(top)
    split = split_of(os.fsdecode(name))
    if inside == [name] or (len(inside) == 1 and split is not None and split_of(os.fsdecode(inside[0])) == split):
        deeper = os.path.join(name, inside[0])
        if folders(os.path.join(base, deeper)) and not has_images(Path(os.fsdecode(top))):
            return deeper
    return name


def data_root(root: Path, notes: list[str], markers: Sequence[str] = ()) -> Path:
    """Where class or split folders begin: ``root``, or a folder below it where an archive was wrapped in one.

    Args:
        root: the folder that was named.
        notes: where a step down is said.
        markers: suffixes of files (such as .csv) beside which nobody steps down.

    Raises:
        UserError: several data sets lie in ``root``, each with a train folder of its own.
    """
    given = root
    for _ in range(_DEPTH):
        below = _one_below(root, markers)
        if below is None:
            break
        root = below
    if root != given:
        notes.append(f"data.root: took {os.path.relpath(root, given)}/ in it, where the class folders are")
    return root


def _one_below(root: Path, markers: Sequence[str]) -> Path | None:
    files = [entry.name.lower() for entry in entries(os.fsencode(root)) if not is_folder(entry)]
    if any(name.endswith(os.fsencode(marker)) for name in files for marker in markers):
        return None
    names = folders(root)
    if not names or split_folders(root) or has_images(root):
        return None
    if len(names) == 1:
        only = root / os.fsdecode(names[0])
        if split_folders(only) or (only.name == root.name and folders(only)):
            return only
        if has_images(only):
            return None
        return only if len(_with_images(only)) > 1 or _one_below(only, markers) is not None else None
    sets = [name for name in names if _is_split_set(root / os.fsdecode(name))]
    if not sets:
        return None
    if len(sets) == 1 and set(_with_images(root)) <= set(sets):
        return root / os.fsdecode(sets[0])
    named = ", ".join(f"data.root={root / os.fsdecode(name)}" for name in sets[:3])
    raise UserError(
        f"data.root={root}: a folder in it has train/ and more of its own, beside others, so that these are no class"
        f" folders: name one ({named}{' ...' if len(sets) > 3 else ''})"
    )


def _is_split_set(folder: Path) -> bool:
    found = split_folders(folder)
    return "train" in found and len(found) > 1


def _with_images(root: Path) -> list[bytes]:
    base = os.fsencode(root)
    return [name for name in folders(root) if next(images(os.path.join(base, name), name), None) is not None]


def left_over(names: Iterable[bytes]) -> str:
    """Folders for a note: the first few by name."""
    listed = [f"{printable(name)}/" for name in names]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
