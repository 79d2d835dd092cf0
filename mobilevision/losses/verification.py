"""What the losses of embeddings share: the value on pictures of identities that were never learnt, and precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

PART = "verification"


def verification(embeddings: Tensor, identities: Tensor) -> dict[str, Tensor]:
    """How far embeddings of one identity lie apart, plus how near those of two lie, over all pairs of a batch.

    The mean of 1 - cosine over the pairs that show the same, and of max(0, cosine) over those that do not. What is
    trained on says nothing of identities outside train, and triplets depend on who is in the batch: so every loss of
    embeddings gives this value in an evaluation, and runs with different losses can be compared by it.

    Args:
        embeddings: float [B, D], unit length.
        identities: int64 [B]; -1 is unknown and makes no pair.

    Returns:
        ``{"verification": scalar}``, 0 without pairs.
    """
    cosine = embeddings.float() @ embeddings.float().T
    known = (identities >= 0)[:, None] & (identities >= 0)[None]
    one = torch.triu(torch.ones_like(known), diagonal=1) & known
    same = identities[:, None] == identities[None]
    return {PART: _mean(1 - cosine, one & same) + _mean(cosine.clamp(min=0), one & ~same)}


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


@contextmanager
def full_precision(embeddings: Tensor) -> Iterator[Tensor]:
    """Float32, also under mixed precision: small angles vanish in 16 bits."""
    with torch.autocast(embeddings.device.type, enabled=False):
        yield embeddings.float()
