"""``mobilevision check-data``: look through a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_csv
from mobilevision.io.printable_text import visible
from mobilevision.io.text_columns import print_lines
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data import DataModule
    from mobilevision.data.inspect import BoxFindings, Findings

_SHOWN = 8
_NAMED = 40  # classes with their counts
_UNBALANCED = 3.0  # samples of the most frequent class over those of the rarest


def check_data(overrides: Sequence[str], *, out: str | Path | None = None) -> int:
    """Decode every image of a data set and print what is wrong with it.

    Bad files, exact and near duplicates, within splits and across them, class balance and sizes; of boxes how many a
    class, how small, and the bad ones. All of it is written as ``problems.csv``, ``duplicates.csv`` and
    ``duplicates.png``, and images with bad boxes are drawn on ``problems.png``.

    Args:
        overrides: as for a training, ``["data=folder", "data.root=IMAGES"]``.
        out: folder for the lists; None makes ``outputs/check-data/<date_time>``. Nothing to list, nothing is made.

    Returns:
        The exit code: 1 where a training would stop (bad data under ``data.on_error=raise``), else 0.

    Raises:
        UserError: the data cannot be read at all.
    """
    from mobilevision.config.compose import compose
    from mobilevision.config.used_plugins import load_for
    from mobilevision.data.inspect import inspect
    from mobilevision.engine.build import build_data

    cfg = compose(overrides)
    load_for(cfg)
    stops = cfg.data.on_error == "raise"
    cfg.data.on_error = "skip"  # find everything, not only the first
    console = Console(highlight=False)
    data = build_data(cfg)
    try:
        spec = data.setup_data()
    except UserError as error:
        return _unusable(data, error, out, console)
    with _progress(console) as progress:
        side = spec.resolution if cfg.data.resolution is not None else (0, 0)
        findings = inspect(data.splits, resolution=side, threads=max(1, data.workers), progress=progress)
    _print(findings, data, console)
    if findings.bad or findings.duplicates:
        _write(findings, data, out)
    stopped = bool(findings.bad) and stops
    rest = ", without what is bad" if findings.bad else ""
    console.print(
        "a training would stop; data.on_error=skip leaves out what is bad" if stopped else f"ready to train{rest}"
    )
    return int(stopped)


def _unusable(data: DataModule, error: UserError, out: str | Path | None, console: Console) -> int:
    """Say all that was found in data of which nothing can be learnt, and give the exit code.

    Raises:
        UserError: the error itself, where reading came to nothing at all.
    """
    from mobilevision.data.inspect import Findings

    splits = getattr(data, "splits", None)
    if splits is None or not splits.problems:
        raise error
    findings = Findings(splits.classes, bad=list(splits.problems))
    _print(findings, data, console)
    _write(findings, data, out)
    raise error


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("looking")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(findings: Findings, data: DataModule, console: Console) -> None:
    from mobilevision.images.decode import HINT

    def say(line: str, style: str | None = None) -> None:
        console.print(visible(line), style=style, soft_wrap=True, markup=False)

    counts = " · ".join(f"{name} {len(records):,}" for name, records in data.splits.items())
    say(f"{findings.looked_at:,} images: {counts}")
    for note in data.splits.notes:
        say(f"  {note}")
    if findings.sizes is not None:
        (low_h, mid_h, high_h), (low_w, mid_w, high_w) = findings.sizes.height, findings.sizes.width
        small = f", {findings.sizes.small:,} smaller than the model's input" if findings.sizes.small else ""
        say(f"sizes: height {low_h} to {high_h} (half are up to {mid_h}), width {low_w} to {high_w} ({mid_w}){small}")
    _print_classes(findings, say)
    if findings.boxes is not None:
        _print_boxes(findings.boxes, findings.classes, say)
    exact = sum(pair.bits < 0 for pair in findings.duplicates)
    say(f"duplicates: {exact} exact, {len(findings.duplicates) - exact} near; {len(findings.leaks)} across splits")
    for pair in findings.leaks[:_SHOWN]:
        labels = f", with different {'labels' if findings.boxes is None else 'boxes'}" if pair.labels else ""
        say(f"  {pair.first.split} {pair.first.name} = {pair.second.split} {pair.second.name}{labels}", "yellow")
    if findings.leaks:
        say("  a score on images that were trained on is too good: remove them from one of the splits")
    say(f"bad: {len(findings.bad)}")
    for problem in findings.bad[:_SHOWN]:
        say(f"  {str(problem).replace(f' {HINT}', '')}", "red")


def _print_classes(findings: Findings, say: Callable[..., None]) -> None:
    counts = findings.counts.get("train", ())
    if not counts:
        return
    order = sorted(range(len(counts)), key=lambda index: counts[index])
    rare, common = order[0], order[-1]
    least, most = (f"{counts[at]:,} ({findings.classes[at]})" for at in (rare, common))
    spread = f"from {least} to {most}" if counts[rare] != counts[common] else f"each of {counts[rare]:,}"
    say(f"classes: {len(counts)}, {spread} training images")
    say(f"  {_named(counts, findings.classes)}")
    if findings.imbalance > _UNBALANCED:
        say(f"  unbalanced by {findings.imbalance:.1f}: loss.class_weights=balanced weighs the classes", "yellow")


def _print_boxes(boxes: BoxFindings, classes: Sequence[str], say: Callable[..., None]) -> None:
    empty = " · ".join(f"{split} {count:,}" for split, count in boxes.empty.items())
    say(f"boxes: {boxes.boxes:,}, of them {boxes.crowd:,} crowds and {boxes.difficult:,} difficult")
    say(f"  images without boxes: {empty}")
    if boxes.shares is not None:
        low, middle, high = (f"{share:.2g}" for share in boxes.shares)
        say(f"  area over the image's: a tenth are below {low}, half below {middle}, a tenth above {high}")
        tiny = "" if boxes.tiny is None else f", {boxes.tiny:,} have a side below 8 pixels of the model's input"
        say(f"  small: {boxes.small:,} ({boxes.small / boxes.boxes:.0%}) are below a hundredth of their image{tiny}")
        say(f"  most in an image: {boxes.most[0]:,} ({boxes.most[1]})")
    for split, counts in boxes.counts.items():
        say(f"  {split}: {_named(counts, classes)}")


def _named(counts: Sequence[int], classes: Sequence[str]) -> str:
    """The classes with how many each has, the most frequent first."""
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    named = " · ".join(f"{classes[index]} {counts[index]:,}" for index in order[:_NAMED])
    return named + (f" · {len(order) - _NAMED} more classes" if len(order) > _NAMED else "")


def _write(findings: Findings, data: DataModule, out: str | Path | None) -> None:
    from mobilevision.data.sheet import problem_sheet, worst
    from mobilevision.images.decode import HINT

    folder = Path(out) if out is not None else RunFolder.create("check-data", None).path
    folder.mkdir(parents=True, exist_ok=True)
    if findings.bad:
        rows = [
            {"where": each.where, "what": each.what.replace(f" {HINT}", ""), "fix": each.fix} for each in findings.bad
        ]
        write_csv(folder / "problems.csv", rows)
        if (sheet := problem_sheet(findings.bad)) is not None:
            sheet.save(folder / "problems.png")
    if findings.duplicates:
        pairs = [
            {
                "first_split": pair.first.split,
                "first": pair.first.name,
                "second_split": pair.second.split,
                "second": pair.second.name,
                "kind": "exact" if pair.bits < 0 else "near",
                "across_splits": int(pair.across),
                "labels_differ": int(pair.labels),
            }
            for pair in findings.duplicates
        ]
        write_csv(folder / "duplicates.csv", pairs)
        if (sheet := worst(data.splits, findings)) is not None:
            sheet.save(folder / "duplicates.png")
    print_lines([f"lists in {folder}"])
