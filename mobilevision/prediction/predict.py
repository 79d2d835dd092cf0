"""Predictions for images and movies that a user has: drawn on them, as a CSV and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import track

from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.images.files import images as images_below
from mobilevision.images.files import printable
from mobilevision.images.video import is_movie
from mobilevision.io.atomic_files import flat, write_csv, write_json
from mobilevision.io.near_paths import did_you_mean_path
from mobilevision.io.printable_text import visible
from mobilevision.prediction.annotations import (
    AnnotatedImage,
    check_form,
    paths_below_one_folder,
    require_absent,
    write_annotations,
)
from mobilevision.prediction.opening import check_run, open_model
from mobilevision.prediction.tiling import TiledPredictor, Tiling

if TYPE_CHECKING:
    from PIL.Image import Image

    from mobilevision.deploy.answers import Answer
    from mobilevision.deploy.predictor import Predictor
    from mobilevision.deploy.preprocessing import Prepared

SHOWN = 5
"""Rows and skipped files that are printed."""
_VALUES, _WIDTH = 12, 80  # of an answer on the console: values, and characters of each


def predict(
    run: str | Path,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    which: Literal["best", "last"] = "best",
    batch_size: int = 32,
    pictures: bool = True,
    device: str | None = None,
    seconds: float | None = None,
    scores: Literal["shown", "all"] = "shown",
    threshold: float | None = None,
    annotations: str | None = None,
    tiles: str | None = None,
    overlap: float | None = None,
    merge: Literal["best", "weighted"] | None = None,
) -> list[dict[str, Any]]:
    """Predict for files and folders, and write what came out into ``out``; of an exported model, without torch.

    ``out`` gets ``predictions.csv``, ``predictions.json`` and, below ``pictures/``, each image with its prediction on
    it; what a row cannot hold, such as masks, goes to folders of its own. An image that cannot be read is named and
    left out (``skipped.csv``). Of movies, every frame is an image, and ``movies/`` gets them
    (:func:`mobilevision.prediction.video.predict_movies`).

    Args:
        run: the run folder, or that of an exported model.
        inputs: image files, and folders in which images are looked for, also further down; or movie files, and
            cameras as ``camera:0``.
        out: folder for the results; made where it is missing.
        which: the best checkpoint, or the last.
        batch_size: images that go through the model at once.
        pictures: whether to draw.
        device: such as ``cpu`` or ``cuda``; None takes a GPU where there is one.
        seconds: how much of each movie; None for all of it.
        scores: ``all`` adds every detection, or the probability of every class, to the rows.
        threshold: score from which detections are shown, or attributes are there; None takes what val chose.
        annotations: a name of :data:`mobilevision.prediction.annotations.FORMS`: what labelling tools import is written
            below ``annotations/``, the images that the model is least sure of first.
        tiles: a detector looks at overlapping tiles of each image, too, for small objects: ``COLUMNSxROWS``, or the
            side of square tiles in pixels (:class:`mobilevision.prediction.tiling.Tiling`).
        overlap: share of a tile's side that it has in common with the next one; None for 0.2.
        merge: of several detections of one object the ``best`` stays, or their mean, ``weighted`` by their scores; None
            for ``best``.

    Returns:
        A row an image: ``file``, the task's own values, and ``picture``, the drawn one; or a row a frame.

    Raises:
        UserError: no images in the inputs, or none of them can be read; a threshold or annotations that the model's
            predictions do not go with; annotations that are there already.
    """
    check_shown(scores, threshold)
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: it has to be at least 1")
    tiling = Tiling.of(tiles, overlap=overlap, merge=merge)
    movies = any(map(is_movie, inputs))
    files = [] if movies else find_some(inputs)
    check_run(run, tiles=tiling is not None, annotations=annotations)
    model: Predictor = open_model(run, which=which, device=device)
    target = Path(out)
    if tiling is not None:
        model = TiledPredictor(model, tiling, batch_size=batch_size)
    set_threshold(model.answer, threshold)
    if movies and (annotations is not None or scores == "all"):
        raise UserError("--annotations and --scores are for images; take the frames out of the movie first")
    below: dict[bytes, str] = {}
    if annotations is not None:
        check_form(annotations, model.answer)
        require_absent(annotations, target / "annotations")
        top, names = paths_below_one_folder([path for path, _ in files], annotations)
        below = dict(zip((path for path, _ in files), names, strict=True))
    refuse_file(target)
    target.mkdir(parents=True, exist_ok=True)
    if movies:
        from mobilevision.prediction.video import predict_movies

        frames = predict_movies(model, inputs, out=target, seconds=seconds, batch_size=batch_size, draw=pictures)
        write(target, frames, [])
        return frames
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    annotated: list[AnnotatedImage] = []
    console = Console(highlight=False)
    chunks = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    for chunk in track(chunks, f"{len(files)} images", console=console, disable=not console.is_terminal):
        for path, name, prepared, prediction in predicted(model, chunk, skipped):
            told = model.describe(prediction, prepared)
            row = {"file": printable(path), **told}
            if scores == "all":
                row |= model.scores(prediction, prepared)
            if annotations is not None:
                inside = below[os.fsencode(path)]
                annotated.append(AnnotatedImage(inside, prepared.shape, told, model.certainty(prediction)))
            row |= {
                folder: save_image(image, target, folder, name)
                for folder, image in model.files(prediction, prepared).items()
            }
            if pictures:
                row["picture"] = save_image(model.draw(path, prediction, prepared), target, "pictures", name)
            rows.append(row)
    finish(rows, skipped, target, console, [f"{row['file']}  {_answer(row)}" for row in rows[:SHOWN]])
    if annotations is not None:
        name = Path(run).resolve().name
        folder, answer = target / "annotations", model.answer
        written = write_annotations(annotations, annotated, folder, answer=answer, model=name, top=top)
        console.print(f"annotations in {written}, of images in {top}", soft_wrap=True, markup=False)
    return rows


def check_shown(scores: Any, threshold: Any) -> None:
    """Look at what is to be shown, before anything is read: Python code may give anything.

    Raises:
        UserError: scores that are neither ``shown`` nor ``all``, or a threshold that is no number from 0 to 1.
    """
    if scores not in (None, "shown", "all"):
        raise UserError(f"scores={scores!r}: it has to be 'shown' or 'all'")
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if threshold is not None and not (number and 0 <= threshold <= 1):
        raise UserError(f"threshold={threshold!r}: it has to be a number from 0 to 1")


def set_threshold(answer: Answer, threshold: float | None) -> None:
    """Let a score decide what is shown.

    Raises:
        UserError: there is nothing that a score decides.
    """
    if threshold is not None and not answer.takes_threshold:
        raise UserError(f"--threshold {threshold:g}: it is for boxes and attributes; this model predicts {answer.name}")
    answer.threshold = threshold


def save_image(image: Image, target: Path, folder: str, name: str) -> str:
    """Save an image as ``FOLDER/NAME.png`` in the folder for the results; gives its path in there."""
    file = target / folder / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return str(file.relative_to(target))


def find(inputs: Iterable[str | Path]) -> Iterator[tuple[bytes, str]]:
    """The image files with the name that each gets below ``pictures/``, without its ending.

    A file that is named itself is taken whatever its ending; of a folder, files with an image's ending.

    Raises:
        UserError: an input that does not exist.
    """
    taken: set[str] = set()
    for given in map(Path, inputs):
        if given.is_dir():
            base = os.fsencode(given)
            below = [(os.path.join(base, path), printable(path)) for path in sorted(images_below(base, b""))]
        elif given.exists():
            below = [(os.fsencode(given), printable(given.name))]
        else:
            raise UserError(f"{given}: no such file or folder{did_you_mean_path(given)}")
        for path, shown in below:
            name = _free(os.path.splitext(shown)[0], taken)
            taken.add(name)
            yield path, name


def find_some(inputs: Sequence[str | Path]) -> list[tuple[bytes, str]]:
    """What :func:`find` finds.

    Raises:
        UserError: nothing, or an input that does not exist.
    """
    if not (files := list(find(inputs))):
        raise UserError(f"no images in {', '.join(map(str, inputs))}: give image files or folders with some")
    return files


def refuse_file(out: Path) -> None:
    """Raise a UserError where a file has the name of the folder for the results."""
    if out.is_file():
        raise UserError(f"--out {out}: a file of that name is there; name a folder")


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where another image has it already (``a.jpg`` and ``a.png``)."""
    if name not in taken:
        return name
    return next(other for number in range(2, 10**9) if (other := f"{name}_{number}") not in taken)


