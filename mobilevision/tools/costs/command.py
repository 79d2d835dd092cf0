"""``mobilevision cost``: what a composed model, or a run's, costs on a phone, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilevision.config.compose import compose
from mobilevision.config.parts import names, part_config
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_csv, write_json
from mobilevision.io.text_columns import aligned, print_fact, print_lines, print_paragraph, side
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.tools.costs.counting import Counted
    from mobilevision.tools.models import Configured

WHAT = (
    "Counted from a trace of one image. Mult-adds: convolutions, fully connected layers and other matrix products,"
    " one multiplication and one addition as one; no bias, batch norm, activation, pooling or decoding of boxes."
    " Activations: the most that is alive at a time, batch norm and element-wise operations in place, without weights."
    " File: the numbers of an exported model, batch norm folded; in int8 a scale a channel, and biases of four bytes."
)
_BODY = "backbone.model."


def cost(
    arguments: Sequence[str],
    *,
    outputs: int | None = None,
    layers: bool = False,
    as_json: bool = False,
    out: str | Path | None = None,
) -> Counted:
    """Count and print: parameters, mult-adds, activations, file sizes, by type of layer and layer by layer.

    Args:
        arguments: overrides as for a training, or one run folder.
        outputs: class scores of the head, for counting alone;
            see :func:`mobilevision.tools.costs.counting.class_info_of`.
        layers: whether every layer is printed.
        as_json: print one JSON object instead, all layers in it.
        out: folder for ``cost.json``, ``layers.csv`` and the chart ``cost.png``; None writes nothing.

    Raises:
        UserError: for all that the user can mend.
    """
    is_run = bool(arguments) and ("=" not in arguments[0] or Path(arguments[0]).is_dir())
    if is_run and len(arguments) > 1:
        raise UserError(f"{arguments[1]}: a run is counted as it was trained; for another, name overrides alone")
    named = RunFolder.existing(arguments[0]) if is_run else compose(arguments, complete=False)
    if is_run and outputs is not None:
        raise UserError(f"--outputs {outputs}: a run is counted as it was trained")

    from mobilevision.tools.models import count_model  # after the config's own mistakes, which take no time

    model = count_model(named, outputs)
    found = as_dict(model.cfg, model.counted) | by_part(model)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        show(found, layers=layers)
    if out is not None:
        write(found, Path(out), quiet=as_json)
    return model.counted


def as_dict(cfg: DictConfig, counted: Counted) -> dict[str, Any]:
    """All that was counted, as plain values; bytes are bytes, shares are fractions."""
    from mobilevision.cost import BYTES
    from mobilevision.tools.costs.counting import class_name

    found = counted.cost
    return {
        "task": str(cfg.task.name),
        "kind": str(cfg.task.kind),
        "backbone": counted.backbone,
        "head": class_name(cfg.head),
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


def by_part(model: Configured) -> dict[str, Any]:
    """Of several tasks on one backbone: what they share, what each has of its own, and what each costs alone."""
    from mobilevision.data.module import height_and_width
    from mobilevision.tools.costs.counting import cost_of

    layers = model.counted.cost.layers
    backbone = _sums([row for row in layers if not row.name.startswith(_PART)])
    rows: list[dict[str, Any]] = []
    passes: dict[str, int] = {}  # mult-adds of those over the images at a part's own side
    for name in names(model.cfg):
        own = _sums([row for row in layers if row.name.startswith(f"{_PART}{name}.")])
        alone_cfg, info = part_config(model.cfg, name), (model.class_info.parts or {})[name]
        size = height_and_width(alone_cfg.data.resolution) or model.counted.resolution
        alone = cost_of(alone_cfg, **info._asdict(), resolution=size).cost
        rows.append({"part": name, **own, "alone": {each: getattr(alone, each) for each in _SUMMED}})
        if size != model.counted.resolution:
            of_side = f"backbone at {side(size)}"
            passes[of_side] = max(passes.get(of_side, 0), alone.mult_adds - own["mult_adds"])
    if not rows:
        return {}
    shared = {**backbone, "mult_adds": backbone["mult_adds"] - sum(passes.values())}
    others = [{"part": each, "parameters": 0, "mult_adds": mult_adds} for each, mult_adds in passes.items()]
    return {"by_part": [{"part": "backbone", **shared}, *others, *rows]}


_PART = "head.parts."
_SUMMED = ("parameters", "mult_adds")


def _sums(rows: Sequence[Any]) -> dict[str, int]:
    return {each: sum(getattr(row, each) for row in rows) for each in _SUMMED}


def show(found: Mapping[str, Any], *, layers: bool) -> None:
    """Print what :func:`as_dict` gives; the layers only where they are asked for."""
    memory, size = found["activations"], found["file_size"]
    classes = [] if found["kind"] == "identity" else [f"{found['classes']:,} classes"]
    rows = [
        (
            "model",
            " · ".join([f"{found['backbone']} + {found['head']}", *classes, f"side {side(found['resolution'])}"]),
        ),
        ("parameters", f"{found['parameters']:,}"),
        ("mult-adds", f"{found['mult_adds']:,}"),
        ("activations", f"{_in_each(memory)}, while {_short(memory['at'])} works"),
        ("file", _in_each(size)),
    ]
    for row in rows:
        print_fact(*row, width=13)
    if "by_part" in found:
        print_lines(["", *_by_part(found["by_part"])])
    print_lines(["", *_by_type(found["by_type"])])
    if layers:
        print_lines(["", *_by_layer(found["layers"])])
    print()
    print_paragraph(WHAT, style="dim")


def write(found: Mapping[str, Any], folder: Path, *, quiet: bool = False) -> None:
    """``cost.json``, ``layers.csv`` and ``cost.png`` into a folder, which is made."""
    from mobilevision.visualization.charts_cost import layers

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "cost.json", dict(found))
    rows = [{**row, "inputs": _shape(row["inputs"]), "shape": _shape(row["shape"])} for row in found["layers"]]
    write_csv(folder / "layers.csv", rows, columns=[] if rows else ["name"])
    title = f"{found['backbone']} + {found['head']}, side {side(found['resolution'])}"
    layers(found["layers"], title=title).save(folder / "cost.png")
    if not quiet:
        print(f"drawn in {folder / 'cost.png'}")


def _by_part(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [["by part", "mult-adds", "parameters", "alone: mult-adds", "parameters"]]
    for row in rows:
        alone = [f"{row['alone'][each]:,}" for each in reversed(_SUMMED)] if "alone" in row else ["", ""]
        table.append([row["part"], *(f"{row[each]:,}" for each in reversed(_SUMMED)), *alone])
    together, apart = (
        [sum(values.get(each, 0) for values in of) for each in reversed(_SUMMED)]
        for of in (rows, [row.get("alone", {}) for row in rows])
    )
    table.append(["together", *(f"{each:,}" for each in together), *(f"{each:,}" for each in apart)])
    return aligned(table, left=1)


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


def _short(name: str) -> str:
    return name.removeprefix(_BODY)


def _in_each(values: Mapping[str, Any]) -> str:
    """Megabytes (of a million bytes) in each precision."""
    return " · ".join(f"{name} {values[name] / 1e6:.2f} MB" for name in ("float32", "float16", "int8"))


def _shape(values: Sequence[int]) -> str:
    return "x".join(map(str, values))
