"""How mean AP over attributes falls as width and side shrink, with and without a teacher (arXiv 1704.04861, 4.5).

    python benchmarks/distillation_tradeoff.py --out outputs/distillation_tradeoff

Two sweeps over the embedded faces, with the same steps: on labels alone (``experiment=tradeoff_face_attributes``), then
imitating the widest and largest of those runs (``distill=outputs``). Draws both and prints the table; runs that are
there are not made again. Settings of every run come first: ``distillation_tradeoff.py data.format.train=2000``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mobilevision.reports.compare import Row, collect

TRAIN = Path(__file__).parents[1] / "train.py"
RUN = ("-m", "experiment=tradeoff_face_attributes", "trainer=cpu", "logger=none", "callbacks.pictures.enabled=false")


def sweep(folder: Path, *overrides: str) -> dict[tuple[float | None, str], Row]:
    """The rows of a sweep by width and side."""
    words = [*RUN, f"run_dir={folder}", *overrides]
    subprocess.run([sys.executable, str(TRAIN), *words], check=True, stdout=subprocess.DEVNULL)
    return {(row.width, row.size): row for row in collect([folder])}


def draw(labels: Sequence[Row], teacher: Sequence[Row], file: Path) -> None:
    """Mean AP against mult-adds, a colour a side, dashed where the labels alone were heard."""
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for colour, side in enumerate(sorted({row.size for row in labels})):
        for rows, look, who in ((teacher, "o-", "teacher"), (labels, "o--", "labels")):
            chosen = [row for row in rows if row.size == side]
            across, up = [row.mult_adds for row in chosen], [row.value for row in chosen]
            face = "white" if who == "labels" else f"C{colour}"
            axes.plot(across, up, f"C{colour}{look}", mfc=face, label=f"{side} px, {who}")
    axes.set(xscale="log", xlabel="mult-adds an image", ylabel="mean AP of the test")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/distillation_tradeoff"))
    parser.add_argument("--widths", default="0.25,0.5", help="of the students under the teacher")
    parser.add_argument("overrides", nargs="*", help="settings of every run")
    options = parser.parse_args()
    labels = sweep(options.out / "labels", *options.overrides)
    teacher = max(labels.values(), key=lambda row: row.mult_adds)
    taught = ("distill=outputs", f"distill.teacher={teacher.folder}", f"backbone.width={options.widths}")
    under = sweep(options.out / "teacher", *taught, *options.overrides)
    print("width  side    mult-adds  labels  teacher")
    for (width, side), row in sorted(labels.items(), key=lambda item: item[1].mult_adds):
        other = f"{under[width, side].value:7.3f}" if (width, side) in under else ""
        print(f"{width:5}  {side:>4}  {row.mult_adds:11,}  {row.value:6.3f}  {other}")
    draw(list(labels.values()), list(under.values()), options.out / "distillation_tradeoff.png")


if __name__ == "__main__":
    main()