def predicted(
    model: Predictor, files: Sequence[tuple[bytes, str]], skipped: list[dict[str, str]]
) -> Iterator[tuple[str, str, Prepared, Any]]:
    """File, name, prepared image and prediction of every image that can be read; the others are added to ``skipped``.

    Args:
        model: predicts.
        files: as :func:`find` gives them; they go through the model at once.
        skipped: gets a row a file that cannot be read.
    """
    read = []
    for path, name in files:
        try:
            read.append((os.fsdecode(path), name, model.prepare(os.fsdecode(path))))
        except UnreadableImageError as error:
            reason = str(error).removeprefix(f"{printable(path)}: ")
            skipped.append({"file": printable(path), "reason": reason})
    predictions = model.raw([prepared.pixels for *_, prepared in read]) if read else []
    for one, prediction in zip(read, predictions, strict=True):
        yield *one, prediction


def write(out: Path, rows: Sequence[dict[str, Any]], skipped: Sequence[dict[str, str]]) -> None:
    """The rows, and ``skipped.csv`` where something was skipped."""
    write_rows(out, rows)
    if skipped:
        write_csv(out / "skipped.csv", skipped)
    else:
        (out / "skipped.csv").unlink(missing_ok=True)


def write_rows(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """``predictions.csv`` and ``predictions.json``."""
    write_json(out / "predictions.json", list(rows))
    write_csv(out / "predictions.csv", [flat(row) for row in rows])


def _answer(row: Mapping[str, Any]) -> str:
    """What a model says of an image, for a line of the console; of a task that has a word for none of it, all."""
    if parts := [str(row[key]) for key in ("found", "label", "score") if key in row]:
        return "  ".join(parts)
    values = {name: value for name, value in flat(dict(row)).items() if name not in ("file", "picture")}
    parts = [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()]
    parts = [text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..." for text in parts]
    return "  ".join(parts[:_VALUES]) + (f"  ... and {len(parts) - _VALUES} more" if len(parts) > _VALUES else "")


def finish(
    rows: Sequence[dict[str, Any]], skipped: Sequence[dict[str, str]], out: Path, console: Console, lines: Sequence[str]
) -> None:
    """Write the results, and print the first of them.

    Args:
        rows: one an image.
        skipped: ``file`` and ``reason`` of each image that cannot be read.
        out: folder for the results.
        console: where to print.
        lines: what to print of the first rows.

    Raises:
        UserError: there are no rows.
    """
    if not rows:
        last = skipped[-1]
        raise UserError(f"none of {len(skipped)} images can be read; the last: {last['file']}: {last['reason']}")
    write(out, rows, skipped)
    for line in lines:
        console.print(visible(line), soft_wrap=True, markup=False)
    if len(rows) > len(lines):
        console.print(f"... and {len(rows) - len(lines)} more")
    for entry in skipped[:SHOWN]:
        line = visible(f"skipped {entry['file']}: {entry['reason']}")
        console.print(line, soft_wrap=True, markup=False, style="yellow")
    if skipped:
        console.print(f"{len(skipped)} of {len(rows) + len(skipped)} images skipped, all in {out / 'skipped.csv'}")
    console.print(f"{len(rows)} predictions in {out}", soft_wrap=True, markup=False)
