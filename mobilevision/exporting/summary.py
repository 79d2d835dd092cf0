"""What the command tells of an export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mobilevision.errors import UserError
from mobilevision.exporting.card_text import compared

if TYPE_CHECKING:
    from mobilevision.deploy.manifest import Manifest
    from mobilevision.exporting.gate import Verdict


def say(manifest: Manifest, place: Path) -> None:
    """Print both models' numbers, and where the folder is."""
    console, gate = Console(highlight=False), manifest.about["gate"]
    if gate is not None:
        table = Table(box=None, pad_edge=False)
        for heading in ("metric", "checkpoint", manifest.format):
            table.add_column(heading, justify="left" if heading == "metric" else "right")
        for name, value in gate["checkpoint"].items():
            table.add_row(name, f"{value:.4f}", f"{gate['artifact'].get(name, float('nan')):.4f}")
        console.print(table)
        part = "all" if gate["pictures"] == gate["of"] else f"{gate['pictures']:,} of"
        seen = f"{part} {gate['of']:,}"
        console.print(
            f"agreement {gate['agreement']:.4f}: {gate['agreement_of']}; {seen} images of {gate['split']}",
            soft_wrap=True,
        )
        for sentence in compared(gate):
            console.print(sentence, soft_wrap=True)
        if unequal := gate["pictures"] - gate["pictures_with_equal_pixels"]:
            console.print(f"{unequal:,} images came out with other pixels than in the evaluation", style="yellow")
    else:
        console.print("not compared with its checkpoint: the gate was left out", style="yellow")
    names = ", ".join(file.name for file in manifest.files)
    console.print(
        f"{names} ({manifest.size / 1e6:.2f} MB), model.json and README.md in {place}", soft_wrap=True, markup=False
    )


def refused(verdict: Verdict, manifest: Manifest, place: Path) -> UserError:
    """The error of a model that does not pass, with what may help."""
    worst = ", ".join(f"{row['class']} {-row['drop']:+.3f}" for row in verdict.facts["worst_classes"])
    most = f"; worst classes: {worst}" if worst else ""
    return UserError(
        f"the gate refuses the model: {' and '.join(verdict.failures)}{most} (kept in {place})"
        + (_help(manifest) if verdict.compared else "")
    )


def _help(manifest: Manifest) -> str:
    """What keeps an int8 model nearer to its checkpoint."""
    quantised = manifest.about.get("quantised")
    if quantised is None:
        return ""
    found, hurt = quantised.get("remedy"), quantised.get("layers_that_hurt")
    keep = f"none of up to {len(hurt)} layers in float make it pass; " if hurt else ""
    if found is not None:
        keep = f"--keep-float {','.join(found['keep_float'])} passes (agreement {found['agreement']:.3f}); "
    return f": {keep}--finetune-epochs 3 trains on with the rounding felt"
