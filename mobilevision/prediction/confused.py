"""predictions/confused_*.png: the classes most often taken for each other, an example of each side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from mobilevision.io.atomic_files import write_csv
from mobilevision.visualization.draw_matches import beside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image


_PAIRS = 8
TABLE = "confused.csv"


@final
@dataclass(frozen=True)
class Sample:
    """One prediction: the place in the split, the loss, the truth in words, and the row that the task makes of it."""

    index: int
    loss: float
    truth: str
    row: dict[str, Any]


class Pair(NamedTuple):
    """Two classes: how often one was taken for the other, a sample of that, and one of the class it was taken for."""

    truth: str
    label: str
    times: int
    of: int
    mistaken: Sample
    example: Sample


def most_confused(samples: Sequence[Sample], count: int = _PAIRS) -> list[Pair]:
    """The pairs of a true and a predicted class with most mistakes between them.

    The two directions of a pair are one; the one with more mistakes is shown. The example of the other class is the one
    that the model knows best, so that it shows what was meant. Pairs without such an example are left out.

    Args:
        samples: predictions with a ``label`` in their rows; others are passed over.
        count: pairs, at most.
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
    return list(pairs.values())[:count]


def draw_confused(
    samples: Sequence[Sample], folder: Path, draw: Callable[[int], Image], name: Callable[[int], str]
) -> list[str]:
    """Draw the most confused pairs into ``folder``, whose earlier ones give way, and list them in ``confused.csv``.

    Args:
        samples: predictions of a split.
        folder: where the images go.
        draw: draws the prediction of a sample, by its place in the split.
        name: the file of a sample.

    Returns:
        The images' names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("confused_*.png"), folder / TABLE]:
        old.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    for place, pair in enumerate(most_confused(samples), start=1):
        title = f"{pair.truth} taken for {pair.label}: {pair.times} of {pair.of}"
        file = f"confused_{place:02d}.png"
        beside(draw(pair.mistaken.index), draw(pair.example.index), title).save(folder / file, optimize=True)
        files = {"file": name(pair.mistaken.index), "example": name(pair.example.index)}
        said = {"truth": pair.truth, "label": pair.label, "times": pair.times, "of": pair.of}
        rows.append({"picture": file, **said, "loss": round(pair.mistaken.loss, 6), **files})
    if rows:
        write_csv(folder / TABLE, rows)
    return [row["picture"] for row in rows]
