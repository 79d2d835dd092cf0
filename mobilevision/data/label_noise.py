"""Wrong labels on purpose, to see what a training can bear."""

from __future__ import annotations

import numpy as np

from mobilevision.data.records import Splits
from mobilevision.data.sampling import SPOIL, stream
from mobilevision.errors import UserError


def spoil(splits: Splits, share: float, seed: int, kind: str) -> None:
    """Give a share of the training samples one of the other classes, each as likely; say so in the notes.

    Val and test stay as they are, also a val that was cut from train.

    Args:
        splits: complete and checked; ``train`` is replaced.
        share: of the training samples, to the nearest sample.
        seed: of the choice.
        kind: what is learnt from.

    Raises:
        UserError: a share outside [0, 1), or targets that are no classes.
    """
    if not 0 <= share < 1:
        raise UserError(f"data.label_noise={share:g}: the share of wrong labels is at least 0 and below 1")
    if not share or splits.train is None:
        return
    if kind != "class":
        raise UserError(f"data.label_noise={share:g}: only classes can be made wrong, and the task learns from {kind}")
    rng, number = stream(SPOIL, seed), len(splits.train)
    rows = rng.permutation(number)[: round(share * number)]
    noisy = splits.train.subset(np.arange(number))
    noisy.targets = noisy.targets.copy()
    noisy.targets[rows] += rng.integers(1, len(splits.classes), len(rows))
    noisy.targets[rows] %= len(splits.classes)
    splits.train = noisy
    said = f"{len(rows):,} of {number:,} training labels made wrong at random"
    splits.notes.append(f"label noise: {said} (data.label_noise={share:g}, data.seed={seed})")
