"""predictions/: every prediction of a split as a row, and the worst and some ordinary ones as images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mobilevision.data.loader import BatchSource
from mobilevision.images.framing import Affine, Frame
from mobilevision.io.atomic_files import flat, write_csv, write_json
from mobilevision.ops.rows import take
from mobilevision.prediction.activation_maps import activation_map, draw_activation
from mobilevision.prediction.confused import Sample, draw_confused
from mobilevision.visualization.draw import to_image

if TYPE_CHECKING:
    from pathlib import Path

    from mobilevision.data import DataModule
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder

_SHOWN_SIDE = 320  # longer side of a drawn image: the model's view, but as sharp as the file is


def write_images(
    task: Task, data: DataModule, folder: RunFolder, *, count: int = 16, limit: int = 5000, activation: bool = True
) -> list[Path]:
    """Write ``predictions/predictions.csv`` and ``count`` images: the worst by loss, and others drawn at random.

    Of classes also the most confused pairs, see :mod:`mobilevision.prediction.confused`.

    Args:
        task: a :class:`mobilevision.tasks.base.Task`; stays on its device, and in its mode when this returns.
        data: set up; test is taken, or val where there is no test.
        folder: the run's.
        count: images; the worst are the first half.
        limit: samples that are looked at; of a larger split, so many at equal distances.
        activation: whether the same images are drawn with what the model looked at, below ``activation/``.

    Returns:
        The images' files.
    """
    split = "test" if data.splits.test is not None else "val"
    source = data.eval_dataloader(split).source
    with evaluating(task):
        samples = sorted(predictions(task, source, batch=data.batch_size, limit=limit), key=lambda s: -s.loss)
        chosen = choose(samples, count)
        files = draw_images(task, source, chosen, folder.predictions)
        files += draw_confused(
            samples, folder.predictions, lambda index: drawn(task, source, index)[0], source.records.name
        )
        draw_activations(task, source, chosen if activation else {}, folder.predictions / "activation")
    _write_rows(folder.predictions / "predictions.csv", source, samples, chosen)
    return [folder.predictions / name for name in files]


def predictions(task: Task, source: BatchSource, *, batch: int, limit: int) -> Iterator[Sample]:
    """Predictions of a split, or of ``limit`` samples at equal distances; files that must be skipped are left out."""
    number, source.features = len(source), None  # images are to be drawn, even where features are cached
    rows = np.arange(number) if number <= limit else np.linspace(0, number - 1, limit).astype(np.int64)
    for start in range(0, len(rows), batch):
        found = source.__getitems__([(0, int(index)) for index in rows[start : start + batch]])
        found = task.transfer_batch_to_device(found, task.device, 0)
        outputs, target = task.outputs(found), found["target"]
        decoded = task.decode(outputs)
        for place, index in enumerate(found["index"].tolist()):
            one = {"target": take(target, slice(place, place + 1))}
            loss = sum(task.loss(take(outputs, slice(place, place + 1)), one).values())
            placed = task.locate(take(decoded, place), source.view.frame(index).to_input.inverse)
            yield Sample(index, float(loss), task.truth(take(target, place)), task.describe(placed))


def choose(samples: Sequence[Sample], count: int) -> dict[str, Sample]:
    """Names for the images to draw and their samples: the first half the worst, the rest from the others.

    No sample is called the worst where all have one loss, as under losses that only pairs of images have.

    Args:
        samples: worst first.
        count: images, or as many as there are samples.
    """
    alike = not samples or samples[0].loss == samples[-1].loss
    worst = 0 if alike else min(-(-count // 2), len(samples))
    others = np.random.default_rng(0).permutation(np.arange(worst, len(samples)))[: count - worst]
    named = {f"worst_{place + 1:02d}.png": samples[place] for place in range(worst)}
    return named | {f"typical_{place + 1:02d}.png": samples[int(row)] for place, row in enumerate(sorted(others))}


def draw_images(task: Task, source: BatchSource, chosen: dict[str, Sample], folder: Path) -> list[str]:
    """Draw the chosen samples into ``folder``, whose earlier images give way; returns the files' names."""
    plain = folder / "plain"  # the images without a line on them, for trackers that draw the outlines themselves
    plain.mkdir(parents=True, exist_ok=True)
    for old in [*folder.rglob("worst_*.png"), *folder.rglob("typical_*.png")]:
        old.unlink()
    outlined: dict[str, Any] = {}
    for name, sample in chosen.items():
        image, pixels, placed = drawn(task, source, sample.index)
        image.save(folder / name, optimize=True)
        if layers := task.outlines(*placed):
            outlined[name] = layers
            to_image(pixels, at_least=0).save(plain / name, optimize=True)
    write_json(plain / "outlines.json", outlined)
    return list(chosen)


def draw_activations(task: Task, source: BatchSource, chosen: dict[str, Sample], folder: Path) -> None:
    """Draw where the answers for the chosen samples come from, under the same names; earlier images give way."""
    for old in folder.glob("*.png"):
        old.unlink()
    for name, sample in chosen.items():
        found = activation_map(task, source.__getitems__([(0, sample.index)])["image"][0])
        if found is not None:
            folder.mkdir(exist_ok=True)
            draw_activation(*view(source, sample.index), found).save(folder / name, optimize=True)


def drawn(task: Task, source: BatchSource, index: int) -> tuple[Any, np.ndarray[Any, np.dtype[np.uint8]], list[Any]]:
    """A sample with its prediction and its truth on it; its pixels; and prediction and truth as they lie in these."""
    batch = source.__getitems__([(0, index)])
    prediction = take(task.predict(batch["image"].to(task.device)), 0)
    pixels, shown = view(source, index)
    placed = [task.locate(values, shown) for values in (prediction, take(batch["target"], 0))]
    return task.draw(pixels, *placed), pixels, placed


def view(source: BatchSource, index: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Affine]:
    """What the model looks at, at the resolution that the file has, or at most 320 pixels a side; without distortion.

    Returns:
        The pixels, and the mapping from the model's input to them.
    """
    here = source.view.frame(index)
    height, width = source.resolution if source.fit == "crop" else (here.box[3], here.box[2])
    longer = max(height, width)
    scale = min(_SHOWN_SIDE, max(longer, *here.box[2:])) / longer
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = source.records.pixels(index, box=here.box, size=size, exact=True)
    return pixels, here.to_input.inverse.then(Frame(here.box, size).to_input)


@contextmanager
def evaluating(task: Task) -> Iterator[None]:
    """Evaluation mode and no gradients while this lasts."""
    training = task.training
    task.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        task.train(training)


def _write_rows(path: Path, source: BatchSource, samples: Sequence[Sample], chosen: dict[str, Sample]) -> None:
    drawn = {sample.index: name for name, sample in chosen.items()}
    lines = []
    for sample in samples:
        head = {"file": source.records.name(sample.index), "truth": sample.truth}
        tail: dict[str, Any] = {"correct": int(sample.row["label"] == sample.truth)} if "label" in sample.row else {}
        tail |= {"loss": round(sample.loss, 6), "picture": drawn.get(sample.index, "")}
        lines.append({**head, **flat(sample.row), **tail})
    write_csv(path, lines, columns=[] if lines else ["file"])
