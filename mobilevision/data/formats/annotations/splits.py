"""Checks the annotations of each split and makes splits of them with one list of classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from mobilevision.data.boxes import Boxes, BoxTargets
from mobilevision.data.checks import letters
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.raw import SIDES, Corners, Raw, many
from mobilevision.data.formats.scan import Listing
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images import jpeg
from mobilevision.images.decode import SIDEWAYS, printable
from mobilevision.io.regular_files import open_regular
from mobilevision.ops.boxes import area as box_area

# The sizes of many images from their headers.

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


# Whether boxes are written in pixels, in fractions or in percent of their images: decided for a set as a whole.

FRACTIONS = 1.5
"""The largest number among boxes in fractions, of which some reach beyond their image."""
PERCENT = 101.0
"""The largest number among boxes in percent."""
REACH = 75.0
"""How far boxes in percent reach at least, the furthest of a set, to the right and down."""
CHANCE = 1e-3
"""As improbable must it be, were the boxes in pixels, that all of them lie within the first hundred of each side."""
SAMPLE = 300  # images whose sizes are looked at for it


UNITS = ("pixels", *SIDES)


def checked(units: str | None) -> str | None:
    """The key ``units`` of a format.

    Raises:
        UserError: no such unit.
    """
    if units is not None and units not in UNITS:
        raise UserError(f"data.format.units={units}: null or one of {', '.join(UNITS)}")
    return units


def with_units(parts: Mapping[str, Raw], notes: list[str], units: str | None = None) -> dict[str, Raw]:
    """The same with the units of the boxes with_units.

    ``Raw.unit`` is what the format means; where all boxes of the set contradict it, they are taken for what they are
    and a note says so. It is never decided for one image alone.

    Args:
        parts: split -> what was read.
        notes: added to.
        units: ``pixels``, ``fractions`` or ``percent`` where a user knows; None recognises them.
    """
    filled = [raw for raw in parts.values() if len(raw.owner)]
    if not filled:
        return dict(parts)
    meant = filled[0].unit
    unit = units or _recognised(filled, meant)
    if unit != meant or unit == "percent":
        notes.append("the boxes are in pixels" if unit == "pixels" else f"the boxes are in {unit} of the images")
    if unit == "pixels" == meant:
        return dict(parts)
    # A stated area is in nobody knows which unit: that of the box is taken.
    return {split: replace(raw, unit=unit, area=np.full(len(raw.area), np.nan)) for split, raw in parts.items()}


def _recognised(filled: list[Raw], meant: str) -> str:
    if meant == "percent":  # one tool alone writes it
        return meant
    corners = [raw.corners[np.isfinite(raw.corners).all(axis=1)] for raw in filled]
    largest = max((float(np.abs(each).max()) for each in corners if len(each)), default=0.0)
    if largest <= FRACTIONS:
        return "fractions"
    if meant == "fractions" and not beyond_fractions(filled):
        return meant
    return "percent" if largest <= PERCENT and _percent(filled) else "pixels"


def beyond_fractions(parts: Iterable[Raw]) -> bool:
    """Whether not one box of the set is in fractions."""
    return all(bool((raw.corners.max(axis=1) > FRACTIONS).all()) for raw in parts if len(raw.owner))


def _percent(filled: list[Raw]) -> bool:
    """Whether numbers up to a hundred are percent: as pixels, all of them in one corner would be an odd chance."""
    chance, reach, broken = 0.0, np.zeros(2), 0
    for raw in filled:
        images = np.unique(raw.owner)
        images = images[:: max(1, len(images) // SAMPLE)]
        sizes = raw.sizes[images]
        unknown = np.flatnonzero((sizes <= 0).any(axis=1))
        sizes[unknown] = image_sizes([raw.paths[i] for i in images[unknown].tolist()])[:, :2]
        rows = np.flatnonzero(np.isin(raw.owner, images))
        size = sizes[np.searchsorted(images, raw.owner[rows])]
        rows, size = rows[(size > 0).all(axis=1)], size[(size > 0).all(axis=1)]
        corners = raw.corners[rows]
        chance += _log_chance(corners, size)
        broken += int((corners % 1 > 0).any(axis=1).sum())
        reach = np.maximum(reach, corners[:, 2:].max(axis=0, initial=0))
    return broken > 0 and bool((reach >= REACH).all()) and chance < np.log(CHANCE)


def _log_chance(corners: Corners, size: NDArray[np.int64]) -> float:
    """Of boxes of these sizes lying anywhere in their images, how likely all of them lie below 100."""
    sides, room = corners[:, 2:] - corners[:, :2], size[:, ::-1].astype(np.float64)
    share = np.clip((100 - sides) / np.maximum(room - sides, 1e-9), 0.02, 1.0)
    share = np.where(corners[:, 2:] > room + 1, 0.02, share)
    return float(np.log(share).sum())


def to_pixels(raw: Raw) -> Raw:
    """The boxes in pixels; the sizes of all images are known."""
    if raw.unit == "pixels":
        return raw
    scale = raw.sizes[raw.owner][:, [1, 0, 1, 0]] / SIDES[raw.unit]
    return replace(raw, corners=raw.corners * scale, unit="pixels")


# Checks of the boxes themselves; what cannot be used is left out and named, one problem a box.

SLACK = 1.0
"""Pixels (or a thousandth of the side, if that is more) beyond the image that are taken for rounding."""

FINITE, NEGATIVE, FLAT, OUTSIDE, REPEATED, BEYOND, FRACTION = range(1, 8)


def check_boxes(
    raw: Raw, problems: list[Problem], notes: list[str], *, keep_repeats: bool = False, in_pixels: bool = False
) -> Raw:
    """Leave out invalid boxes; clip those that reach beyond their image.

    Args:
        raw: what was read; the sizes of all images are known.
        problems: added to.
        notes: added to.
        keep_repeats: let a box stay that repeats another of its class to the last digit.
        in_pixels: the boxes were written in pixels, so that one within the first pixel is one in fractions.

    Returns:
        The usable boxes, inside their images. Areas not stated are those of the clipped boxes.
    """
    raw = raw.boxes(raw.labels >= 0)
    limits = raw.sizes[raw.owner][:, [1, 0, 1, 0]].astype(np.float64)
    clipped, fault, nudged = _clip_and_check(raw.corners, limits)
    if in_pixels:
        tiny = (raw.corners >= 0).all(axis=1) & (raw.corners <= 1).all(axis=1)
        tiny &= (raw.corners[:, 2:] - raw.corners[:, :2] < 1).all(axis=1)
        fault[tiny & (fault == 0)] = FRACTION
    if not keep_repeats:
        usable = np.flatnonzero(np.isin(fault, (0, BEYOND)))
        first = _first_like(raw, usable)
        again = usable[first != usable]
        fault[again] = REPEATED
        repeats = dict(zip(again.tolist(), first[first != usable].tolist(), strict=True))
    for i in np.flatnonzero(fault).tolist():
        problems.append(_problem(raw, i, int(fault[i]), clipped[i], lambda i: raw.box_at(repeats[i])))
    keep = np.isin(fault, (0, BEYOND))
    if count := int((nudged & keep & (fault == 0)).sum()):
        notes.append(f"{many(count, 'box')} reached up to a pixel beyond the image, as rounding does: clipped")
    area = np.where(np.isnan(raw.area), box_area(clipped), raw.area)
    return raw.boxes(keep, corners=clipped[keep], area=area[keep])


def _clip_and_check(corners: Corners, limits: Corners) -> tuple[Corners, NDArray[np.int8], NDArray[np.bool_]]:
    """The boxes clipped to their images, what is wrong with each (0: nothing), and which were clipped by a little."""
    finite: NDArray[np.bool_] = np.all(np.isfinite(corners), axis=1)
    corners = np.where(finite[:, None], corners, 0.0)
    clipped = np.clip(corners, 0.0, limits)
    over = np.abs(corners - clipped)
    sides, inside = corners[:, 2:] - corners[:, :2], clipped[:, 2:] - clipped[:, :2]
    fault = np.zeros(len(corners), dtype=np.int8)
    fault[(over > np.maximum(SLACK, limits / 1000)).any(axis=1)] = BEYOND
    fault[(inside <= 0).any(axis=1)] = OUTSIDE
    fault[(sides == 0).any(axis=1)] = FLAT
    fault[(sides < 0).any(axis=1)] = NEGATIVE
    fault[~finite] = FINITE
    nudged: NDArray[np.bool_] = np.any(over > 0, axis=1)
    return clipped, fault, nudged


def _first_like(raw: Raw, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the rows, the first row with the same image, class, kind and box."""
    table = np.column_stack([raw.owner, raw.labels, raw.crowd, raw.corners])[rows]
    order = np.lexsort(table.T)  # stable: equals stay in their order
    ordered = table[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty_like(rows)
    first[order] = rows[order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]]
    return first


