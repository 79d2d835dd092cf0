"""A count for people and for machines: on the console, as JSON, as a table and a chart."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mobilevision.io.atomic_files import write_csv, write_json
from mobilevision.io.text_columns import aligned

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.tools.costs.counting import Counted

WHAT = (
    "Counted from a trace of one image. Mult-adds: convolutions, fully connected layers and other matrix products,"
    " one multiplication and one addition as one; no bias, batch norm, activation, pooling or decoding of boxes."
    " Activations: the most that is alive at a time, batch norm and element-wise operations in place, without weights."
    " File: the numbers of an exported model, batch norm folded; in int8 a scale a channel, and biases of four bytes."
)
_BODY = "backbone.model."


def as_dict(cfg: DictConfig, counted: Counted) -> dict[str, Any]:
    """All that was counted, as plain values; bytes are bytes, shares are fractions."""
    from mobilevision.cost import BYTES

    found = counted.cost
    return {
        "task": str(cfg.task.name),
        "kind": str(cfg.task.kind),
        "backbone": counted.backbone,
        "head": str(cfg.head["_target_"]).rpartition(".")[2],
        "resolution": list(counted.resolution),
        "channels": counted.channels,
        "classes": counted.classes,
        "parameters": found.parameters,
        "mult_adds": found.mult_adds,
        "activations": asdict(found.activations),
        "file_size": {precision: found.file_size(precision) for precision in BYTES},
        "by_type": [
            {
                **share._asdict(),
                "mult_adds_share": share.mult_adds / max(found.mult_adds, 1),
                "parameters_share": share.parameters / max(found.parameters, 1),
            }
            for share in found.by_kind()
        ],
        "layers": [asdict(row) for row in found.layers],
    }


def show(found: Mapping[str, Any], *, layers: bool, console: Console | None = None) -> None:
    """Print what :func:`as_dict` gives; the layers only where they are asked for."""
    shown = console or Console(highlight=False)
    memory, size = found["activations"], found["file_size"]
    classes = [] if found["kind"] == "identity" else [f"{found['classes']:,} classes"]
    rows = [
        ("model", " · ".join([f"{found['backbone']} + {found['head']}", *classes, f"side {_side(found)}"])),
        ("parameters", f"{found['parameters']:,}"),
        ("mult-adds", f"{found['mult_adds']:,}"),
        ("activations", f"{_in_each(memory)}, while {_short(memory['at'])} works"),
        ("file", _in_each(size)),
    ]
    for name, text in rows:
        shown.print(f"{name:<13}", end="", style="dim", markup=False)
        shown.print(text, soft_wrap=True, markup=False)
    _say(shown, ["", *_by_type(found["by_type"])])
    if layers:
        _say(shown, ["", *_by_layer(found["layers"])])
    _say(shown, ["", *textwrap.wrap(WHAT, min(shown.width, 120))], style="dim")


def write(found: Mapping[str, Any], folder: Path, *, quiet: bool = False) -> None:
    """``cost.json``, ``layers.csv`` and ``cost.png`` into a folder, which is made."""
    from mobilevision.visualization.charts_cost import layers

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "cost.json", dict(found))
    rows = [{**row, "inputs": _shape(row["inputs"]), "shape": _shape(row["shape"])} for row in found["layers"]]
    write_csv(folder / "layers.csv", rows, columns=[] if rows else ["name"])
    title = f"{found['backbone']} + {found['head']}, side {_side(found)}"
    layers(found["layers"], title=title).save(folder / "cost.png")
    if not quiet:
        print(f"drawn in {folder / 'cost.png'}")


def _by_type(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [["by type", "layers", "mult-adds", "share", "parameters", "share"]]
    for row in rows:
        shares = (f"{row['mult_adds_share']:.2%}", f"{row['parameters_share']:.2%}")
        counts = (f"{row['mult_adds']:,}", f"{row['parameters']:,}")
        table.append([row["kind"], str(row["layers"]), counts[0], shares[0], counts[1], shares[1]])
    return aligned(table, left=1)


def _by_layer(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The layers that compute; how many there are besides."""
    table = [["layer", "type", "gives", "mult-adds", "parameters", "MB alive"]]
    busy = [row for row in rows if row["mult_adds"]]
    for row in busy:
        counts = (f"{row['mult_adds']:,}", f"{row['parameters']:,}", f"{row['memory'] / 1e6:.2f}")
        table.append([_short(row["name"]) or "(no layer)", row["kind"], _shape(row["shape"]), *counts])
    rest = len(rows) - len(busy)
    return aligned(table, left=3) + ([f"and {rest} without mult-adds, which --json and --out list too"] if rest else [])


def _say(console: Console, lines: Sequence[str], style: str | None = None) -> None:
    for line in lines:
        console.print(line, style=style, soft_wrap=True, markup=False)


def _short(name: str) -> str:
    return name.removeprefix(_BODY)


def _in_each(values: Mapping[str, Any]) -> str:
    """Megabytes (of a million bytes) in each precision."""
    return " · ".join(f"{name} {values[name] / 1e6:.2f} MB" for name in ("float32", "float16", "int8"))


def _shape(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _side(found: Mapping[str, Any]) -> str:
    from mobilevision.reports.summary import side

    return side(found["resolution"])
