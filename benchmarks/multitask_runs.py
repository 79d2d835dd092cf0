"""Three tasks on one backbone against the same three alone, each image seen as often: metrics and minutes.

    python benchmarks/multitask_runs.py DATA WEIGHTS --seeds 0 1 2 --out runs

Raccoons (SSD at side 300), pieces of clothing (ten classes) and faces (40 attributes), both at 160, MobileNet V1 0.5
with pretrained weights. DATA and WEIGHTS are those of ``plain_command.py``. An epoch shows every image of every part
once, together and alone, so the same number of epochs is the same number of images; the rest is what ``auto`` decides.
Every run is the command itself in a process of its own, one thread; its time is CPU time. Run folders and results.json
are kept in the folder of ``--out``, so that the same call does what is left; teachers are the runs alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from plain_command import train

WEIGHTS = ["backbone.width=0.5", "backbone.weights={weights}/mobilenet_v1_0.5_160_in1k.safetensors"]
PARTS: dict[str, tuple[str, str, list[str]]] = {
    "raccoon": ("detection", "map_50", ["data=auto", "data.root={data}/raccoon", "data.resolution=300"]),
    "clothing": ("classification", "top1", ["data=auto", "data.root={data}/clothing", "data.resolution=160"]),
    "faces": (
        "face_attributes",
        "mean_ap",
        [
            *("data=celeba", "data.root={data}/faces", "data.resolution=160"),
            *("data.format.val_as_test=true", "data.val_fraction=0.12"),
        ],
    ),
}
"""Task, metric and overrides of each part."""
OBJECTIVES = {"raccoon": "detections", "clothing": "outputs", "faces": "outputs"}
VARIANTS: dict[str, list[str]] = {
    "together": [],
    "uncertainty": ["loss=uncertainty"],
    "gradient surgery": ["loss.gradient_surgery=true"],
    "taught": [],
}


def together() -> list[str]:
    """The overrides of a run of all parts."""
    words = ["task=multitask", "data.resolution=300", "data.fit=stretch"]
    for name, (task, _, own) in PARTS.items():
        words.append(f"parts.{name}={task}")
        words += [f"parts.{name}.{word}" for word in own if word != "data.resolution=300"]
    return words


def folder_of(name: str) -> str:
    """The name of a run as one of a folder that overrides can hold without quotes."""
    return name.replace(" ", "_").replace("=", "_")


def run(words: list[str], out: Path) -> dict[str, float]:
    """One training in ``out``; its test metrics (val's where the data has no test) by part, and CPU minutes."""
    results, minutes = train(words, out)
    found = {"minutes": minutes}
    for name, (_, metric, _) in PARTS.items():
        for key in (f"test/{name}/{metric}", f"val/{name}/{metric}", f"test/{metric}", f"val/{metric}"):
            if key in results and name not in found:
                found[name] = results[key]
    return found


def main() -> None:
    """Run what is left and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--only", nargs="*", default=["alone", *VARIANTS], choices=["alone", *VARIANTS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("multitask_runs"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "results.json"
    results: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.is_file() else {}
    for seed in given.seeds:
        runs = {f"alone {name}": [f"task={task}", *own] for name, (task, _, own) in PARTS.items()}
        runs = runs if "alone" in given.only else {}
        for variant in (each for each in VARIANTS if each in given.only):
            runs[variant] = [*together(), *VARIANTS[variant]]
        for name in PARTS if "taught" in runs else ():
            teacher = given.out / folder_of(f"alone {name} seed={seed}")
            runs["taught"] += [f"parts.{name}.distill={OBJECTIVES[name]}", f"parts.{name}.distill.teacher={teacher}"]
        for case, words in runs.items():
            name = f"{case} seed={seed}"
            if name not in results:
                filled = [word.format(data=given.data, weights=given.weights) for word in (*words, *WEIGHTS)]
                filled += [f"trainer.max_epochs={given.epochs}", f"seed={seed}"]
                found = run(filled, given.out / folder_of(name))
                part = case.removeprefix("alone ")
                results[name] = {key: value for key, value in found.items() if case == part or key in (part, "minutes")}
                kept.write_text(json.dumps(results, indent=1))
            shown = "  ".join(f"{key} {value:.3f}" for key, value in results[name].items())
            print(f"{name:<28}{shown}", flush=True)


if __name__ == "__main__":
    main()
