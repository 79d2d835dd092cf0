"""What the plain command reaches, with nothing chosen by hand: metric, probe, minutes.

    python benchmarks/plain_command.py DATA WEIGHTS --seeds 0 1 2 --out plain.json
    python benchmarks/plain_command.py DATA WEIGHTS --only cifar10-v1_025 --images 10 20 50 200 --out sizes.json

DATA holds ``clothing/``, ``pets/``, ``cifar10/`` (image folders with train and test), ``raccoon/`` (VOC xml),
``tinycoco/`` (COCO json) and ``faces/`` (CelebA's files); WEIGHTS the MobileNets that :data:`MODELS` names. Every run
is the command itself in a process of its own, one thread, its time the CPU time of that process, start-up included.
What is finished is kept in the file of ``--out``, so that the same call does what is left.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "v1_05": ["backbone.width=0.5", "backbone.weights={weights}/mobilenet_v1_0.5_160_in1k.safetensors"],
    "v1_025": ["backbone.width=0.25", "backbone.weights={weights}/mobilenet_v1_0.25_128_in1k.safetensors"],
    "v2": ["backbone=mobilenet_v2", "backbone.weights={weights}/mobilenet_v2_1.0_224_in1k.safetensors"],
}
SHOWN = {"v1_05": "V1 0.5", "v1_025": "V1 0.25", "v2": "V2"}
FACES = ["data=celeba", "data.root={data}/faces", "data.format.val_as_test=true", "data.val_fraction=0.12"]
PEOPLE = ["data=identities", "data.root={data}/faces/identities.csv", "data.format.images={data}/faces/images"]
NOISY = ["data=auto", "data.root={data}/cifar10", "data.resolution=128", "data.label_noise=0.1"]
UNBALANCED = 200, 10
"""Training images of the first and of the last class of the cases called unbalanced; those between in even ratios."""
CASES: dict[str, tuple[str, list[str]]] = {
    "clothing-v1_05": ("top1", ["data=auto", "data.root={data}/clothing", *MODELS["v1_05"]]),
    "clothing-v2": ("top1", ["data=auto", "data.root={data}/clothing", *MODELS["v2"]]),
    "pets-v1_05": ("top1", ["data=auto", "data.root={data}/pets", *MODELS["v1_05"]]),
    "pets-v2": ("top1", ["data=auto", "data.root={data}/pets", *MODELS["v2"]]),
    "cifar10-v1_025": ("top1", ["data=auto", "data.root={data}/cifar10", "data.resolution=128", *MODELS["v1_025"]]),
    "unbalanced-v1_025": ("top1", [*NOISY, *MODELS["v1_025"]]),
    "unbalanced_none-v1_025": ("top1", [*NOISY, *MODELS["v1_025"], "loss.class_weights=none"]),
    "raccoon-v1_05": ("map_50", ["task=detection", "data=auto", "data.root={data}/raccoon", *MODELS["v1_05"]]),
    "tinycoco-v1_05": ("map_50", ["task=detection", "data=auto", "data.root={data}/tinycoco", *MODELS["v1_05"]]),
    "attributes-v1_025": ("mean_ap", ["task=face_attributes", *FACES, *MODELS["v1_025"]]),
    "embedding-v1_025": ("auc", ["task=face_embedding", *PEOPLE, *MODELS["v1_025"]]),
    "shapes": ("top1", ["task=classification"]),
    "scenes": ("map_50", ["task=detection"]),
    "beetles": ("top1", ["task=fine_grained"]),
    "drawn_faces": ("mean_ap", ["task=face_attributes"]),
    "drawn_identities": ("auc", ["task=face_embedding"]),
    "places": ("mean_within", ["task=geolocalization"]),
}


def train(words: list[str], out: Path) -> tuple[dict[str, float], float]:
    """One training on one thread, in the folder ``out``; its metrics, and the CPU minutes of the command."""
    command = [sys.executable, str(ROOT / "train.py"), *words, f"run_dir={out}", "logger=none", "data.workers=0"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    seconds = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    return json.loads((out / "metrics.json").read_text()), seconds / 60


def run(words: list[str], metric: str) -> dict[str, float]:
    """One training; its test metric, what val said of the probe and of the best epoch, and CPU minutes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        results, minutes = train(words, out)
        with (out / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    found = {"test": results.get(f"test/{metric}", results.get(f"val/{metric}", float("nan"))), "minutes": minutes}
    values = [float(row[f"val/{metric}"]) for row in rows if row.get(f"val/{metric}")]
    found["best val"] = max(values)
    if rows[0]["epoch"] == "0":
        found["probe val"] = float(rows[0][f"val/{metric}"])
    return found


def cut(source: Path, target: Path, images: tuple[int, int], seed: int) -> Path:
    """An image folder with so many training images in its first and last class, by the seed, and the whole test."""
    for split in ("train", "test"):
        folders = sorted((source / split).iterdir())
        for place, folder in enumerate(folders):
            files = sorted(folder.iterdir())
            if split == "train":
                wanted = round(images[0] * (images[1] / images[0]) ** (place / (len(folders) - 1)))
                files = random.Random(seed).sample(files, min(wanted, len(files)))
            (target / split / folder.name).mkdir(parents=True, exist_ok=True)
            for file in files:
                (target / split / folder.name / file.name).symlink_to(file.resolve())
    return target


def figure(results: dict[str, dict[str, float]], path: Path) -> None:
    """Test metric by training images a class, a line a case."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    lines: dict[str, dict[int, list[float]]] = {}
    for name, found in results.items():
        case, _, rest = name.partition(" images=")
        if rest:
            lines.setdefault(case, {}).setdefault(int(rest.split()[0]), []).append(found["test"])
    for case, points in lines.items():
        sizes = sorted(points)
        data, _, model = case.partition("-")
        means = [sum(points[size]) / len(points[size]) for size in sizes]
        axes.plot(sizes, means, marker="o", label=f"{data}, MobileNet {SHOWN[model]}")
        for size in sizes:
            axes.scatter([size] * len(points[size]), points[size], s=9, color="grey", zorder=3)
    ticks = sorted({size for points in lines.values() for size in points})
    axes.set(xscale="log", xlabel="training images a class (val is a fifth of them)", ylabel="top-1 on test")
    axes.set_xticks(ticks, [str(size) for size in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    drawing.savefig(path)


def main() -> None:
    """Run what is left, print all, draw the figure where sizes were cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--images", nargs="*", type=int, default=[], help="cut train to so many images a class")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("plain_command.json"))
    given = parser.parse_args()
    results: dict[str, dict[str, float]] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    for seed in given.seeds:
        for case in given.only:
            metric, words = CASES[case]
            for images in given.images or [0]:
                name = f"{case} images={images} seed={seed}" if images else f"{case} seed={seed}"
                if name in results:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    filled = [word.format(data=given.data, weights=given.weights) for word in words]
                    if images or case.startswith("unbalanced"):
                        root = next(word for word in filled if word.startswith("data.root="))
                        ends = (images, images) if images else UNBALANCED
                        small = cut(Path(root.partition("=")[2]), Path(folder), ends, seed)
                        filled[filled.index(root)] = f"data.root={small}"
                    results[name] = run([*filled, f"seed={seed}"], metric)
                given.out.write_text(json.dumps(results, indent=1))
                shown = "  ".join(f"{key} {value:.3f}" for key, value in results[name].items())
                print(f"{name:<40}{metric:<8}{shown}", flush=True)
    if given.images:
        figure(results, given.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
