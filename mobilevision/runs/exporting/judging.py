"""Whether an exported model may be used, and if not, what would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobilevision.deploy.manifest import Manifest, ModelFile

if TYPE_CHECKING:
    from mobilevision.deploy.formats import Format
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.runs.exporting.gate import Verdict
    from mobilevision.runs.exporting.subject import Subject


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
    from mobilevision.runs.exporting.gate import gate
    from mobilevision.runs.exporting.remedy import remedy

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
