"""What each detector reaches from the same weights at like mult-adds: AP by size of object, and minutes.

    python benchmarks/detectors.py DATA WEIGHTS --seeds 0 1 2 --out detectors.json

Photos of one class (raccoon) and of COCO's (tinycoco: 32 images to learn from) from pretrained MobileNet V1 0.5, and
the embedded scenes from random weights. DATA and WEIGHTS are those of ``plain_command.py``; nothing else is set by hand
but the head and the side that makes its mult-adds like SSD's. Every run is the command itself in a process of its own,
one thread, its time the CPU time of that process. What is finished is kept in the file of ``--out``, so that the same
call does what is left.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from plain_command import train

WEIGHTS = ["backbone.width=0.5", "backbone.weights={weights}/mobilenet_v1_0.5_160_in1k.safetensors"]
SETS: dict[str, list[str]] = {
    "raccoon": ["data=auto", "data.root={data}/raccoon", *WEIGHTS],
    "tinycoco": ["data=auto", "data.root={data}/tinycoco", *WEIGHTS],
    "scenes": ["backbone.width=0.5"],
}
HEADS: dict[str, tuple[list[str], dict[str, int]]] = {
    "ssd": (["head=ssd"], {"raccoon": 300, "tinycoco": 300, "scenes": 144}),
    "ssdlite": (["head=ssdlite"], {"raccoon": 320, "tinycoco": 320, "scenes": 144}),
    "picodet": (["head=picodet"], {"raccoon": 288, "tinycoco": 288, "scenes": 144}),
    "picodet, one to one": (
        ["head=picodet", "head.one_to_one=true"],
        {"raccoon": 288, "tinycoco": 288, "scenes": 144},
    ),
    "faster_rcnn_fpn": (
        ["head=faster_rcnn_fpn", "head.width=64", "head.hidden=256", "head.proposals=50"],
        {"raccoon": 224, "tinycoco": 224, "scenes": 112},
    ),
}
"""Overrides of each head, and the side of the input by set."""
METRICS = ("map", "map_50", "map_small", "map_medium", "map_large")


def main() -> None:
    """Run what is left and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--heads", nargs="*", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="trainer.max_epochs of every run; by default what auto decides")
    parser.add_argument("--out", type=Path, default=Path("detectors.json"))
    parser.add_argument("--runs", type=Path, help="keep the run folders here, for exports")
    given = parser.parse_args()
    results: dict[str, dict[str, float]] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    for seed in given.seeds:
        for images in given.sets:
            for head in given.heads:
                length = f"{given.epochs} epochs, " if given.epochs else ""
                name = f"{images}, {head}, {length}seed {seed}"
                if name not in results:
                    overrides, sides = HEADS[head]
                    words = [word.format(data=given.data, weights=given.weights) for word in SETS[images]]
                    words += ["task=detection", *overrides, f"data.resolution={sides[images]}", f"seed={seed}"]
                    words += [f"trainer.max_epochs={given.epochs}"] if given.epochs else []
                    with tempfile.TemporaryDirectory() as folder:
                        run = (given.runs or Path(folder)) / name.replace(", ", "-").replace(" ", "_")
                        found, minutes = train(words, run)
                    split = "test" if f"test/{METRICS[0]}" in found else "val"  # tinycoco has no test
                    kept = {key: found[f"{split}/{key}"] for key in METRICS if f"{split}/{key}" in found}
                    results[name] = {**kept, "minutes": minutes}
                    given.out.write_text(json.dumps(results, indent=1))
                shown = "  ".join(f"{key} {value:.3f}" for key, value in results[name].items())
                print(f"{name:<40}{shown}", flush=True)


if __name__ == "__main__":
    main()
