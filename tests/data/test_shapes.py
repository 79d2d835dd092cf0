from __future__ import annotations

import numpy as np
import pytest

from mobilevision.data import DataModule
from mobilevision.data.formats import Shapes
from mobilevision.data.records import Records
from mobilevision.errors import UserError


def splits(seed: int = 0, channels: int = 3, **sizes: int) -> list[Records]:
    read = Shapes(**sizes).read(root=None, kind="class", channels=channels, seed=seed)
    return [records for _, records in read.items()]


def test_images_are_a_function_of_seed_split_and_index() -> None:
    train, val, test = splits()
    assert np.array_equal(train.pixels(7), splits()[0].pixels(7))
    assert not np.array_equal(train.pixels(7), splits(seed=1)[0].pixels(7))
    assert len({records.pixels(7).tobytes() for records in (train, val, test)}) == 3
    assert train.name(7) == "shapes/train/7"
    assert train.pixels(0).shape == (*train.shape(0), 3)
    assert splits(channels=1)[0].pixels(0, size=(20, 30)).shape == (20, 30, 1)


def test_classes_are_balanced_and_few_images_show_few_classes() -> None:
    assert np.bincount(splits(train=100)[0].targets).tolist() == [10] * 10
    data = DataModule(format=Shapes(train=4, val=6, test=6), workers=0, resolution=32)
    assert data.setup_data().counts == (1, 1, 1, 1)


def test_colours_do_not_give_the_class_away() -> None:
    def histogram(records: Records, index: int) -> np.ndarray:
        flat = records.pixels(index).reshape(-1, 3)
        return np.concatenate([np.bincount(flat[:, c] // 32, minlength=8) for c in range(3)]) / len(flat)

    train, _, test = splits(train=600, test=300)
    seen = np.stack([histogram(train, i) for i in range(600)])
    asked = np.stack([histogram(test, i) for i in range(300)])
    nearest = np.abs(asked[:, None] - seen[None]).sum(2).argsort(1)[:, :15]
    votes = np.stack([np.bincount(train.targets[row], minlength=10) for row in nearest])
    assert np.mean(votes.argmax(1) == test.targets) < 0.3, "chance is 0.1"


def test_channels_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.channels=2"):
        splits(channels=2)