def _problem(raw: Raw, i: int, fault: int, clipped: Corners, repeated: Callable[[int], str]) -> Problem:
    owner = int(raw.owner[i])
    left, top, right, bottom = raw.corners[i].tolist()
    height, width = raw.sizes[owner].tolist()
    box, image = f"box ({left:g}, {top:g}, {right:g}, {bottom:g})", f"the image of {width} x {height} pixels"
    match fault:
        case 1:  # FINITE
            what, fix = f"{box} is not of finite numbers", "write its numbers or remove it"
        case 2:  # NEGATIVE
            what, fix = f"{box} has its corners swapped, or a negative size", "write left < right and top < bottom"
        case 3:  # FLAT
            what, fix = f"{box} has no area", "draw it anew or remove it"
        case 4:  # OUTSIDE
            what, fix = f"{box} lies outside {image}", "mend its numbers or remove it"
        case 5:  # REPEATED
            what, fix = f"{box} of class {raw.names[raw.labels[i]]!r} repeats {repeated(i)}", "keep one of them"
        case 7:  # FRACTION
            what, fix = f"{box} seems to be in fractions of the image, among others in pixels", "write it in pixels"
        case _:
            by = float(np.abs(raw.corners[i] - clipped).max())
            what, fix = f"{box} reaches {by:g} pixels beyond {image}", "mend its numbers; skipping clips it"
    known = (left, top, right, bottom) if fault != FINITE else None
    return Problem(raw.box_at(i), what, fix, printable(raw.paths[owner]), known)


