"""Ids of S2 cells on the CPU: ours against s2sphere; and how long ten million photos take to be cut into cells.

    python benchmarks/s2_cells.py                              # about half a minute; needs s2sphere
    python benchmarks/s2_cells.py --coordinates photos.csv     # a table with latitude,longitude instead of drawn places

The ids of the two must be equal, every one, before anything is timed. They take turns on 100,000 places, CPU time,
medians. The partition runs in a process of its own, so that its peak memory is its own, the places included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import s2sphere

from mobilevision.geo import s2
from mobilevision.geo.partition import adaptive

PLACES, PHOTOS = 100_000, 10_000_000


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Places as photos lie: most in and around a few thousand towns, some anywhere."""
    rng = np.random.default_rng(seed)
    towns = rng.normal(size=(3, 4000))
    size = rng.pareto(1.2, towns.shape[1]) + 0.1
    which = rng.choice(towns.shape[1], count, p=size / size.sum())
    x, y, z = (towns / np.linalg.norm(towns, axis=0))[:, which]
    spread = rng.choice([0.02, 0.3, 5.0], count, p=[0.6, 0.3, 0.1])
    north = np.clip(np.degrees(np.arcsin(z)) + spread * rng.normal(size=count), -90, 90)
    return north, (np.degrees(np.arctan2(y, x)) + spread * rng.normal(size=count) + 180) % 360 - 180


def reference(north: list[float], east: list[float]) -> list[int]:
    """As s2sphere's own documentation does it."""
    pairs = zip(north, east, strict=True)
    return [s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*pair)).id() for pair in pairs]


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def against_s2sphere(north: np.ndarray, east: np.ndarray, turns: int) -> None:
    """Compare, then time by turns."""
    lists = north.tolist(), east.tolist()
    assert s2.cell_ids(north, east).tolist() == reference(*lists), "ids differ"
    times = [(seconds(lambda: reference(*lists)), seconds(lambda: s2.cell_ids(north, east))) for _ in range(turns)]
    theirs, ours = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{len(north):,} places, all ids equal")
    for name, value in (("s2sphere", theirs), ("ours", ours)):
        print(f"{name:<10}{value * 1e3:>9.1f} ms{len(north) / value:>14,.0f} places/s")
    print(f"ratio {theirs / ours:.0f} (turns: {', '.join(f'{a / b:.0f}' for a, b in times)})")


def partition(photos: int) -> None:
    """Cut so many photos by PlaNet's settings, scaled to their number, and say what it took."""
    places = drawn(photos)
    share = photos / 91e6
    start = time.process_time()
    found = adaptive(*places, most=max(round(10_000 * share), 1), least=max(round(50 * share), 1))
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    print(f"{photos:,} photos into {len(found):,} cells: {spent:.1f} s, peak {peak:,.0f} MB with the photos in memory")


def main() -> None:
    """Print the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinates", type=Path, help="table: a header, then latitude,longitude")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--photos", type=int, default=PHOTOS, help="to be cut into cells")
    options = parser.parse_args()
    if options.coordinates:
        north, east = np.loadtxt(options.coordinates, delimiter=",", skiprows=1).T
    else:
        north, east = drawn(PLACES)
    against_s2sphere(north, east, options.turns)
    process = multiprocessing.get_context("spawn").Process(target=partition, args=(options.photos,))
    process.start()
    process.join()
    sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
