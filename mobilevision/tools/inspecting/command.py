"""``mobilevision inspect``: the facts in words, or as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilevision.io.printable_text import listed, visible
from mobilevision.io.text_columns import aligned, print_fact, print_lines, print_paragraph
from mobilevision.tools.inspecting.facts import facts_of

_SHOWN = 6  # operators and ports of a line
_LISTS = (
    "By the lists that these accelerators of ONNX Runtime publish, nothing was tried: a device may take less. The CPU"
    " runs the rest. Pieces: ways to the accelerator and back, the fewer the better; XNNPACK is on the CPU itself."
)


def inspect(path: str | Path, *, as_json: bool = False) -> dict[str, Any]:
    """Print what a file is and what runs where; nothing in it is executed.

    Args:
        path: an ONNX file, of anybody, or the folder of an exported model of any format.
        as_json: print one JSON object instead.

    Returns:
        The same as plain values.

    Raises:
        UserError: there is no such file, or it is damaged or something else.
    """
    found = facts_of(Path(path))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _show(found)
    return found


def _show(found: Mapping[str, Any]) -> None:
    print_fact("model", str(found["path"]))
    numbers = [(found.get("parameters"), "parameters"), (found.get("mult_adds"), "mult-adds an image")]
    if found.get("parameters") is None:
        numbers[0] = found.get("numbers"), "weights"
    counted = "".join(f", {value:,} {name}" for value, name in numbers if value is not None)
    print_fact("", f"{found['format']}, {found['precision']}, {found['bytes'] / 1e6:.2f} MB{counted}")
    if found["exported"]:
        print_fact("task", ", ".join(filter(None, (found["task"], found["backbone"]))))
    if "opset" in found:
        print_fact("needs", _needs(found))
    for name in ("inputs", "outputs"):
        ports = [f"{visible(port['name'])}: {port['type']} {_sides(port['shape'])}" for port in found[name]]
        print_fact(name[:-1], "\n".join(ports[:_SHOWN] + [f"and {len(ports) - _SHOWN} more"] * (len(ports) > _SHOWN)))
    print_fact("batch", _batch(found))
    if found.get("runtimes"):
        _show_runtimes(found)
    for name, count in found.get("delegates", {}).items():
        print_fact("runs in", f"{name}: {count} {'piece' if count == 1 else 'pieces'}")
    if "operators" in found:
        print_fact("operators", _counted(found["operators"]))
    if "delegates" in found:
        print_fact("the rest", f"in ExecuTorch's own kernels: {_counted(found['left']) or 'none'}")
    elif "left" in found:
        print_fact("left", _counted(found["left"]) or "none: the CPU has all of them")
    if found.get("note"):
        print()
        print_paragraph(found["note"], style="dim")


def _needs(found: Mapping[str, Any]) -> str:
    oldest = found["oldest_onnxruntime"]
    which = (
        f"ONNX Runtime {oldest} or later" if oldest else "a recent ONNX Runtime (which is the first, is not known here)"
    )
    others = "".join(f", {name} {version}" for name, version in list(found["other_sets"].items())[:_SHOWN])
    return f"{which}: operator set {found['opset']}{others}, file format {found['ir']}"


def _sides(shape: Sequence[Any] | None) -> str:
    if shape is None:
        return "of unknown sides"
    return (
        "["
        + ", ".join(("batch" if not place else "?") if side is None else str(side) for place, side in enumerate(shape))
        + "]"
    )


def _batch(found: Mapping[str, Any]) -> str:
    firsts = [port["shape"][0] for port in found["inputs"] if port["shape"]]
    if not firsts:
        return "not known"
    if not isinstance(firsts[0], int):
        return "open: any number of images at once"
    return f"fixed: {firsts[0]} {'image' if firsts[0] == 1 else 'images'} at a time"


def _counted(operators: Mapping[str, int]) -> str:
    return listed([f"{name} {count}" for name, count in operators.items()], _SHOWN)


# What runs where.


def _show_runtimes(found: Mapping[str, Any]) -> None:
    from mobilevision.deploy.formats.onnx_placement import reason

    rows = [("runtime", "nodes taken", "pieces", "mult-adds")]
    for name, each in found["runtimes"].items():
        pieces = "-" if each["pieces"] is None else str(each["pieces"])
        share = "?" if each["mult_adds"] is None else f"{each['mult_adds']:.0%}"
        rows.append((name, f"{each['taken']:,} of {each['nodes']:,}", pieces, share))
    print()
    print_lines(aligned(rows))
    left: dict[str, list[str]] = {}  # runtimes that leave the same for the same reasons are told together
    for name, each in found["runtimes"].items():
        lines = []
        by_help: dict[str | None, list[Any]] = {}
        for row in each["left"]:
            by_help.setdefault(row.get("help"), []).append(row)
        for help, reasons in by_help.items():
            lines += [f"  {visible(reason(row, _SHOWN))}" for row in reasons]
            lines += [] if help is None else [f"    {visible(_advice(help, found))}"]
        if lines:
            left.setdefault("\n".join(lines), []).append(name)
    for text, names in left.items():
        print()
        print_lines([f"left to the CPU by {', '.join(names)}"], style="dim")
        print_lines(text.split("\n"))
    print()
    print_paragraph(_LISTS, style="dim")


def _advice(help: str, found: Mapping[str, Any]) -> str:
    """What to do about it: of an export of ours an option, of other files what comes to the same."""
    from mobilevision.deploy.formats.onnx_placement import BATCH, FLOAT

    if found["exported"]:
        return f"-> export again with {help}"
    if help == BATCH:
        names = [port["shape"][0] for port in found["inputs"] if port["shape"] and isinstance(port["shape"][0], str)]
        if names:
            tool = "python -m onnxruntime.tools.make_dynamic_shape_fixed"
            return f"-> fix it: {tool} --dim_param {shlex.quote(names[0])} --dim_value 1 IN.onnx OUT.onnx"
        return "-> write the file for one image at a time"
    if help == FLOAT:
        return "-> take the model in float32"
    return "-> end the graph before it suppresses boxes, and do that outside"
