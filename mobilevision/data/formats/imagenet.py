"""ImageNet-1k as ILSVRC 2012 gives it (Russakovsky et al., arXiv:1409.0575)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.imagenet_labels import class_names, val_labels
from mobilevision.data.formats.scan import folders, has_pictures, pictures
from mobilevision.data.records import Records, Splits
from mobilevision.errors import UserError

WNID = re.compile(rb"n\d{8}")
INNER = ("", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC", "ILSVRC2012")


@final
class ImageNet(DataFormat):
    """Reads ``train/WNID/*.JPEG`` and ``val/``, sorted into WNID folders or flat with a list of its labels.

    Classes are in the order of their WNIDs, as in every published model. The official validation set is ``val``: the
    labels of the test set are not public.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    expected: ClassVar[str] = (
        "train/WNID/*.JPEG and val/WNID/*.JPEG of ILSVRC 2012 (ImageNet has no open download: log in at image-net.org,"
        " fetch ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar and unpack them); a flat val/ needs"
        " LOC_val_solution.csv or ILSVRC2012_devkit_t12/ beside it"
    )

    def claims(self, root: Path) -> bool:
        """Whether there are folders named by WNIDs."""
        base = _base(root)
        return base is not None and any(
            WNID.fullmatch(name) for top in ("train", "val") for name in _folders(base / top)
        )

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        base = _base(root)
        if base is None:
            raise UserError(f"data.root={root}: there is neither train/ nor val/; it should be {self.expected}")
        tops = [base / top for top in ("train", "val") if _folders(base / top)]
        splits = ImageFolder().read(root=base, kind=kind, channels=channels, seed=seed) if tops else Splits()
        splits.whole, splits.test = False, None
        if (base / "val").is_dir() and has_pictures(base / "val"):
            splits.val, splits.classes = _flat(base / "val", root, splits.classes, channels, self.expected)
        splits.classes = class_names(root, splits.classes)
        return splits


def _base(root: Path) -> Path | None:
    found = (root / inner for inner in INNER)
    return next((base for base in found if (base / "train").is_dir() or (base / "val").is_dir()), None)


def _folders(top: Path) -> list[bytes]:
    return folders(top) if top.is_dir() else []


def _flat(
    folder: Path, root: Path, wnids: tuple[str, ...], channels: int, expected: str
) -> tuple[Records, tuple[str, ...]]:
    """The flat validation set with labels from whichever list there is."""
    labels: Callable[[str], str] | None = val_labels(root)
    if labels is None:
        raise UserError(f"{folder}: its pictures are not sorted into classes; it should be {expected}")
    paths = list(pictures(os.fsencode(folder), b""))
    named = [labels(os.path.splitext(os.fsdecode(path))[0]) for path in paths]
    wnids = wnids or tuple(sorted(set(named)))
    number = {wnid: i for i, wnid in enumerate(wnids)}
    kept = [i for i, wnid in enumerate(named) if wnid in number]
    targets = np.array([number[named[i]] for i in kept], dtype=np.int64)
    return FileRecords(paths=[paths[i] for i in kept], targets=targets, channels=channels, root=folder), wnids
