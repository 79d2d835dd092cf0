"""Which sampler a split gets: shuffled, in balanced batches of identities, or in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mobilevision.errors import UserError

# Which samples make up which batch: a function of seed and epoch, so that nothing random needs saving.

Numbers = NDArray[np.int64]
Key = tuple[int, int]
"""(epoch, index): all that the random draws of one sample depend on, besides the seed."""

ORDER, DRAW, MIX, SPLIT, LABEL_NOISE = range(5)


def stream(purpose: int, *numbers: int) -> np.random.Generator:
    """A random generator of its own for each purpose and numbers (seed, epoch, index ...).

    The purpose goes first because trailing zeros do not change a NumPy seed.
    """
    return np.random.default_rng((purpose, *numbers))


class BatchSampler(Sampler[list[Key]], ABC):
    """Batches of keys whose order is a function of the epoch, for one of several processes.

    Attributes:
        epoch: whose order comes next.
        start: batches to pass over at the next iteration, for a resume in mid-epoch; ``len`` stays the full number.
    """

    epoch = 0
    start = 0

    @property
    def sampler(self) -> BatchSampler:
        """Lightning looks for ``set_epoch`` one level further down."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    @abstractmethod
    def __len__(self) -> int:
        """Batches of an epoch."""

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, start = self.epoch, self.start
        self.start = 0
        yield from self.batches(epoch, start)

    @abstractmethod
    def batches(self, epoch: int, start: int) -> Iterator[list[Key]]:
        """The batches of an epoch, the first ``start`` left out."""


@final
class EpochSampler(BatchSampler):
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
        rows: int64 [n], the places of these samples in the split; None for all of it, in order.
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
        rows: Numbers | None = None,
    ) -> None:
        self.n, self.batch_size, self.seed, self.shuffle = n, batch_size, seed, shuffle
        self.rows = rows
        self.rank, self.world = rank, world
        self.drop_last = shuffle and drop_last and n >= batch_size * world

    def __len__(self) -> int:
        full, rest = divmod(self._share(), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def batches(self, epoch: int, start: int) -> Iterator[list[Key]]:
        """See :class:`BatchSampler`."""
        order = self._order(epoch)
        for batch in range(start, len(self)):
            places = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in (places if self.rows is None else self.rows[places]).tolist()]

    def _share(self) -> int:
        if not self.shuffle:
            return len(range(self.rank, self.n, self.world))
        return self.n // self.world if self.drop_last else -(-self.n // self.world)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.rank, self.n, self.world)
        order = stream(ORDER, self.seed, epoch).permutation(self.n)
        return np.resize(order, self._share() * self.world)[self.rank :: self.world]


# Training batches of some identities with some images of each: a function of seed and epoch, like all orders.

AGAIN = 1_000_003
"""Added to a key's epoch where a batch has to show an image twice, so that its augmentation is another one."""


@final
class IdentitySampler(BatchSampler):
    """Batches of P identities with K images each, for one of several processes.

    Every identity is drawn equally often, whatever its number of images; its images come in turn. An epoch has as
    many batches as plain shuffling would give. Within a batch an identity occurs once; one with fewer than K images
    shows some again, augmented anew. The processes draw from one order: what they see in a step differs, as long as
    there are identities enough.

    Args:
        identities: int64 [n], the identity of each sample.
        batch_size: samples a batch and process; what does not divide by ``per_identity`` is left out.
        per_identity: K.
        seed: seed of the order.
        rank: this process.
        world: number of processes.

    Raises:
        UserError: batches too small for two identities.
    """

    def __init__(
        self, identities: Numbers, *, batch_size: int, per_identity: int, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if batch_size < 2 * per_identity:
            raise UserError(
                f"data.batch_size={batch_size}: a batch needs two identities with data.per_identity={per_identity}"
                f" images each, so at least {2 * per_identity}"
            )
        order = np.argsort(identities, kind="stable")
        self.names, counts = np.unique(identities, return_counts=True)
        self._images = np.split(order, np.cumsum(counts)[:-1])
        self.per_identity, self.seed, self.rank, self.world = per_identity, seed, rank, world
        self.identities = min(batch_size // per_identity, len(self.names))
        self._batches = max(1, len(identities) // (self.identities * per_identity * world))

    def __len__(self) -> int:
        return self._batches

    def batches(self, epoch: int, start: int) -> Iterator[list[Key]]:
        """See :class:`BatchSampler`."""
        visits = self._visits(stream(ORDER, self.seed, epoch))
        turns = np.zeros(len(self.names), dtype=np.int64)
        orders: dict[int, Numbers] = {}
        for step in range(len(self)):
            for rank in range(self.world):  # what the others see is counted too: its turn is over
                chosen = visits[step * self.world + rank]
                if rank == self.rank and step >= start:
                    yield [key for one in chosen for key in self._keys(epoch, int(one), int(turns[one]), orders)]
                turns[chosen] += 1

    def _visits(self, rng: np.random.Generator) -> Numbers:
        """Identities of every batch of every process, int64 [batches * world, P]."""
        needed, usable = len(self) * self.world, len(self.names) // self.identities
        rounds = [
            rng.permutation(len(self.names))[: usable * self.identities].reshape(usable, self.identities)
            for _ in range(-(-needed // usable))
        ]
        return np.concatenate(rounds)[:needed]

    def _keys(self, epoch: int, identity: int, turn: int, orders: dict[int, Numbers]) -> Iterator[Key]:
        images = self._images[identity]
        if identity not in orders:
            orders[identity] = stream(ORDER, self.seed, epoch, identity + 1).permutation(images)
        for place in range(self.per_identity):
            again = AGAIN * (place // len(images))
            yield epoch + again, int(orders[identity][(turn * self.per_identity + place) % len(images)])
