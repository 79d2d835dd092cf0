"""Checks of the annotated pictures: there, once, and of the annotated size."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.formats.annotations.image_sizes import picture_sizes, turned
from mobilevision.data.formats.annotations.raw import SIDES, Raw, many
from mobilevision.data.formats.scan import Listing
from mobilevision.data.records import Problem
from mobilevision.images.decode import printable

LOOKED_AT = 5000
"""Pictures whose header is read where the annotation states the sizes; one that differs, and all are read."""


def check_pictures(raw: Raw, seen: dict[bytes, str], problems: list[Problem], notes: list[str]) -> Raw:
    """Leave out pictures that are missing, stand twice, or are not of the annotated size; fill in unknown sizes.

    Args:
        raw: what was read.
        seen: files of this and earlier splits and where they are spoken of; added to.
        problems: added to, one a picture.
        notes: added to.
    """
    raw = raw.pictures(_there_once(raw, seen, problems))
    stated: NDArray[np.bool_] = np.all(raw.sizes > 0, axis=1)
    look = ~stated
    chosen = np.flatnonzero(stated)
    if len(chosen) > LOOKED_AT:
        chosen = chosen[np.linspace(0, len(chosen) - 1, LOOKED_AT).astype(np.int64)]
    look[chosen] = True
    found = _read(raw, look, np.zeros((len(raw.paths), 3), dtype=np.int64))
    if _differ(raw.sizes, found).any() and not look.all():
        found = _read(raw, ~look, found)
    return _settle(raw, found, problems, notes)


def _there_once(raw: Raw, seen: dict[bytes, str], problems: list[Problem]) -> NDArray[np.bool_]:
    there, keep = Listing(Path()), np.ones(len(raw.paths), dtype=bool)
    counts = np.bincount(raw.owner, minlength=len(raw.paths))
    for i, path in enumerate(raw.paths):
        if path not in there:
            what = f"no picture {printable(path)}" + (f", of {many(int(counts[i]), 'box')}" if counts[i] else "")
            problems.append(Problem(raw.picture_at(i), what, "mend the name or remove the annotation"))
        elif first := seen.get(path):
            what = f"the picture {os.path.basename(printable(path))} stands in {first} already"
            problems.append(Problem(raw.picture_at(i), what, "keep it in one place", printable(path)))
        else:
            seen[path] = raw.picture_at(i)
            continue
        keep[i] = False
    return keep


def _read(raw: Raw, look: NDArray[np.bool_], found: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = np.flatnonzero(look)
    found[rows] = picture_sizes([raw.paths[i] for i in rows.tolist()])
    return found


def _differ(sizes: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where both sizes are known and more than a pixel apart."""
    known = (sizes > 0).all(axis=1) & (found[:, 0] > 0)
    result: NDArray[np.bool_] = known & (np.abs(sizes - found[:, :2]) > 1).any(axis=1)
    return result


def _settle(raw: Raw, found: NDArray[np.int64], problems: list[Problem], notes: list[str]) -> Raw:
    """One size for every picture; boxes drawn on a picture that lies on its side are turned with it."""
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
            problems.append(Problem(name, "its size cannot be read: not a picture, or damaged", "mend or remove it"))
        else:
            what = f"annotated as {stated[1]} x {stated[0]} pixels, but {name} has {width} x {height}"
            fix = "take the picture that was annotated, or annotate this one"
            problems.append(Problem(raw.picture_at(i), what, fix, name))
    if on_side:
        notes.append(f"{many(on_side, 'picture')} annotated without the EXIF rotation: boxes are turned with it")
    sizes = np.where(found[:, :1] > 0, found[:, :2], raw.sizes)
    return replace(raw, corners=corners, sizes=sizes).pictures(keep)
