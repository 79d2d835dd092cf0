from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mobilevision.data.sampling import EpochSampler, stream

SIZES = {"n": st.integers(1, 60), "batch_size": st.integers(1, 9), "world": st.integers(1, 4)}


def ranks(world: int, **options: object) -> list[list[int]]:
    """The indices that each process gets."""
    samplers = [EpochSampler(rank=rank, world=world, **options) for rank in range(world)]  # type: ignore[arg-type]
    return [[index for batch in sampler for _, index in batch] for sampler in samplers]


@given(**SIZES)
def test_evaluation_sees_each_sample_once_over_all_processes(n: int, batch_size: int, world: int) -> None:
    shares = ranks(world, n=n, batch_size=batch_size)
    assert sorted(index for share in shares for index in share) == list(range(n))


@given(**SIZES, drop_last=st.booleans(), seed=st.integers(0, 9))
def test_training_gives_every_process_equally_many_batches(
    n: int, batch_size: int, world: int, drop_last: bool, seed: int
) -> None:
    options = {"n": n, "batch_size": batch_size, "shuffle": True, "drop_last": drop_last, "seed": seed}
    samplers = [EpochSampler(rank=rank, world=world, **options) for rank in range(world)]  # type: ignore[arg-type]
    batches = [list(sampler) for sampler in samplers]
    assert len({len(own) for own in batches}) == 1
    assert all(len(own) == len(sampler) >= 1 for own, sampler in zip(batches, samplers, strict=True))
    seen = Counter(index for own in batches for batch in own for _, index in batch)
    assert set(seen) <= set(range(n))
    if not samplers[0].drop_last:
        assert set(seen) == set(range(n))
    else:
        assert max(seen.values()) == 1
        assert all(len(batch) == batch_size for own in batches for batch in own)


@given(n=st.integers(1, 40), start=st.integers(0, 12))
def test_start_passes_over_batches_and_keeps_the_length(n: int, start: int) -> None:
    whole = EpochSampler(n=n, batch_size=4, shuffle=True, seed=1)
    resumed = EpochSampler(n=n, batch_size=4, shuffle=True, seed=1)
    resumed.start = start
    assert list(resumed) == list(whole)[start:]
    assert len(resumed) == len(whole)
    assert list(resumed) == list(whole), "the start holds for one iteration"


def test_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        sampler = EpochSampler(n=50, batch_size=7, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    flat = {tuple(i for batch in order(seed, epoch) for _, i in batch) for seed in (1, 2) for epoch in (0, 1, 2)}
    assert len(flat) == 6
    assert all(epoch == 2 for batch in order(1, 2) for epoch, _ in batch)


def test_streams_of_different_purposes_differ() -> None:
    draws = {stream(*numbers).random() for numbers in ((0, 1), (1, 0), (1, 0, 1), (1, 1), (2, 1))}
    assert len(draws) == 5
