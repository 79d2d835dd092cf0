"""The embedded sets: a function of seed, split and index; what their targets and images hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilevision.data import DataModule
from mobilevision.data.formats import Beetles, DrawnFaces, DrawnIdentities, Places, Scenes, Shapes
from mobilevision.data.records import Records
from mobilevision.data.synthetic.drawn import DrawnFormat
from mobilevision.data.synthetic.faces import ATTRIBUTES, draw
from mobilevision.data.targets import equal
from mobilevision.errors import UserError

SETS = (Beetles, DrawnFaces, DrawnIdentities, Places, Scenes, Shapes)


def splits(drawn: type[DrawnFormat], seed: int = 0, channels: int = 3, **sizes: int) -> list[Records]:
    read = drawn(**sizes).read(root=None, kind=drawn.kinds[0], channels=channels, seed=seed)  # type: ignore[arg-type]
    return [records for _, records in read.items()]


def plain(target: Any) -> Any:
    return {"boxes": target.boxes, "labels": target.labels} if hasattr(target, "boxes") else target


@pytest.mark.parametrize("drawn", SETS)
def test_images_are_a_function_of_seed_split_and_index(drawn: type[DrawnFormat]) -> None:
    sizes = {"train": 60, "val": 20, "test": 20}
    train, val, test = splits(drawn, **sizes)
    again = splits(drawn, **sizes)[0]
    assert np.array_equal(train.pixels(7), again.pixels(7))
    assert equal(plain(train.targets[7]), plain(again.targets[7]))
    assert not np.array_equal(train.pixels(7), splits(drawn, seed=1, **sizes)[0].pixels(7))
    assert len({records.pixels(7).tobytes() for records in (train, val, test)}) == 3
    assert train.name(7) == f"{drawn.name}/train/7"
    assert train.pixels(0).shape == (*train.shape(0), 3)
    assert splits(drawn, channels=1, **sizes)[0].pixels(0, size=(20, 30)).shape == (20, 30, 1)
    with pytest.raises(UserError, match=r"data\.channels=2"):
        splits(drawn, channels=2, **sizes)


@pytest.mark.parametrize("drawn", [Beetles, DrawnFaces, Scenes, Shapes])
def test_a_sample_is_the_same_whatever_the_number_of_them(drawn: type[DrawnFormat]) -> None:
    many, few = splits(drawn, train=60)[0], splits(drawn, train=12)[0]
    assert np.array_equal(many.pixels(7), few.pixels(7))
    assert all(equal(plain(many.targets[index]), plain(few.targets[index])) for index in range(10))


def test_classes_are_balanced_and_few_images_show_few_classes() -> None:
    assert np.bincount(splits(Shapes, train=100)[0].targets).tolist() == [10] * 10
    data = DataModule(format=Shapes(train=4, val=6, test=6), workers=0, resolution=32)
    assert data.setup_data().counts == (1, 1, 1, 1)


def test_colours_do_not_give_the_class_away() -> None:
    def histogram(records: Records, index: int) -> np.ndarray:
        flat = records.pixels(index).reshape(-1, 3)
        return np.concatenate([np.bincount(flat[:, c] // 32, minlength=8) for c in range(3)]) / len(flat)

    train, _, test = splits(Shapes, train=600, test=300)
    seen = np.stack([histogram(train, i) for i in range(600)])
    asked = np.stack([histogram(test, i) for i in range(300)])
    nearest = np.abs(asked[:, None] - seen[None]).sum(2).argsort(1)[:, :15]
    votes = np.stack([np.bincount(train.targets[row], minlength=10) for row in nearest])
    assert np.mean(votes.argmax(1) == test.targets) < 0.3, "chance is 0.1"


def test_some_attributes_are_rare_and_some_go_together() -> None:
    targets = splits(DrawnFaces)[0].targets
    shares = dict(zip(ATTRIBUTES, targets.mean(axis=0).tolist(), strict=True))
    assert all(0.015 < shares[name] < 0.05 for name in ("bald", "sunglasses", "scar"))
    assert all(0.45 < shares[name] < 0.55 for name in ("dark_hair", "smile"))
    related = np.corrcoef(targets.T)
    assert related[ATTRIBUTES.index("beard"), ATTRIBUTES.index("moustache")] > 0.4
    assert related[ATTRIBUTES.index("beard"), ATTRIBUTES.index("long_hair")] < -0.2


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_can_be_seen(name: str) -> None:
    for seed in range(5):
        without = dict.fromkeys(ATTRIBUTES, False)
        one, other = (
            np.asarray(draw(np.random.default_rng(seed), {**without, name: value}, 64), dtype=int)
            for value in (False, True)
        )
        assert (np.abs(one - other).max(axis=2) > 25).sum() > 5
