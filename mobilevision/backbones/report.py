"""What came of loading weights, in words for the console."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_NAMES = 4  # names a line; the rest are counted


@dataclass(frozen=True)
class LoadReport:
    """Which tensors of a weights file went into a backbone.

    Attributes:
        source: the file, run or timm name they came from.
        matched: names of the tensors that fit and were taken.
        missing: names that the backbone has and the file lacks; they keep their random start.
        unexpected: names that the file has and the backbone lacks.
        mismatched: name -> (shape in the file, shape in the backbone); these are not taken either.
        classes: outputs of the file's classifier, None where it has none that fits.
        notes: what else was decided.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    classes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Did every tensor of the backbone find its own, and none stay over?"""
        return not (self.missing or self.unexpected or self.mismatched)

    def lines(self, classes: int | None = None, *, classifier: bool = True) -> list[str]:
        """The report, a fact a line.

        Args:
            classes: outputs of the head that stands on the backbone, where there is one to compare with.
            classifier: whether that head ends in a layer of classes; a detector's and an embedding's do not.
        """
        wanted = len(self.matched) + len(self.missing) + len(self.mismatched)
        lines = [f"weights: {self.source}: {len(self.matched)} of {wanted} tensors matched"]
        if self.missing:
            lines.append(f"  not in the file, started at random: {_some(self.missing)}")
        if self.mismatched:
            shapes = [f"{name} {list(file)} for {list(ours)}" for name, (file, ours) in self.mismatched.items()]
            lines.append(f"  of another shape, started at random: {_some(tuple(shapes))}")
        if self.unexpected:
            lines.append(f"  in the file only, left out: {_some(self.unexpected)}")
        if self.classes is not None:
            lines.append(f"  {self._classifier(classes, classifier)}")
        return lines + [f"  {note}" for note in self.notes]

    def _classifier(self, wanted: int | None, classifier: bool) -> str:
        if not classifier:
            return f"its classifier of {self.classes} classes is left out: the body is kept"
        if wanted is None:
            return f"its classifier of {self.classes} classes serves a head of as many"
        if wanted == self.classes:
            return f"its classifier of {self.classes} classes is taken too"
        kept = "the body is kept, the last layer starts afresh"
        return f"its classifier has {self.classes} classes, yours {wanted}: {kept}"


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
