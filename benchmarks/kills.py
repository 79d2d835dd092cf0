"""Kill a training at random, resume it, and see whether the outcome is that of a run which was left alone.

    python benchmarks/kills.py --kills 100

Small runs of a few seconds: classification with dropout, an average of the weights and two workers; detection; and
distillation from cached outputs. Each is stopped one to three times, at a time that is drawn over the length of a whole
run, by SIGINT, SIGTERM or ``kill -9``, and then left to come to its end. Weights, optimiser, best.ckpt, metrics.csv and
metrics.json are compared to the last bit.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.training.compare_runs import differences
from tests.training.stopping_places import Ended, Trainings

WAYS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
SHORT = ["data.batch_size=8", "trainer=cpu", "logger=none", "callbacks.last.every_n_steps=3", "data.format.test=16"]
CLASSES = [*SHORT, "backbone.width=0.25", "data.resolution=32", "data.format.train=128", "data.format.val=32"]
KINDS = {
    "classification": [
        *CLASSES,
        "trainer.max_epochs=4",
        "data.workers=2",
        "head.dropout=0.3",
        "callbacks.ema.enabled=true",
        "callbacks.ema.decay=0.9",
    ],
    "detection": [
        *SHORT,
        "task=detection",
        "backbone.width=0.25",
        "data.resolution=96",
        "data.format.train=48",
        "data.format.val=16",
        "data.workers=0",
        "trainer.max_epochs=3",
    ],
    "distillation": [
        *CLASSES,
        "trainer.max_epochs=4",
        "data.workers=0",
        "augment=none",
        "distill=outputs",
        "distill.cache=true",
        "distill.teacher=teacher",
    ],
}


def killed(
    trainings: Trainings, options: list[str], run: Path, lasts: float, draw: random.Random, most: int
) -> tuple[list[str], Ended]:
    """Begin a run, stop it up to ``most`` times, and let it end; where it was stopped, and how it ended."""
    stops: list[str] = []
    while True:
        begun = (run / "config.yaml").exists()
        arguments = [f"resume={run}"] if begun else [*options, f"run_dir={run}"]
        after = (draw.uniform(0, lasts), draw.choice(WAYS)) if len(stops) < most else None
        ended = trainings.run(*arguments, after=after, cwd=run.parent)
        if after is None or ended.code == 0:
            return stops, ended
        where = f"place {len(ended.places)}, {ended.places[-1]}" if ended.places else "start"
        stops.append(f"{after[1].name} after {where}")


def main() -> None:
    """Print exact, differs or dead end for each run, and how many of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, default=Path("kills"), help="folder for the runs that differ")
    given = parser.parse_args()
    draw, counts, kills = random.Random(given.seed), Counter[str](), 0
    trainings = Trainings()
    with tempfile.TemporaryDirectory() as work:
        base = Path(work)
        lasts = {}
        trainings.run(*CLASSES, "data.workers=0", "trainer.max_epochs=1", f"run_dir={base / 'teacher'}", cwd=base)
        for kind in given.kinds:
            ended = trainings.run(*KINDS[kind], f"run_dir={base / kind}", cwd=base)
            assert ended.code == 0, ended.output
            start = time.monotonic()
            again = trainings.run(*KINDS[kind], f"run_dir={base / 'again'}", cwd=base)
            assert again.code == 0, again.output
            lasts[kind] = time.monotonic() - start
            assert differences(base / kind, base / "again") == []
            shutil.rmtree(base / "again")
        while kills < given.kills:
            kind, run = draw.choice(given.kinds), base / "killed"
            shutil.rmtree(run, ignore_errors=True)
            most = min(draw.randint(1, 3), given.kills - kills)
            stops, ended = killed(trainings, KINDS[kind], run, lasts[kind], draw, most)
            kills += len(stops)
            wrong = [ended.output] if ended.code else differences(base / kind, run)
            verdict = "dead end" if ended.code else "differs" if wrong else "exact"
            counts[verdict] += len(stops)
            print(f"{kind}: {verdict}: {'; '.join(stops) or 'not stopped'}", *wrong[:6], sep="\n  ", flush=True)
            if wrong:
                shutil.copytree(run, given.keep / f"{kind}{kills}")
    trainings.close()
    print(f"{kills} kills: {counts['exact']} exact, {counts['differs']} differ, {counts['dead end']} dead ends")


if __name__ == "__main__":
    main()
