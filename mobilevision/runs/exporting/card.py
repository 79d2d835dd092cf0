"""README.md of an exported model: what it is, how well it does, how it is used, how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mobilevision.deploy.manifest import Manifest

_SHOWN = 20


def card(manifest: Manifest) -> str:
    """The model card, in Markdown."""
    about = manifest.about
    parts = [
        f"# {about['backbone']}, {manifest.task}",
        f"Exported by mobilevision {about['versions'].get('mobilevision', '')} on {about['made']}, from a trained run."
        " `model.json` holds all that is said here, for programs.",
        _knows(manifest),
        _gate(about.get("gate")),
        _input(manifest),
        _outputs(manifest),
        _cost(manifest),
        _use(manifest),
        _limits(manifest),
        _made(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _knows(manifest: Manifest) -> str:
    data = manifest.about.get("data") or {}
    lines = ["## Data", f"Trained on {data.get('name', 'data that the run does not name')}."]
    samples = data.get("samples") or {}
    if samples:
        lines.append("Pictures: " + ", ".join(f"{count:,} {name}" for name, count in samples.items()) + ".")
    if manifest.classes and manifest.answer not in ("embedding", "places"):
        more = f" and {len(manifest.classes) - _SHOWN} more" if len(manifest.classes) > _SHOWN else ""
        names = ", ".join(f"`{_plain(name)}`" for name in manifest.classes[:_SHOWN])
        lines.append(f"{len(manifest.classes)} classes: {names}{more}.")
    return "\n\n".join(lines)


def _gate(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "## How well it does\n\nNot measured: it was exported without the gate, so nobody compared it yet."
    rows = ["| metric | checkpoint | this file |", "|---|---|---|"]
    for name, value in gate["checkpoint"].items():
        rows.append(f"| {name} | {_number(value)} | {_number(gate['artifact'].get(name))} |")
    said = "passed" if gate["passed"] else "FAILED: do not use it"
    lines = [
        "## How well it does",
        f"Both models on the same {gate['pictures']:,} pictures of {gate['split']}, from the files on. Gate: {said}.",
        "\n".join(rows),
        f"Agreement {gate['agreement']:.4f} ({gate['agreement_of']}; at least {gate['least_agreement']}). "
        f"{gate['primary']} falls by {_number(gate['drop'])} (at most {gate['max_drop']:g}, or what may be chance).",
    ]
    if gate["worst_classes"]:
        worst = ", ".join(f"`{_plain(row['class'])}` {row['drop']:+.4f}" for row in gate["worst_classes"])
        lines.append(f"Classes that fall most: {worst}.")
    return "\n\n".join(lines)


def _input(manifest: Manifest) -> str:
    shape = ", ".join("batch" if side is None else str(side) for side in manifest.input.shape)
    look = manifest.preprocessing
    how = {
        "crop": f"the centre, {look.crop:g} of the largest part that has the input's shape",
        "stretch": "all of it, stretched",
        "letterbox": "all of it, its shape kept, grey (127) at two sides",
    }[look.fit]
    return (
        f"## Input\n\n`{manifest.input.name}`: {manifest.input.dtype} [{shape}], values 0 to 255; the graph"
        f" normalises them.\n\nTurn the picture upright (EXIF), convert it to {look.to_dict()['colours']},"
        f" take {how}, and resize it as Pillow does with BILINEAR (antialiased)."
    )


def _outputs(manifest: Manifest) -> str:
    rows = ["## Outputs", ""]
    for port in manifest.outputs:
        shape = ", ".join("batch" if side is None else str(side) for side in port.shape)
        rows.append(f"- `{port.name}`: {port.dtype} [{shape}]")
    return "\n".join(rows)


def _cost(manifest: Manifest) -> str:
    cost = manifest.about["cost"]
    return (
        f"## Cost\n\n{cost['parameters']:,} parameters, {cost['mult_adds']:,} mult-adds a picture,"
        f" {manifest.size / 1e6:.2f} MB."
    )


def _use(manifest: Manifest) -> str:
    files = ", ".join(f"`{name}`" for name in (*(file.name for file in manifest.files), "model.json"))
    return f"""## Use

```bash
mobilevision predict FOLDER PICTURES --out found
```

```python
import mobilevision

print(mobilevision.load("FOLDER").predict("picture.jpg"))
```

Without mobilevision, {files} are enough."""


def _limits(manifest: Manifest) -> str:
    answer = "says one of its classes of any picture, also of one that shows none of them"
    known = answer if manifest.answer == "classes" else "was judged on pictures like those of its training only"
    return f"## Limits\n\nThe model {known}. It may do worse on other pictures, cameras or people: measure first."


def _made(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    commands = "\n".join(each for each in (about.get("trained_by"), about.get("command")) if each)
    return f"## Made by\n\n```bash\n{commands}\n```\n\nWith {versions}." if commands else f"## Made with\n\n{versions}."


def _number(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.4f}"


def _plain(name: Any) -> str:
    """A name that ends no code span and no table cell."""
    return str(name).replace("`", "'").replace("|", "/").replace("\n", " ")