ORDER = ("train", "val", "test")


def make_splits(
    parts: Mapping[str, Raw],
    splits: Splits,
    *,
    root: Path,
    channels: int,
    classes: Sequence[str] | None = None,
    keep_repeats: bool = False,
    units: str | None = None,
) -> Splits:
    """Check every split and make records of it.

    Args:
        parts: split -> what was read.
        splits: problems and notes so far; filled in and returned.
        root: what a user calls the data, for errors.
        channels: channels of an image.
        classes: the class names, where the format lists them; None takes those of train (of all, without a train),
            numbers by value and words by letter.
        keep_repeats: let boxes stay that repeat another exactly.
        units: ``pixels``, ``fractions`` or ``percent``; None recognises what the boxes are in.

    Raises:
        UserError: no image is there, or there is not one box.
    """
    learnt = [parts["train"]] if "train" in parts else list(parts.values())
    if classes is None:
        classes = in_order({name for part in learnt for name in part.names})
    splits.classes = tuple(classes)
    parts = with_units(parts, splits.notes, units)
    seen: dict[bytes, str] = {}
    for split in (name for name in ORDER if name in parts):
        splits.notes += parts[split].notes
        raw = check_images(parts[split], seen, splits.problems, splits.notes)
        raw = _numbered(raw, split, splits.classes, splits.problems)
        raw = check_boxes(
            to_pixels(raw),
            splits.problems,
            splits.notes,
            keep_repeats=keep_repeats,
            in_pixels=raw.unit == "pixels" and units is None,
        )
        setattr(splits, split, records(raw, channels))
        splits.notes.append(_count(split, raw))
    _require_boxes(splits, root)
    return splits


def records(raw: Raw, channels: int) -> FileRecords:
    """Checked images and boxes as records; the boxes of an image keep their order."""
    order = np.argsort(raw.owner, kind="stable")
    boxes = Boxes(raw.corners[order], raw.labels[order], raw.crowd[order], raw.difficult[order], raw.area[order])
    counts = np.bincount(raw.owner, minlength=len(raw.paths)).astype(np.int64)
    return FileRecords(paths=raw.paths, targets=BoxTargets(counts, boxes), channels=channels)


def in_order(names: Iterable[str]) -> list[str]:
    """Numbers by value, words by letter."""
    found = set(names)
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found)


def _numbered(raw: Raw, split: str, classes: tuple[str, ...], problems: list[Problem]) -> Raw:
    """Labels as indices of ``classes``; a class that is not among them is a problem, its boxes are left out."""
    if raw.names == classes:
        return raw
    for unknown in (number for number, name in enumerate(raw.names) if name not in classes):
        rows = np.flatnonzero(raw.labels == unknown)
        if len(rows):
            name = raw.names[unknown]
            what = f"class {name!r} ({many(len(rows), 'box')} in {split}) has none in train"
            same = [known for known in classes if letters(known) == letters(name)]
            fix = f"is it {same[0]!r}? Then write it so" if same else "add it to train or remove those boxes"
            problems.append(Problem(raw.box_at(int(rows[0])), what, fix))
    return raw.named(classes)


def _count(split: str, raw: Raw) -> str:
    empty = len(raw.paths) - len(np.unique(raw.owner))
    parts = [many(len(raw.paths), "image"), many(len(raw.owner), "box")]
    parts += [f"{int(raw.crowd.sum())} of them crowd"] if raw.crowd.any() else []
    parts += [f"{int(raw.difficult.sum())} of them difficult"] if raw.difficult.any() else []
    parts += [many(empty, "image") + " without any"] if empty else []
    return f"{split}: {', '.join(parts)}"


