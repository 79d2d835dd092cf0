"""predictions/: every prediction of a split as a row, and the worst and some ordinary ones as images."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import torch

from mobilevision.data.loader import BatchSource
from mobilevision.images.framing import Affine, Frame
from mobilevision.io.atomic_files import flat, write_csv, write_json
from mobilevision.ops.rows import take
from mobilevision.prediction.activation_maps import activation_map, draw_activation
from mobilevision.tracking.tracker import SampleImage
from mobilevision.visualization.draw import beside, to_image

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from mobilevision.data import DataModule
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder

_log = logging.getLogger(__name__)
_SHOWN_SIDE = 320  # longer side of a drawn image: the model's view, but as sharp as the file is
_PAIRS, _CONFUSED = 8, "confused.csv"


@final
@dataclass(frozen=True)
class Sample:
    """One prediction: the index in the split, the loss, the truth in words, and the row that the task makes of it."""

    index: int
    loss: float
    truth: str
    row: dict[str, Any]


def write_images(
    task: Task, data: DataModule, folder: RunFolder, *, count: int = 16, limit: int = 5000, activation: bool = True
) -> list[Path]:
    """Write ``predictions/predictions.csv`` and ``count`` images: the worst by loss, and others drawn at random.

    Of classes also the most confused pairs, see :func:`draw_confused`.

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


def draw_followed(task: Task, data: DataModule, folder: Path, *, count: int) -> list[SampleImage]:
    """Draw ``count`` images of val, at equal distances, so that the same ones can be followed through a training.

    Args:
        task: as it is now; stays on its device, and in its mode when this returns.
        data: set up.
        folder: for the images; those of an earlier epoch are overwritten.
        count: images, or as many as val has.
    """
    source = data.eval_dataloader("val").source
    source.features = None  # images are to be drawn, even where features are cached
    indexes = np.linspace(0, len(source) - 1, min(count, len(source))).astype(np.int64)
    batch = source.__getitems__([(0, int(index)) for index in indexes])
    with evaluating(task):
        predicted = task.predict(batch["image"].to(task.device))
        samples = [
            Sample(index, 0.0, task.truth(take(batch["target"], place)), task.describe(take(predicted, place)))
            for place, index in enumerate(batch["index"].tolist())
        ]
        chosen = {f"image_{number:02d}.png": sample for number, sample in enumerate(samples, 1)}
        draw_images(task, source, chosen, folder)
    rows = [{"picture": name, "truth": sample.truth, **sample.row} for name, sample in chosen.items()]
    return tracked_images(rows, folder)


def tracked_images(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[SampleImage]:
    """Drawn images with a caption each; where a task outlines things, also plain with the outlines.

    Args:
        rows: what the task says of each, with ``truth`` and ``picture``, the file's name.
        folder: where :func:`draw_images` drew them.
    """
    outlined = json.loads((folder / "plain" / "outlines.json").read_text(encoding="utf-8")) if rows else {}
    found = []
    for row in rows:
        name, words = row["picture"], row.get("found") or f"{row.get('label', '')} {row.get('score', '')}"
        plain = folder / "plain" / name if name in outlined else None
        found.append(SampleImage(folder / name, f"{words}, truth {row['truth']}", plain, outlined.get(name)))
    return found


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
        try:
            found = activation_map(task, source.__getitems__([(0, sample.index)])["image"][0])
        except Exception as error:  # of a plugin's backbone or head; a finished training does not end in it
            _log.warning("no activation maps: %s", error)
            return
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


# The classes most often taken for each other, an example of each side by side.


class Pair(NamedTuple):
    """Two classes: how often one was taken for the other, a sample of that, and one of the class it was taken for."""

    truth: str
    label: str
    times: int
    of: int
    mistaken: Sample
    example: Sample


def confused_pairs(samples: Sequence[Sample]) -> list[Pair]:
    """The pairs of a true and a predicted class with most mistakes between them.

    The two directions of a pair are one; the one with more mistakes is shown. The example of the other class is the one
    that the model knows best, so that it shows what was meant. Pairs without such an example are left out.

    Args:
        samples: predictions with a ``label`` in their rows; others are passed over.
    """
    labelled = [sample for sample in samples if "label" in sample.row]
    mistakes: dict[tuple[str, str], list[Sample]] = {}
    shown: dict[str, list[Sample]] = {}
    for sample in labelled:
        shown.setdefault(sample.truth, []).append(sample)
        if sample.row["label"] != sample.truth:
            mistakes.setdefault((sample.truth, sample.row["label"]), []).append(sample)
    both = {pair: len(found) + len(mistakes.get(pair[::-1], ())) for pair, found in mistakes.items()}
    ordered = sorted(mistakes, key=lambda pair: (-both[pair], sorted(pair), -len(mistakes[pair]), pair))
    pairs: dict[frozenset[str], Pair] = {}
    for truth, label in ordered:
        if frozenset((truth, label)) not in pairs and label in shown:
            worst = max(mistakes[truth, label], key=lambda sample: sample.loss)
            best = min(shown[label], key=lambda sample: sample.loss)
            times, of = len(mistakes[truth, label]), len(shown[truth])
            pairs[frozenset((truth, label))] = Pair(truth, label, times, of, worst, best)
    return list(pairs.values())[:_PAIRS]


def draw_confused(
    samples: Sequence[Sample], folder: Path, draw: Callable[[int], Image], name: Callable[[int], str]
) -> list[str]:
    """Draw the most confused pairs into ``folder``, whose earlier ones give way, and list them in ``confused.csv``.

    Args:
        samples: predictions of a split.
        folder: where the images go.
        draw: draws the prediction of a sample, by its index in the split.
        name: the file of a sample.

    Returns:
        The images' names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("confused_*.png"), folder / _CONFUSED]:
        old.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    for number, pair in enumerate(confused_pairs(samples), start=1):
        title = f"{pair.truth} taken for {pair.label}: {pair.times} of {pair.of}"
        file = f"confused_{number:02d}.png"
        beside(draw(pair.mistaken.index), draw(pair.example.index), title).save(folder / file, optimize=True)
        files = {"file": name(pair.mistaken.index), "example": name(pair.example.index)}
        counts = {"truth": pair.truth, "label": pair.label, "times": pair.times, "of": pair.of}
        rows.append({"picture": file, **counts, "loss": round(pair.mistaken.loss, 6), **files})
    if rows:
        write_csv(folder / _CONFUSED, rows)
    return [row["picture"] for row in rows]
