"""How mean AP over attributes falls as width and side shrink, with and without a teacher (arXiv 1704.04861, 4.5).

    python benchmarks/distillation_tradeoff.py --out outputs/distillation_tradeoff

Trains the embedded faces at every width and side on labels alone, then again imitating the widest of those runs
(``distill=outputs``), all with the same steps; draws both and prints the table. Runs that are there are not made again.
Settings of every run come first: ``distillation_tradeoff.py data.format.train=2000 --sides 32 64``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

from mobilevision.cost import count
from mobilevision.runs.compose import compose

TASK = ("task=face_attributes", "trainer=cpu", "logger=none", "callbacks.pictures.enabled=false")
TRAIN = Path(__file__).parents[1] / "train.py"


def trained(folder: Path, *overrides: str) -> float:
    """Test mean AP of the run in ``folder``, which is made where it is not there."""
    done = folder / "metrics.json"
    if not done.exists():
        words = [*TASK, f"run_dir={folder}", *overrides]
        subprocess.run([sys.executable, str(TRAIN), *words], check=True, stdout=subprocess.DEVNULL)
    return float(json.loads(done.read_text())["test/mean_ap"])


def mult_adds(width: float, side: int) -> int:
    """Of one picture."""
    import torch

    from mobilevision.runs.build import build

    built = build(compose([*TASK, f"backbone.width={width}", f"data.resolution={side}", "data.format.train=8"]))
    return count(built.task, torch.empty(1, 3, side, side, device="meta")).mult_adds


def draw(rows: list[dict[str, float]], file: Path) -> None:
    """Mean AP against mult-adds, a line a side, dashed where the labels alone were heard."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for colour, side in enumerate(sorted({row["side"] for row in rows})):
        chosen = sorted((row for row in rows if row["side"] == side), key=lambda row: row["mult_adds"])
        across = [row["mult_adds"] / 1e6 for row in chosen]
        axes.plot(across, [row["teacher"] for row in chosen], f"C{colour}o-", label=f"{side:.0f} px, teacher")
        axes.plot(
            across, [row["labels"] for row in chosen], f"C{colour}o--", mfc="white", label=f"{side:.0f} px, labels"
        )
    axes.set(xscale="log", xlabel="million mult-adds a picture", ylabel="mean AP of the test")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/distillation_tradeoff"))
    parser.add_argument("--widths", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 48, 64])
    parser.add_argument("overrides", nargs="*", help="further settings of every run, such as data.format.train=2000")
    options = parser.parse_args()
    teacher = options.out / f"labels_{max(options.widths)}_{max(options.sides)}"
    rows = []
    print("width  side  mult-adds (M)  labels  teacher")
    for side, width in sorted(product(options.sides, options.widths), reverse=True):
        size = (f"backbone.width={width}", f"data.resolution={side}", *options.overrides)
        labels = trained(options.out / f"labels_{width}_{side}", *size)
        taught = ("distill=outputs", f"distill.teacher={teacher}")
        under = trained(options.out / f"teacher_{width}_{side}", *size, *taught)
        rows.append({"side": side, "mult_adds": mult_adds(width, side), "labels": labels, "teacher": under})
        print(f"{width:5}  {side:4}  {rows[-1]['mult_adds'] / 1e6:13.1f}  {labels:6.3f}  {under:7.3f}", flush=True)
    draw(rows, options.out / "distillation_tradeoff.png")


if __name__ == "__main__":
    main()
