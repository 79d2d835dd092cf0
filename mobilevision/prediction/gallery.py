"""Whom or what do images show? The nearest identities of a gallery, as images, a CSV and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from rich.console import Console

from mobilevision.errors import UserError
from mobilevision.images.files import printable
from mobilevision.prediction.predict import SHOWN, find, find_some, finish, predicted, refuse_file, save_image

if TYPE_CHECKING:
    from torch import Tensor

    from mobilevision.prediction.model import Model

_SIDE = 192
_UNKNOWN = "nobody known"


@final
@dataclass(frozen=True)
class Gallery:
    """Images of known identities.

    Attributes:
        files: one an image.
        identities: names, in the order of their numbers.
        numbers: int64 [n], the identity of each image.
        embeddings: float32 [n, D], unit length.
    """

    files: list[str]
    identities: list[str]
    numbers: Tensor
    embeddings: Tensor

    def nearest(self, embedding: Tensor, count: int, *, besides: str = "") -> list[tuple[str, float, str]]:
        """The nearest identities, each by its most similar image: name, cosine and that image's file.

        Args:
            embedding: float32 [D], unit length.
            count: identities.
            besides: a file that is not looked at: the very image that is asked with.
        """
        import torch

        cosine = self.embeddings @ embedding
        own_file = os.path.realpath(besides) if besides else None
        cosine[[os.path.realpath(file) == own_file for file in self.files]] = -2.0
        best = torch.full((len(self.identities),), -2.0).scatter_reduce(0, self.numbers, cosine, "amax")
        found = []
        for number in best.topk(min(count, len(self.identities))).indices.tolist():
            own = cosine.masked_fill(self.numbers != number, -2.0)
            found.append((self.identities[number], float(best[number]), self.files[int(own.argmax())]))
        return [each for each in found if each[1] > -2.0]


def predict_in_gallery(
    run: str | Path,
    inputs: Sequence[str | Path],
    *,
    gallery: str | Path,
    out: str | Path,
    which: Literal["best", "last"] = "best",
    batch_size: int = 32,
    pictures: bool = True,
    device: str | None = None,
    count: int = SHOWN,
) -> list[dict[str, Any]]:
    """Find the nearest identities of a gallery for each image, and write what came out into ``out``.

    ``out`` gets ``predictions.csv``, ``predictions.json`` and, below ``pictures/``, each image beside its nearest
    matches. Images that cannot be read are named and left out, in the gallery too (``skipped.csv``).

    Args:
        run: the run folder, of a task that gives embeddings.
        inputs: image files and folders with images.
        gallery: a folder with a folder for each identity; an image that lies in it directly is one of its own.
        out: folder for the results; made where it is missing.
        which: the best checkpoint, or the last.
        batch_size: images that go through the model at once.
        pictures: whether to draw.
        device: such as ``cpu`` or ``cuda``; None takes a GPU where there is one.
        count: nearest identities that are named.

    Returns:
        A row an image: ``file``, ``label`` (the nearest identity, or "nobody known" below the similarity that val
        chose), ``score`` (its cosine), ``nearest`` and ``picture``, the drawn one.

    Raises:
        UserError: no images, an empty gallery, or a run without embeddings.
    """
    from mobilevision.prediction.model import load

    files, target = find_some(inputs), Path(out)
    refuse_file(target)
    model = load(run, which=which, device=device)
    skipped: list[dict[str, str]] = []
    known = read_gallery(model, gallery, batch_size=batch_size, skipped=skipped)
    rows = []
    for path, name, embedding in _embedded(model, files, batch_size, skipped):
        row = _row(model, path, known.nearest(embedding, count, besides=path))
        if pictures:
            row["picture"] = save_image(_draw(model, path, row), target, "pictures", name)
        rows.append(row)
    console = Console(highlight=False)
    if rows:
        console.print(f"gallery: {len(known.identities)} identities, {len(known.files)} images")
    lines = [f"{row['file']}  {row['label']} {row['score']:.3f}" for row in rows[:SHOWN]]
    finish(rows, skipped, target, console, lines)
    return rows


def read_gallery(
    model: Model, folder: str | Path, *, batch_size: int = 32, skipped: list[dict[str, str]] | None = None
) -> Gallery:
    """Embed the images of a gallery.

    Args:
        model: of :func:`mobilevision.load`.
        folder: a folder with a folder for each identity, or with an image for each.
        batch_size: images that go through the model at once.
        skipped: where images that cannot be read are listed.

    Raises:
        UserError: no readable images there, or a model that gives no embeddings.
    """
    import torch

    base = Path(folder)
    if not base.is_dir():
        raise UserError(f"--gallery {folder}: should be a folder with a folder of images for each identity")
    files, embeddings, owners = [], [], []
    for path, _, embedding in _embedded(model, list(find([base])), batch_size, [] if skipped is None else skipped):
        inside = Path(os.path.relpath(path, base)).parts
        files.append(path)
        embeddings.append(embedding)
        owners.append(inside[0] if len(inside) > 1 else Path(path).stem)
    if not files:
        raise UserError(f"--gallery {folder}: no readable images in it")
    identities = sorted(set(owners))
    place = {name: number for number, name in enumerate(identities)}
    numbers = torch.tensor([place[owner] for owner in owners])
    return Gallery(files, identities, numbers, torch.stack(embeddings))


def _embedded(
    model: Model, files: Sequence[tuple[bytes, str]], batch_size: int, skipped: list[dict[str, str]]
) -> Iterator[tuple[str, str, Tensor]]:
    """File, name and embedding of every image that can be read."""
    for start in range(0, len(files), batch_size):
        for file, name, _, prediction in predicted(model, files[start : start + batch_size], skipped):
            if "embedding" not in prediction:
                raise UserError("--gallery: this run gives no embeddings to compare; train task=face_embedding")
            yield file, name, prediction["embedding"]


def _row(model: Model, path: str, nearest: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    name, score, _ = nearest[0] if nearest else (_UNKNOWN, -1.0, "")
    known = score >= model.task.decision.get("threshold", -1.0)
    return {
        "file": printable(os.fsencode(path)),
        "label": name if known else _UNKNOWN,
        "score": round(score, 6),
        "nearest": [{"label": name, "score": round(score, 6), "file": file} for name, score, file in nearest],
    }


def _draw(model: Model, path: str, row: dict[str, Any]) -> Any:
    """The image, then the nearest of the gallery; the first green from the similarity that val chose, else red."""
    from mobilevision.visualization.draw import Match, matches

    threshold = model.task.decision.get("threshold")
    found = [
        Match(
            model.preprocessing.whole(each["file"], side=_SIDE),
            f"{each['score']:.2f} {each['label']}",
            None if place or threshold is None else each["score"] >= threshold,
        )
        for place, each in enumerate(row["nearest"])
    ]
    return matches(model.preprocessing.whole(path, side=_SIDE), Path(path).name, found)
