"""Which sampler a split gets: shuffled, in balanced batches of identities, or in order."""

from __future__ import annotations

from torch import distributed

from mobilevision.data.identities import IdentityTargets
from mobilevision.data.identity_sampler import IdentitySampler
from mobilevision.data.records import Records
from mobilevision.data.sampler import EpochSampler


def order(
    records: Records,
    *,
    batch_size: int,
    shuffle: bool,
    per_identity: int,
    drop_last: bool,
    seed: int,
    shard: bool,
) -> EpochSampler | IdentitySampler:
    """The sampler of a split, for this process.

    Args:
        records: the split.
        batch_size: samples a batch and process.
        shuffle: whether for training.
        per_identity: of identities in training, pictures of each in a batch; 1 only shuffles.
        drop_last: in training, leave an incomplete last batch out.
        seed: of the order.
        shard: whether each of several processes gets its own part, or all get everything.
    """
    rank, world = _rank_and_world() if shard else (0, 1)
    if shuffle and isinstance(records.targets, IdentityTargets) and per_identity > 1:
        return IdentitySampler(
            records.targets.identities,
            batch_size=batch_size,
            per_identity=per_identity,
            seed=seed,
            rank=rank,
            world=world,
        )
    return EpochSampler(
        n=len(records),
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        rank=rank,
        world=world,
        drop_last=drop_last,
    )


def _rank_and_world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
