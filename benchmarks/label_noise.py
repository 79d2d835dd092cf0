"""Test accuracy after training on labels of which some are wrong, with and without what is meant to help.

    python benchmarks/label_noise.py

The embedded shapes with 0, 20 and 40 % of the training labels made wrong (test stays clean), MobileNet V1 0.25, one
thread. The last epoch's weights are tested: whoever has wrong labels has no clean val to choose an epoch by. One run
after another, each about a CPU minute; every run's folder is kept under --out, and those that are there are not run
again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

NOISE = (0.0, 0.2, 0.4)
OPTIONS = {
    "plain": [],
    "label smoothing 0.1": ["loss.label_smoothing=0.1"],
    "bootstrap hard 0.8": ["loss=bootstrap"],
    "bootstrap soft 0.95": ["loss=bootstrap", "loss.mode=soft", "loss.trust=0.95"],
    "small loss": ["loss=small_loss", "loss.ramp=5"],  # drops as much as there is, at least 10 %
}
COMMON = [
    *("task=classification", "backbone.width=0.25", "data.resolution=48", "data.format.side=48"),
    *("data.format.train=1500", "data.format.val=100", "data.workers=0", "trainer=cpu", "logger=none"),
    *("trainer.check_val_every_n_epoch=5", "callbacks.best.enabled=false", "callbacks.pictures.enabled=false"),
]
TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def overrides(option: str, noise: float) -> list[str]:
    """What an option adds to the command."""
    more = [f"loss.drop={max(noise, 0.1):g}"] if option == "small loss" else []
    return [*OPTIONS[option], *more, f"data.label_noise={noise:g}"]


def run(option: str, noise: float, seed: int, epochs: int, out: Path) -> float:
    """Test top-1 of one training, from its folder where it was run before."""
    name = f"{option}_{noise:g}_{epochs}_{seed}".replace(" ", "_")
    result = out / name / "metrics.json"
    if not result.is_file():
        words = [*COMMON, *overrides(option, noise), f"seed={seed}", f"trainer.max_epochs={epochs}"]
        command = [sys.executable, str(TRAIN), *words, f"run_dir={out / name}"]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=one_thread)
    return float(json.loads(result.read_text())["test/top1"])


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--options", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--out", type=Path, default=Path("outputs/label_noise"))
    arguments = parser.parse_args()
    print(f"python {platform.python_version()}, {arguments.epochs} epochs, seeds {arguments.seeds}")
    print("| wrong labels | " + " | ".join(f"{noise:.0%}" for noise in arguments.noise) + " |")
    print("|---|" + "---|" * len(arguments.noise))
    for option in arguments.options:
        start, cells = time.monotonic(), []
        for noise in arguments.noise:
            scores = [run(option, noise, seed, arguments.epochs, arguments.out) for seed in arguments.seeds]
            cells.append(f"{statistics.mean(scores):.3f}")
        print(f"| {option} | {' | '.join(cells)} |", flush=True)
        print(f"  {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