def _require_boxes(splits: Splits, root: Path) -> None:
    boxes = sum(len(held.targets.all) for _, held in splits.items() if isinstance(held.targets, BoxTargets))
    if not boxes:
        first = (
            f"; the first of {many(len(splits.problems), 'problem')}: {splits.problems[0]}" if splits.problems else ""
        )
        raise UserError(f"data.root={root}: no usable box in it{first}")


HEADERS_READ = 5000
"""Images whose header is read where the annotation states the sizes; one that differs, and all are read."""


def check_images(raw: Raw, seen: dict[bytes, str], problems: list[Problem], notes: list[str]) -> Raw:
    """Leave out images that are missing, stand twice, or are not of the annotated size; fill in unknown sizes.

    Args:
        raw: what was read.
        seen: files of this and earlier splits and where they are annotated; added to.
        problems: added to, one an image.
        notes: added to.
    """
    raw = raw.images(there_once(raw, seen, problems))
    stated: NDArray[np.bool_] = np.all(raw.sizes > 0, axis=1)
    look = ~stated
    chosen = np.flatnonzero(stated)
    if len(chosen) > HEADERS_READ:
        chosen = chosen[np.linspace(0, len(chosen) - 1, HEADERS_READ).astype(np.int64)]
    look[chosen] = True
    found = _read(raw, look, np.zeros((len(raw.paths), 3), dtype=np.int64))
    if _differ(raw.sizes, found).any() and not look.all():
        found = _read(raw, ~look, found)
    return _resolve_sizes(raw, found, problems, notes)


def there_once(raw: Raw, seen: dict[bytes, str], problems: list[Problem]) -> NDArray[np.bool_]:
    """Which images are there and stand in no file before; the others are problems.

    Args:
        raw: what was read.
        seen: files of this and earlier splits and where they are annotated; added to.
        problems: added to, one an image.
    """
    there, keep = Listing(Path()), np.ones(len(raw.paths), dtype=bool)
    counts = np.bincount(raw.owner, minlength=len(raw.paths))
    for i, path in enumerate(raw.paths):
        if path not in there:
            what = f"no image {printable(path)}" + (f", of {many(int(counts[i]), 'box')}" if counts[i] else "")
            problems.append(Problem(raw.image_at(i), what, "mend the name or remove the annotation"))
        elif first := seen.get(path):
            what = f"the image {os.path.basename(printable(path))} stands in {first} already"
            problems.append(Problem(raw.image_at(i), what, "keep it in one place", printable(path)))
        else:
            seen[path] = raw.image_at(i)
            continue
        keep[i] = False
    return keep


def _read(raw: Raw, look: NDArray[np.bool_], found: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = np.flatnonzero(look)
    found[rows] = image_sizes([raw.paths[i] for i in rows.tolist()])
    return found


def _differ(sizes: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where both sizes are known and more than a pixel apart."""
    known = (sizes > 0).all(axis=1) & (found[:, 0] > 0)
    result: NDArray[np.bool_] = known & (np.abs(sizes - found[:, :2]) > 1).any(axis=1)
    return result


def _resolve_sizes(raw: Raw, found: NDArray[np.int64], problems: list[Problem], notes: list[str]) -> Raw:
    """One size for every image; boxes drawn on an image that lies on its side are turned with it."""
    keep, corners = np.ones(len(raw.paths), dtype=bool), raw.corners.copy()
    differ, on_side = _differ(raw.sizes, found), 0
    unknown = (raw.sizes <= 0).any(axis=1) & (found[:, 0] == 0)
    for i in np.flatnonzero(differ | unknown).tolist():
        (height, width, orientation), name = found[i].tolist(), printable(raw.paths[i])
        stated = tuple(raw.sizes[i].tolist())
        if not unknown[i] and orientation >= 5 and stated == (width, height):
            rows = raw.owner == i
            sides = (SIDES[raw.unit],) * 2 if raw.unit in SIDES else (height, width)
            corners[rows] = turned(corners[rows], orientation, *sides)
            on_side += 1
            continue
        keep[i] = False
        if unknown[i]:
            problems.append(Problem(name, "its size cannot be read: not an image, or damaged", "mend or remove it"))
        else:
            what = f"annotated as {stated[1]} x {stated[0]} pixels, but {name} has {width} x {height}"
            fix = "take the image that was annotated, or annotate this one"
            problems.append(Problem(raw.image_at(i), what, fix, name))
    if on_side:
        notes.append(f"{many(on_side, 'image')} annotated without the EXIF rotation: boxes are turned with it")
    sizes = np.where(found[:, :1] > 0, found[:, :2], raw.sizes)
    return replace(raw, corners=corners, sizes=sizes).images(keep)
