"""ImageNet-1k as ILSVRC 2012 gives it (Russakovsky et al., arXiv:1409.0575)."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.published import Listed, Row
from mobilevision.data.formats.scan import folders, has_images, images
from mobilevision.data.records import Records, Splits
from mobilevision.errors import UserError

# Names of ImageNet's classes and labels of its flat validation set, from the lists that come with it.

KAGGLE = "LOC_val_solution.csv"  # ImageId,PredictionString ("n01751748 1 2 3 4 ...")
NAMES = "LOC_synset_mapping.txt"  # "n01440764 tench, Tinca tinca"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"  # a number a line; what it stands for is in meta.mat
DEVKIT = ("ILSVRC2012_devkit_t12/data", "devkit/data", "")


def class_names(root: Path, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """The first name of each class where the list of names is there, else the WNID; never the same name twice."""
    table = root / NAMES
    if not table.is_file():
        return wnids
    lines = (line.split(maxsplit=1) for line in table.read_text(encoding="utf-8").splitlines() if line.strip())
    names = {wnid: name.split(",")[0].strip() for wnid, name in lines}
    plain = [names.get(wnid, wnid) for wnid in wnids]
    often = Counter(plain)  # crane, the bird and the machine
    return tuple(f"{name} {wnid}" if often[name] > 1 else name for name, wnid in zip(plain, wnids, strict=True))


def val_labels(root: Path) -> Callable[[str], str] | None:
    """From a file's stem (``ILSVRC2012_val_00000001``) to its WNID, or None where no list is there.

    Raises:
        UserError: the devkit's list is there but not what its numbers stand for.
    """
    if (root / KAGGLE).is_file():
        with open(root / KAGGLE, newline="", encoding="utf-8") as stream:
            solution = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(stream)}
        return lambda stem: solution.get(stem, "")
    for inner in DEVKIT:
        if (root / inner / TRUTH).is_file():
            numbers = [int(line) for line in (root / inner / TRUTH).read_text().split()]
            wnids = _meta(root / inner / "meta.mat")
            return lambda stem: wnids[numbers[int(stem.rsplit("_", 1)[-1]) - 1]]
    return None


def _meta(table: Path) -> dict[int, str]:
    """The devkit's numbers to WNIDs, from its MATLAB file."""
    try:
        from scipy.io import loadmat  # rarely needed: no dependency of ours

        synsets = loadmat(table, squeeze_me=True)["synsets"]
    except ImportError:
        raise UserError(
            f"{table}: reading it takes scipy (pip install scipy), or sort val/ into WNID folders"
        ) from None
    except OSError as error:
        raise UserError(f"{table}: {error}; it belongs beside {TRUTH}") from None
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}


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
        if (base / "val").is_dir() and has_images(base / "val"):
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
) -> tuple[Records | None, tuple[str, ...]]:
    """The flat validation set with labels from whichever list there is."""
    labels: Callable[[str], str] | None = val_labels(root)
    if labels is None:
        raise UserError(f"{folder}: its images are not sorted into classes; it should be {expected}")
    listed = Listed(folder)
    for path in images(os.fsencode(folder), b""):
        wnid = labels(os.path.splitext(os.fsdecode(path))[0])
        if wnid in wnids or not wnids:
            listed.add("val", Row(path, wnid), os.fsdecode(path))
    splits = listed.splits(channels=channels, classes=wnids)
    return splits.val, splits.classes
