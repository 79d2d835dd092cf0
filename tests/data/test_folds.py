"""Folds: every image in one test, classes in all of them, what belongs together in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.data.boxes import Boxes, BoxTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.records import Records, Splits
from mobilevision.data.splitting import cut_folds, groups_of, take_fold
from mobilevision.errors import UserError

CLASSES = ("a", "b", "c")


def records(folder: Path, counts: tuple[int, ...], copies: int = 0) -> Records:
    """Images of classes, the first ``copies`` of the first class all the same."""
    targets = np.repeat(np.arange(len(counts)), counts)
    paths = []
    for index in range(len(targets)):
        path = folder / f"{index:03d}.png"
        Image.new("RGB", (8, 8), (0 if index < copies else index, 1, 2)).save(path)
        paths.append(str(path).encode())
    return FileRecords(paths=paths, targets=targets.astype(np.int64), channels=3)


def test_every_image_is_in_one_fold_and_every_class_in_all(tmp_path: Path) -> None:
    whole = records(tmp_path, (12, 8, 4))
    found = cut_folds(whole, folds=4, seed=0)
    assert np.bincount(found).tolist() == [6, 6, 6, 6]
    for fold in range(4):
        assert np.bincount(whole.targets[found == fold]).tolist() == [3, 2, 1]
    assert (cut_folds(whole, folds=4, seed=0) == found).all()
    assert (cut_folds(whole, folds=4, seed=1) != found).any()


def test_copies_of_an_image_and_groups_stay_in_one_fold(tmp_path: Path) -> None:
    whole = records(tmp_path, (12, 8, 4), copies=3)
    assert len(np.unique(groups_of(whole)[:3])) == 1
    assert len(np.unique(groups_of(whole))) == 22
    assert len(np.unique(cut_folds(whole, folds=4, seed=0)[:3])) == 1
    whole.groups = np.arange(24) // 2
    joined = groups_of(whole)
    assert len(np.unique(joined[:4])) == 1, "two groups that share an image are one"
    found = cut_folds(whole, folds=2, seed=0)
    for group in np.unique(joined):
        assert len(np.unique(found[joined == group])) == 1


def test_a_fold_becomes_the_test_and_the_datas_own_test_is_left_apart(tmp_path: Path) -> None:
    whole = records(tmp_path, (12, 8, 4))
    tests = []
    for fold in (1, 2, 3):
        splits = Splits(train=whole, test=whole.subset(np.arange(2)), classes=CLASSES, whole=True)
        take_fold(splits, folds=3, fold=fold, seed=0)
        assert splits.train is not None
        assert splits.test is not None
        names = [{each.name(i) for i in range(len(each))} for each in (splits.train, splits.test)]
        assert not names[0] & names[1]
        assert len(names[0] | names[1]) == 24
        assert not splits.whole
        assert "left apart" in splits.notes[0]
        tests.append(names[1])
    assert len(set.union(*tests)) == sum(map(len, tests)) == 24


def test_boxes_and_attributes_are_spread_too(tmp_path: Path) -> None:
    whole = records(tmp_path, (8,))
    rare = np.full((8, 2), 0, dtype=np.float32)
    rare[:, 0], rare[[1, 5], 1] = 1, 1
    whole.targets = rare
    found = cut_folds(whole, folds=2, seed=0)
    assert found[1] != found[5], "both folds have the rare attribute"
    labels = np.array([0, 0, 0, 1, 0, 0, 0, 1])
    box = np.tile(np.array([[0, 0, 4, 4]], dtype=np.float32), (8, 1))
    no = np.zeros(8, dtype=bool)
    whole.targets = BoxTargets(
        np.ones(8, dtype=np.int64), Boxes(box.astype(np.float64), labels, no, no, np.full(8, 16.0))
    )
    found = cut_folds(whole, folds=2, seed=0)
    assert found[3] != found[7]


@pytest.mark.parametrize(
    ("counts", "folds", "said"),
    [
        ((12, 8, 3), 5, "class c has 3 distinct images.*the largest number that works is data.folds=3"),
        ((12, 1), 2, "class b has 1 distinct image, .*no number of folds works with it"),
        ((2, 2), 5, "the largest number that works is data.folds=2"),
        ((4, 4, 4), 1000, "the largest number that works is data.folds=4"),
    ],
)
def test_impossible_folds_are_refused_with_what_works(
    tmp_path: Path, counts: tuple[int, ...], folds: int, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        cut_folds(records(tmp_path, counts), folds=folds, seed=0, classes=CLASSES)


def test_a_fold_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.fold=4: must be from 1 to data\.folds=3"):
        take_fold(Splits(train=records(tmp_path, (6,))), folds=3, fold=4, seed=0)
