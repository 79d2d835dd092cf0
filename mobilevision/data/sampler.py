"""Which samples make up which batch: a function of seed and epoch, so that nothing random needs saving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Key = tuple[int, int]
"""(epoch, index): all that the random draws of one sample depend on, besides the seed."""

ORDER, DRAW, MIX, SPLIT, SPOIL = range(5)


def stream(purpose: int, *numbers: int) -> np.random.Generator:
    """A random generator of its own for each purpose and numbers (seed, epoch, index ...).

    The purpose goes first because trailing zeros do not change a NumPy seed.
    """
    return np.random.default_rng((purpose, *numbers))


@final
class EpochSampler(Sampler[list[Key]]):
    """Batches of keys, for one of several processes.

    Shuffled (training): the order is a function of ``seed`` and epoch; every process gets equally many batches, by
    dropping the incomplete last one or else by repeating the first samples. Not shuffled (evaluation): this process
    takes every ``world``-th sample, nothing is repeated, so that metrics over all processes are exact.

    Args:
        n: number of samples in the split.
        batch_size: samples a batch and process.
        seed: seed of the order.
        shuffle: whether for training.
        rank: this process.
        world: number of processes.
        drop_last: in training, leave an incomplete last batch out (unless it is the only one).

    Attributes:
        start: batches to pass over at the next iteration, for a resume in mid-epoch; ``len`` stays the full number.
    """

    def __init__(
        self,
        *,
        n: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> None:
        self.n, self.batch_size, self.seed, self.shuffle = n, batch_size, seed, shuffle
        self.rank, self.world = rank, world
        self.drop_last = shuffle and drop_last and n >= batch_size * world
        self.epoch, self.start = 0, 0

    @property
    def sampler(self) -> EpochSampler:
        """Lightning looks for ``set_epoch`` one level further down."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self._share(), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order, start = self.epoch, self._order(), self.start
        self.start = 0
        for batch in range(start, len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in rows.tolist()]

    def _share(self) -> int:
        if not self.shuffle:
            return len(range(self.rank, self.n, self.world))
        return self.n // self.world if self.drop_last else -(-self.n // self.world)

    def _order(self) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.rank, self.n, self.world)
        order = stream(ORDER, self.seed, self.epoch).permutation(self.n)
        return np.resize(order, self._share() * self.world)[self.rank :: self.world]
