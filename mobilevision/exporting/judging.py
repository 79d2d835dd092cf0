"""Whether an exported model may be used, and if not, what would help."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from mobilevision.deploy.manifest import Manifest, ModelFile

if TYPE_CHECKING:
    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.gate import Verdict
    from mobilevision.exporting.subject import Subject


# What keeps an int8 model that was refused nearer to its checkpoint, tried before it is told.

_COUNTS = (1, 2, 4, 8)  # layers more in float32


@final
@dataclass(frozen=True)
class Remedy:
    """What was found.

    Attributes:
        noise: the error that each layer brings in, by its name, the largest first; empty where a format cannot tell.
        keep: layers in float32 with which the gate lets the model pass; None where none of those tried do.
        agreement: of that model.
    """

    noise: dict[str, float]
    keep: tuple[str, ...] | None = None
    agreement: float = 0.0

    def facts(self) -> dict[str, Any]:
        """As model.json has them."""
        worst = [{"layer": name, "noise": share} for name, share in list(self.noise.items())[: _COUNTS[-1]]]
        kept = None if self.keep is None else {"keep_float": list(self.keep), "agreement": self.agreement}
        return {"layers_that_hurt": worst, "remedy": kept}


def remedy(form: Format, graph: Graph, precision: Precision, work: Path, judge: Callable[[Path], Verdict]) -> Remedy:
    """Leave the layers that hurt most in float32, more and more of them, until the gate is content.

    Args:
        form: the format.
        graph: what was written.
        precision: as it was written.
        work: the folder of the refused model.
        judge: the gate, for a folder with another file.
    """
    noise = form.noise(work / form.file, precision)
    for count in _COUNTS if noise else ():
        keep = (*precision.keep, *list(noise)[:count])
        with tempfile.TemporaryDirectory(dir=work) as place:
            form.write(graph, Path(place) / form.file, replace(precision, keep=keep))
            verdict = judge(Path(place))
        if not verdict.failures:
            return Remedy(noise, keep, float(verdict.facts["agreement"]))
    return Remedy(noise)


def judged(
    manifest: Manifest,
    form: Format,
    graph: Graph,
    precision: Precision,
    subject: Subject,
    work: Path,
    *,
    samples: int | None,
    max_drop: float,
) -> tuple[Manifest, Verdict | None]:
    """Let the gate judge the file in ``work``; of int8 that it refuses, look for a remedy, which the manifest then has.

    Returns:
        The manifest, and the verdict: None where there is nothing to compare on.
    """
    if subject.source is None:
        return manifest, None
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.exporting.gate import gate

    source = subject.source

    def judge(folder: Path) -> Verdict:
        parts = tuple(ModelFile.of(folder / name) for name in form.parts)
        replace(manifest, file=ModelFile.of(folder / form.file), parts=parts).write(folder)
        return gate(
            subject.task,
            Artifact(folder),
            source,
            split=subject.split,
            samples=samples,
            max_drop=max_drop,
            origin=graph.task,
        )

    verdict = judge(work)
    if not verdict.failures or not verdict.compared or precision.name != "int8":
        return manifest, verdict
    found = remedy(form, graph, precision, work, judge)
    quantised = {**manifest.about["quantised"], **found.facts()}
    return replace(manifest, about={**manifest.about, "quantised": quantised}), verdict
