"""The embedded faces: a function of seed, split and index; rare and correlated attributes; mirror images."""

from __future__ import annotations

import numpy as np
import pytest

from mobilevision.data.formats import DrawnFaces
from mobilevision.data.records import Records
from mobilevision.data.synthetic.faces import ATTRIBUTES, draw
from mobilevision.errors import UserError


def splits(seed: int = 0, channels: int = 3, **sizes: int) -> list[Records]:
    read = DrawnFaces(**sizes).read(root=None, kind="attributes", channels=channels, seed=seed)
    return [records for _, records in read.items()]


def test_images_are_a_function_of_seed_split_and_index() -> None:
    train, val, test = splits()
    assert np.array_equal(train.pixels(7), splits(train=10)[0].pixels(7))
    assert np.array_equal(train.targets[:10], splits(train=10)[0].targets)
    assert not np.array_equal(train.pixels(7), splits(seed=1)[0].pixels(7))
    assert len({records.pixels(7).tobytes() for records in (train, val, test)}) == 3
    assert train.name(7) == "faces/train/7"
    assert splits(channels=1)[0].pixels(0, size=(20, 30)).shape == (20, 30, 1)


def test_some_attributes_are_rare_and_some_go_together() -> None:
    targets = splits()[0].targets
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


def test_channels_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.channels=2"):
        splits(channels=2)
