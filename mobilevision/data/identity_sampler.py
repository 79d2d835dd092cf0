"""Training batches of some identities with some pictures of each: a function of seed and epoch, like all orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mobilevision.data.sampler import ORDER, Key, stream
from mobilevision.errors import UserError

AGAIN = 1_000_003
"""Added to a key's epoch where a batch has to show a picture twice, so that its augmentation is another one."""

Numbers = NDArray[np.int64]


@final
class IdentitySampler(Sampler[list[Key]]):
    """Batches of P identities with K pictures each, for one of several processes.

    Every identity is drawn equally often, whatever its number of pictures; its pictures come in turn. An epoch has as
    many batches as plain shuffling would give. Within a batch an identity occurs once; one with fewer than K pictures
    shows some again, augmented anew. The processes draw from one order: what they see in a step differs, as long as
    there are identities enough.

    Args:
        identities: int64 [n], the identity of each sample.
        batch_size: samples a batch and process; what does not divide by ``per_identity`` is left out.
        per_identity: K.
        seed: seed of the order.
        rank: this process.
        world: number of processes.

    Attributes:
        start: batches to pass over at the next iteration, for a resume in mid-epoch; ``len`` stays the full number.

    Raises:
        UserError: batches too small for two identities.
    """

    def __init__(
        self, identities: Numbers, *, batch_size: int, per_identity: int, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if batch_size < 2 * per_identity:
            raise UserError(
                f"data.batch_size={batch_size}: a batch needs two identities with data.per_identity={per_identity}"
                f" pictures each, so at least {2 * per_identity}"
            )
        order = np.argsort(identities, kind="stable")
        self.names, counts = np.unique(identities, return_counts=True)
        self._pictures = np.split(order, np.cumsum(counts)[:-1])
        self.per_identity, self.seed, self.rank, self.world = per_identity, seed, rank, world
        self.identities = min(batch_size // per_identity, len(self.names))
        self._batches = max(1, len(identities) // (self.identities * per_identity * world))
        self.epoch, self.start = 0, 0

    @property
    def sampler(self) -> IdentitySampler:
        """Lightning looks for ``set_epoch`` one level further down."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, start = self.epoch, self.start
        self.start = 0
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
        pictures = self._pictures[identity]
        if identity not in orders:
            orders[identity] = stream(ORDER, self.seed, epoch, identity + 1).permutation(pictures)
        for place in range(self.per_identity):
            again = AGAIN * (place // len(pictures))
            yield epoch + again, int(orders[identity][(turn * self.per_identity + place) % len(pictures)])
