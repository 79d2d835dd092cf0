"""Names of ImageNet's classes and labels of its flat validation set, from the lists that come with it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mobilevision.errors import UserError

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
