"""Finding pictures that are the same, to the byte or nearly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Pixels

SIDE = 9
"""Side of the thumbnail behind a perceptual hash: eight differences in each of eight rows."""


def digest(content: bytes) -> int:
    """64 bits that are equal only for equal bytes, as far as chance goes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def perceptual(thumbnail: Pixels) -> int:
    """64 bits that hardly change when a picture is resized, recompressed or brightened.

    Each bit says whether the brightness rises from one of 9 x 8 cells to its right neighbour ("difference hash").

    Args:
        thumbnail: uint8 [8, 9, channels].
    """
    grey = thumbnail.astype(np.int32).sum(axis=2)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def near_pairs(hashes: NDArray[np.uint64], within: int, block: int = 1024) -> Iterator[tuple[int, int, int]]:
    """Pairs whose hashes differ in at most ``within`` bits.

    Two hashes that differ in at most three of their bits agree in one of four 16-bit quarters at least; so only hashes
    that share a quarter are compared, which keeps a million pictures within reach. Above three bits, every pair is
    compared, in blocks.

    Args:
        hashes: [n].
        within: most bits that may differ.
        block: rows compared at a time.

    Yields:
        (first, second, differing bits) with first < second, each pair once.
    """
    if within > 3:
        rows = np.arange(len(hashes))
        yield from _compare(hashes, rows, within, block)
        return
    quarters = hashes.astype("<u8").view(np.uint16).reshape(-1, 4)
    for quarter in range(4):
        order = np.argsort(quarters[:, quarter], kind="stable")
        ordered = quarters[order, quarter]
        # A stable sort keeps the rows of a group in ascending order.
        for group in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
            for first, second, bits in _compare(hashes, group, within, block):
                # A pair that agrees in an earlier quarter too was given there.
                if not (quarters[first, :quarter] == quarters[second, :quarter]).any():
                    yield first, second, bits


def _compare(
    hashes: NDArray[np.uint64], rows: NDArray[np.int64], within: int, block: int
) -> Iterator[tuple[int, int, int]]:
    for start in range(0, len(rows) if len(rows) > 1 else 0, block):
        part = rows[start : start + block]
        bits = np.bitwise_count(hashes[part, None] ^ hashes[rows][None, start:])
        for a, b in np.argwhere(np.triu(bits <= within, k=1)).tolist():
            yield int(part[a]), int(rows[start + b]), int(bits[a, b])
