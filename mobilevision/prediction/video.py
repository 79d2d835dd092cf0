"""Predictions for movies and cameras: a movie with them drawn on it, and a row a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import track

from mobilevision.errors import UserError
from mobilevision.images.video import ENDINGS, Movie, MovieWriter, Shot, is_camera, is_movie

if TYPE_CHECKING:
    from mobilevision.deploy.predictor import Predictor

_SIDE = 1280  # longer side of a drawn movie at most
_T = TypeVar("_T")


def predict_movies(
    model: Predictor,
    inputs: Sequence[str | Path],
    *,
    out: Path,
    seconds: float | None = None,
    batch_size: int = 32,
    draw: bool = True,
) -> list[dict[str, Any]]:
    """Predict for every frame of movies, and draw it into ``out/movies/NAME.mp4``, without sound.

    Ctrl-C ends a movie with what came so far.

    Args:
        model: predicts.
        inputs: movie files, and cameras as ``camera:0``.
        out: folder for the results.
        seconds: how much of each; None takes all of it, of a camera until Ctrl-C.
        batch_size: frames that go through the model at once; of a camera it is one.
        draw: whether to write movies.

    Returns:
        A row a frame: ``file``, ``frame``, ``seconds``, and the task's own values.

    Raises:
        UserError: PyAV is missing, images among the inputs, or a movie or camera that cannot be read.
    """
    if odd := [str(given) for given in inputs if not is_movie(given)]:
        raise UserError(f"{odd[0]} is no movie ({', '.join(sorted(ENDINGS))}): predict for movies and images apart")
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for given in inputs:
        name = str(given).replace(":", "_") if is_camera(given) else Path(given).stem
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
        drawn = out / "movies" / f"{names[-1]}.mp4" if draw else None
        rows += _movie(model, given, drawn, seconds, 1 if is_camera(given) else batch_size)
    return rows


def _movie(
    model: Predictor, given: str | Path, drawn: Path | None, seconds: float | None, batch_size: int
) -> list[dict[str, Any]]:
    console = Console(highlight=False)
    rows: list[dict[str, Any]] = []
    if drawn is not None and drawn.exists() and not is_camera(given) and drawn.samefile(given):
        raise UserError(f"{given}: the drawn movie would take its place; name another folder with --out")
    with closing(Movie(given, seconds=seconds)) as movie:
        writer = MovieWriter(drawn, rate=movie.rate) if drawn else None
        shots = track(movie, str(given), total=movie.count, console=console, disable=not console.is_terminal)
        try:
            with suppress(KeyboardInterrupt):
                for some in _chunks(shots, batch_size):
                    rows += _chunk(model, some, writer)
        finally:
            if writer:
                writer.close()
    if not rows:
        raise UserError(f"{given}: no frame can be read{f': {movie.trouble}' if movie.trouble else ''}")
    if movie.trouble:
        console.print(f"{given}: breaks off: {movie.trouble}", style="yellow", soft_wrap=True, markup=False)
    where = f", drawn in {drawn}" if drawn else ""
    console.print(f"{given}: {len(rows):,} frames{where}", soft_wrap=True, markup=False)
    return [{"file": str(given), **row} for row in rows]


def _chunk(model: Predictor, shots: Sequence[Shot], writer: MovieWriter | None) -> list[dict[str, Any]]:
    prepared = [model.prepare(shot.pixels) for shot in shots]
    rows = []
    for shot, one, prediction in zip(shots, prepared, model.raw([one.pixels for one in prepared]), strict=True):
        rows.append({"frame": shot.number, "seconds": round(shot.seconds, 3), **model.describe(prediction, one)})
        if writer:
            writer.add(model.draw(shot.pixels, prediction, one, side=_SIDE).convert("RGB"), shot.seconds)
    return rows


def _chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
