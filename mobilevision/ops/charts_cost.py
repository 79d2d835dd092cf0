"""Charts of what a model costs, layer by layer. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.ops.charts import blank, picture

# Kinds in the order of their cost; safe for most colour-blind eyes, grey for the rest.
_COLOURS = ("#2f6fde", "#e08a1e", "#1f9e89", "#b5449a", "#7a5c3a")
_GREY = "#8a929c"
_PANELS = (("mult_adds", "million mult-adds", 1e6), ("parameters", "thousand parameters", 1e3))


def layers(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> Image.Image:
    """Draw mult-adds and parameters of each layer that computes, by kind, and the activations alive while it works.

    Args:
        rows: a row a layer in order: ``kind``, ``mult_adds``, ``parameters``, ``memory`` in bytes of float32.
        title: above it.
    """
    figure, (compute, numbers, memory) = blank(9.0, 7.2, rows=(1, 1, 1))
    colours, legend = _colours(rows), {row["kind"]: _named(rows, row["kind"]) for row in rows}
    rows = [row for row in rows if row["mult_adds"]]
    kinds = {kind: colour for kind, colour in colours.items() if any(row["kind"] == kind for row in rows)}
    places = np.arange(len(rows))
    for axes, (key, label, unit) in zip((compute, numbers), _PANELS, strict=True):
        for kind, colour in kinds.items():
            mine = np.array([row["kind"] == kind for row in rows], dtype=bool)
            heights = np.array([row[key] for row in rows], dtype=np.float64)[mine] / unit
            axes.bar(places[mine], heights, 0.9, color=colour, label=legend[kind] if axes is compute else None)
        axes.set_ylabel(label)
        axes.set_xticks([])
    alive = np.array([row["memory"] for row in rows], dtype=np.float64) / 1e6
    memory.fill_between(places, alive, step="mid", color=_GREY, alpha=0.5, linewidth=0)
    memory.set(ylabel="MB of activations alive", ylim=(0, None), xlabel="layers, from the picture to the outputs")
    if len(rows):
        peak = int(alive.argmax())
        text = f"  {rows[peak].get('name', '')}: {alive[peak]:.2f} MB  "
        side = "left" if peak < len(rows) / 2 else "right"
        memory.annotate(text, (peak, alive[peak]), ha=side, va="top", fontsize=8)
    for axes in (compute, numbers, memory):
        axes.set_xlim(-0.7, len(rows) - 0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if kinds:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    return picture(figure)


def _colours(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A colour for each kind that costs most; the others share grey."""
    found: dict[str, float] = {}
    for key in ("mult_adds", "parameters"):
        total = max(sum(row[key] for row in rows), 1)
        for row in rows:
            found[row["kind"]] = found.get(row["kind"], 0.0) + row[key] / total
    order = sorted(found, key=lambda kind: -found[kind])
    return {kind: _COLOURS[place] if place < len(_COLOURS) else _GREY for place, kind in enumerate(order)}


def _named(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """A kind with its shares, as the paper's Table 2 tells them."""
    shares = []
    for key, name in (("mult_adds", "mult-adds"), ("parameters", "parameters")):
        total = max(sum(row[key] for row in rows), 1)
        shares.append(f"{sum(row[key] for row in rows if row['kind'] == kind) / total:.1%} of {name}")
    return f"{kind}: {', '.join(shares)}"
