"""How long one picture takes on the machine that exported the model: an impression for the card, not a benchmark."""

from __future__ import annotations

import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mobilevision.deploy.manifest import Manifest

_SECONDS = 1.0
_MOST = 50
_WARM = 3


def with_latency(manifest: Manifest, folder: Path) -> Manifest:
    """The description with ``latency``: median and quartiles in milliseconds of one picture on one thread.

    Args:
        manifest: already in the folder.
        folder: of the exported model.
    """
    from mobilevision.deploy.artifact import Artifact

    model = Artifact(folder, threads=1)
    shape = (1, model.channels, *model.resolution)
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    started = time.perf_counter()
    times: list[float] = []
    while len(times) < _MOST + _WARM and (len(times) < _WARM + 2 or time.perf_counter() - started < _SECONDS):
        before = time.perf_counter()
        model.outputs(picture)
        times.append(1e3 * (time.perf_counter() - before))
    first, median, third = statistics.quantiles(times[_WARM:], n=4, method="inclusive")
    found = {
        **{"milliseconds": round(median, 3), "quartiles": [round(first, 3), round(third, 3)]},
        **{"runs": len(times) - _WARM, "threads": 1, "batch": 1, "processor": processor()},
    }
    return replace(manifest, about={**manifest.about, "latency": found})


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
