"""Identities: a folder for each, or a CSV of path and identity; perhaps with a list of pairs to test on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.image_lookup import named_folder
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.pairs import read_pairs
from mobilevision.data.formats.table import Csv
from mobilevision.data.identities import IdentityTargets, adopt
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.ranges import NonNegativeInt, check_ranges


@final
class Identities(DataFormat):
    """Reads ``root/[train|val|test/]IDENTITY/**/image``, or a CSV with the columns path,identity (and perhaps split).

    Faces, animals, products: whatever is to be known again.

    Args:
        path: of a CSV, the column of the path, by header name or number from 0; None finds it.
        identity: of a CSV, the column of the identity, likewise.
        images: of a CSV, the folder that relative paths start from; None takes the table's folder.
        split: ``given`` takes train, val and test as they are, and where there are none cuts them by identity;
            ``identity`` pools everything and cuts it anew, by identity.
        pairs: a list of pairs (path,path,0 or 1, or LFW's) that becomes the test: its images, and whom they show
            leave train. Paths start where those of the images do.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)
    expected: ClassVar[str] = "a folder with a folder of images for each identity, or a CSV path,identity"

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        path: str | NonNegativeInt | None = None,
        identity: str | NonNegativeInt | None = None,
        images: str | None = None,
        split: Literal["given", "identity"] = "given",
        pairs: str | None = None,
    ) -> None:
        if split not in ("given", "identity"):
            raise UserError(f"data.format.split={split}: must be given or identity")
        self.table = Csv(path=path, label=identity, images=images)
        self.images, self.split, self.pairs = images, split, pairs

    def claims(self, root: Path) -> bool:
        """Whether there are folders of images, or a table."""
        return self.table.claims(root) or ImageFolder().claims(root)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        if not self.claims(root):
            raise UserError(f"data.root={root}: neither folders of images nor a table; it should be {self.expected}")
        if self._is_table(root):
            splits = self.table.read_labels(root, channels, "identity")
        else:
            splits = ImageFolder().read(root=root, kind="class", channels=channels, seed=seed)
        if self.split == "identity" or self.pairs:
            splits = pooled(splits, channels)
        if self.pairs:
            top = root if root.is_dir() else root.parent
            base = named_folder(self.images, top) if self.images else top
            return test_on_pairs(splits, _list(self.pairs, root), base, channels)
        return adopt(splits)

    def _is_table(self, root: Path) -> bool:
        """Whether the images are listed in a table; a list of pairs beside folders of images is none."""
        alone = root.is_dir() and self.pairs is not None and ImageFolder().claims(root)
        tables = [*root.glob("*.csv"), *root.glob("*.tsv")] if alone else []
        return self.table.claims(root) and not (alone and tables == [_list(self.pairs or "", root)])


def _list(name: str, root: Path) -> Path:
    beside = (root if root.is_dir() else root.parent) / Path(name).expanduser()
    if not beside.is_file() and not Path(name).expanduser().is_file():
        raise UserError(f"data.format.pairs={name}: no such file, nor {beside}")
    return beside if beside.is_file() else Path(name).expanduser()


def pooled(splits: Splits, channels: int) -> Splits:
    """All images in train, as if they had come without a split."""
    parts = [records for _, records in splits.items() if isinstance(records, FileRecords)]
    paths = [records.path(index) for records in parts for index in range(len(records))]
    targets = np.concatenate([records.targets for records in parts])
    train = FileRecords(paths=paths, targets=targets, channels=channels)
    return Splits(train, classes=splits.classes, whole=True, notes=splits.notes, problems=splits.problems)


def test_on_pairs(splits: Splits, table: Path, base: Path, channels: int) -> Splits:
    """The images of a list of pairs become the test; whom they show leaves train.

    Args:
        splits: with all images in train; their targets are classes.
        table: the list.
        base: the folder that its paths start from.
        channels: channels of an image.

    Raises:
        UserError: images in the list whose identity nobody knows.
    """
    train = splits.train
    assert isinstance(train, FileRecords)
    found = read_pairs(table, base, splits.problems)
    row = {os.path.realpath(train.path(index)): index for index in range(len(train))}
    files = [os.path.realpath(os.path.join(os.fsencode(base), path)) for path in found.paths]
    if strange := [os.fsdecode(file) for file in files if file not in row]:
        raise UserError(f"{table}: {len(strange)} of its images are not in the data, such as {strange[0]}")
    shown = train.targets[[row[file] for file in files]]
    targets = IdentityTargets(shown, np.arange(len(shown)), found.pairs)
    splits.test = FileRecords(paths=files, targets=targets, channels=channels)
    splits.test.groups = shown
    rest = np.flatnonzero(~np.isin(train.targets, shown))
    learnt = train.subset(rest)
    learnt.targets = IdentityTargets(train.targets[rest], rest)
    learnt.groups = train.targets[rest]
    splits.train = learnt if len(rest) else None
    return splits
