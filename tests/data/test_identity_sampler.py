"""Balanced batches: P identities, K images of each, by seed and epoch, resumable, for several processes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilevision.data.sampling import AGAIN, IdentitySampler
from mobilevision.errors import UserError

COUNTS = st.lists(st.integers(2, 9), min_size=2, max_size=12)


def identities(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(deadline=None)
@given(counts=COUNTS, world=st.integers(1, 3), each=st.integers(2, 4), epoch=st.integers(0, 3))
def test_every_batch_is_balanced(counts: list[int], world: int, each: int, epoch: int) -> None:
    labels = identities(counts)
    made = [
        IdentitySampler(labels, batch_size=4 * each, per_identity=each, seed=1, rank=rank, world=world)
        for rank in range(world)
    ]
    for sampler in made:
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) >= 1
        for batch in batches:
            shown = Counter(int(labels[index]) for _, index in batch)
            assert set(shown.values()) == {each}
            assert len(shown) == min(4, len(counts))
            assert len(set(batch)) == len(batch), "an image that is shown again is augmented anew"
            assert {key_epoch % AGAIN for key_epoch, _ in batch} == {epoch}
    assert len({len(sampler) for sampler in made}) == 1


def test_images_and_identities_come_in_turn() -> None:
    labels = identities([4, 8, 8, 8])
    sampler = IdentitySampler(labels, batch_size=8, per_identity=4, seed=3)
    sampler._batches = 8  # four rounds of two identities and two
    seen = Counter(index for batch in sampler for _, index in batch)
    assert set(seen) == set(range(len(labels)))
    assert {int(labels[index]): count for index, count in seen.items()} == {0: 4, 1: 2, 2: 2, 3: 2}


def test_processes_see_different_identities_in_a_step() -> None:
    labels = identities([4] * 8)
    batches = [
        next(iter(IdentitySampler(labels, batch_size=8, per_identity=2, rank=rank, world=2))) for rank in range(2)
    ]
    first, second = ({int(labels[index]) for _, index in batch} for batch in batches)
    assert len(first | second) == 8


@pytest.mark.parametrize("start", [0, 1, 4])
def test_a_resume_goes_on_with_the_very_batch(start: int) -> None:
    labels = identities([5, 6, 7, 8, 9])
    whole = IdentitySampler(labels, batch_size=6, per_identity=3, seed=2, rank=1, world=2)
    resumed = IdentitySampler(labels, batch_size=6, per_identity=3, seed=2, rank=1, world=2)
    resumed.start = start
    assert list(resumed) == list(whole)[start:]
    assert list(resumed) == list(whole), "the start holds for one iteration"


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        sampler = IdentitySampler(identities([6] * 6), batch_size=8, per_identity=2, seed=seed)
        sampler.set_epoch(epoch)
        return tuple(index for batch in sampler for _, index in batch)

    assert order(1, 1) == order(1, 1)
    assert len({order(seed, epoch) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_a_batch_for_one_identity_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.batch_size=7: .* at least 8"):
        IdentitySampler(identities([4, 4]), batch_size=7, per_identity=4)
