"""README.md of an exported model: what it is, how well it does, how it is used, how it came to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.exporting.card_text import compared, counted, intended, is_baseline, limited, moved
from mobilevision.io.printable_text import visible

# What stands in front of a model card for programs: YAML as model hubs read it.

PIPELINES = {
    "classes": "image-classification",
    "attributes": "image-classification",
    "places": "image-classification",
    "embedding": "image-feature-extraction",
    "boxes": "object-detection",
    "raw_boxes": "object-detection",
}
"""What hubs call each kind of answer."""


def check_license(name: str | None) -> None:
    """Refuse what no hub takes for a licence.

    Raises:
        UserError: other signs than small letters, digits, points and hyphens.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9.-]+", name):
        raise UserError(f"--license {name!r}: hubs name licences in small letters, such as apache-2.0, mit or other")


def header(manifest: Manifest) -> str:
    """The front matter, its two lines of dashes included."""
    import yaml

    about = manifest.about
    tags = ["mobilevision", manifest.task, manifest.format, manifest.precision, *_family(str(about["backbone"]))]
    found: dict[str, Any] = {"license": about.get("license") or "unknown", "library_name": "mobilevision"}
    if manifest.answer in PIPELINES:
        found["pipeline_tag"] = PIPELINES[manifest.answer]
    found["tags"] = list(dict.fromkeys(tags))
    if (gate := about.get("gate")) and gate["pictures"] == gate.get("of"):  # a part's numbers are not the model's
        found["model-index"] = [_measured(manifest)]
    text: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


def _family(backbone: str) -> list[str]:
    return ["mobilenet"] if "mobilenet" in backbone else []


def _measured(manifest: Manifest) -> dict[str, Any]:
    """The numbers of this file, as hubs list them."""
    about, gate = manifest.about, manifest.about["gate"]
    data = str((about.get("data") or {}).get("name") or "own data")
    known = {name: value for name, value in gate["artifact"].items() if value is not None and value == value}
    values = {name: value for name, value in known.items() if not is_baseline(name)}
    return {
        "name": f"{about['backbone']} {manifest.task}",
        "results": [
            {
                "task": {"type": PIPELINES.get(manifest.answer, manifest.task)},
                "dataset": {"type": "other", "name": data, "split": gate["split"]},
                "metrics": [{"type": name, "value": round(value, 4)} for name, value in values.items()],
            }
        ],
    }


# What a model card says of each output, by the kind of answer.

_MEANINGS = {
    "classes": {"probabilities": "of each class, in the order of `classes`; their sum is 1"},
    "attributes": {
        "logits": "of each attribute, in the order of `classes`, before calibration",
        "probabilities": "of each attribute, calibrated on val",
        "present": "whether the attribute is there, by the thresholds that val chose, else 0.5",
    },
    "embedding": {"embedding": "of unit length; the cosine of two says how alike the images are"},
    "places": {
        "probabilities": "of each cell of Earth, in the order of `classes`; their sum is 1",
        "cells": "places of the most probable cells in that order, most probable first",
        "coordinate": "latitude and longitude, in degrees",
    },
    "boxes": {
        "boxes": "left, top, right and bottom, in pixels of the input; always the same number, best first",
        "scores": "of each box, from 0 to 1; 0 where there is none",
        "labels": "the class of each box as its place in `classes`, from 0; -1 where there is no box",
    },
    "raw_boxes": {
        "logits": "of every anchor, background first",
        "deltas": "of every anchor, how its box is moved and stretched",
    },
}


def outputs(manifest: Manifest) -> str:
    """The part of the card with a line for each output."""
    meanings = _MEANINGS.get(manifest.answer, {})
    rows = ["## Outputs", ""]
    for port in manifest.outputs:
        shape = ", ".join("batch" if side is None else str(side) for side in port.shape)
        meaning = f": {meanings[port.name]}" if port.name in meanings else ""
        rows.append(f"- `{port.name}`: {port.dtype} [{shape}]{meaning}")
    if any("`classes`" in row for row in rows):
        rows += ["", "`classes` is the list in `model.json`."]
    if manifest.answer == "raw_boxes":
        rows += ["", "Boxes are left to whoever runs the graph: `decode.py` makes them with NumPy and `facts`."]
    return "\n".join(rows)


_SHOWN = 20
_NONE = "-"  # in the place of a number that there is not


def card(manifest: Manifest) -> str:
    """The model card, in Markdown."""
    about = manifest.about
    parts = [
        header(manifest),
        f"# {about['backbone']}, {manifest.task}",
        f"{intended(manifest.answer)} {_origin(manifest)} `model.json` holds all that is said here, for programs.",
        _knows(manifest),
        _gate(about.get("gate")),
        _input(manifest),
        outputs(manifest),
        _decision(manifest),
        _cost(manifest),
        _use(manifest),
        f"## Limits\n\n{limited(manifest.answer, origin=about['from'], measured=bool(about.get('gate')))}",
        _made(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(manifest: Manifest) -> str:
    about = manifest.about
    made = f"Exported by mobilevision {about['versions'].get('mobilevision', '')} on {about['made']}, in"
    if about["from"] == "weights":
        return f"{made} {manifest.precision}, from the pretrained weights `{_plain(about['weights'])}` as they are."
    start = f" that started from `{_plain(about['weights'])}`" if about.get("weights") else ""
    epochs = (about.get("quantised") or {}).get("finetune_epochs")
    more = (
        f", trained on for {counted(epochs, 'epoch')} more for this file: its weights are not the run's"
        if epochs
        else ""
    )
    return f"{made} {manifest.precision}, from a training{start}{more}."


def _knows(manifest: Manifest) -> str:
    data, learnt = manifest.about.get("data") or {}, manifest.about["from"] == "run"
    name = _plain(data.get("name", "data that nobody named")).replace("<", "&lt;")
    lines = ["## Data"]
    if learnt:
        lines.append(f"Trained on {name}.")
    elif data:
        lines.append(f"Class names and the comparison are of {name}; what the weights learnt from, they do not say.")
    else:
        lines.append("What the weights learnt from, they do not say.")
    samples = data.get("samples") or {}
    if samples:
        lines.append("Images: " + ", ".join(f"{count:,} {name}" for name, count in samples.items()) + ".")
    if manifest.classes and manifest.answer not in ("embedding", "places"):
        more = f" and {len(manifest.classes) - _SHOWN} more" if len(manifest.classes) > _SHOWN else ""
        names = ", ".join(f"`{_plain(name)}`" for name in manifest.classes[:_SHOWN])
        lines.append(f"{counted(len(manifest.classes), 'class', 'classes')}: {names}{more}.")
    return "\n\n".join(lines)


def _gate(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "## How well it does\n\nNot measured: it was exported without the gate, so nobody compared it yet."
    rows = ["| metric | checkpoint | this file |", "|---|---|---|"]
    for name, value in gate["checkpoint"].items():
        told = f"{name} (baseline)" if is_baseline(name) else name
        rows.append(f"| {told} | {_number(value)} | {_number(gate['artifact'].get(name))} |")
    said = "passed" if gate["passed"] else "FAILED: do not use it"
    lines = [
        "## How well it does",
        f"Both models on the same {_seen(gate)} images of {gate['split']}, from the files on. Gate: {said}.",
        "\n".join(rows),
        f"Agreement {_number(gate['agreement'])} ({gate['agreement_of']}; at least {gate['least_agreement']}). "
        f"{moved(gate)} It may get worse by at most {gate['max_drop']:g}, or by what may be chance.",
        *compared(gate),
    ]
    if any(_number(value) == _NONE for side in ("checkpoint", "artifact") for value in gate[side].values()):
        lines.append(f"`{_NONE}`: there are too few images, or pairs of them, to say.")
    if any(map(is_baseline, gate["checkpoint"])):
        lines.append("Baseline: what one and the same answer for every image reaches, at best; no merit of the model.")
    if gate["worst_classes"]:
        worst = ", ".join(f"`{_plain(row['class'])}` {-row['drop']:+.4f}" for row in gate["worst_classes"])
        lines.append(f"Classes that fall most: {worst}.")
    if classes := gate.get("classes"):
        table = [f"| class | {classes[0]['metric']} of checkpoint | of this file |", "|---|---|---|"]
        for row in classes[:_SHOWN]:
            table.append(f"| `{_plain(row['class'])}` | {_number(row['checkpoint'])} | {_number(row['artifact'])} |")
        lines.append("\n".join(table))
        if len(classes) > _SHOWN:
            lines.append(f"And {len(classes) - _SHOWN} more, in `model.json`.")
    return "\n\n".join(lines)


def _seen(gate: Mapping[str, Any]) -> str:
    """How many images, and of how many where that was a part of them."""
    images, of = gate["pictures"], gate.get("of")
    return f"{images:,}" if of in (None, images) else f"{images:,} of {of:,}"


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
        f" normalises them.\n\nTurn the image upright (EXIF), convert it to {look.to_dict()['colours']},"
        f" take {how}, and resize it as Pillow does with BILINEAR (antialiased)."
    )


def _decision(manifest: Manifest) -> str:
    """What val chose, a row a class where there is a number for each."""
    chosen, classes = manifest.decision, manifest.classes
    columns = {name: value for name, value in chosen.items() if isinstance(value, list) and len(value) == len(classes)}
    lines = ["## Decision", "Chosen on val, so that whoever uses the model decides as its task does."]
    lines += [f"{name}: {_number(value)}." for name, value in chosen.items() if isinstance(value, int | float)]
    if columns:
        rows = [f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for place, name in enumerate(classes[:_SHOWN]):
            cells = [_number(values[place]) for values in columns.values()]
            rows.append(f"| `{_plain(name)}` | {' | '.join(cells)} |")
        lines.append("\n".join(rows))
        if "temperatures" in columns:
            lines.append("Temperatures are in the graph already.")
        if len(classes) > _SHOWN:
            lines.append(f"And {len(classes) - _SHOWN} more, in `model.json`.")
    return "\n\n".join(lines) if len(lines) > 2 else ""


def _cost(manifest: Manifest) -> str:
    cost, time = manifest.about["cost"], manifest.about.get("latency")
    lines = [
        f"## Cost\n\n{cost['parameters']:,} parameters, {cost['mult_adds']:,} mult-adds an image,"
        f" {manifest.size / 1e6:.2f} MB in {manifest.precision}."
    ]
    if smaller := manifest.about.get("quantised"):
        epochs = smaller.get("finetune_epochs")
        kept = ", ".join(f"`{_plain(name)}`" for name in smaller.get("float_layers") or ())
        lines.append(
            f"Ranges of int8 come from {smaller['calibration_pictures']:,} images of training."
            + _saturation(smaller)
            + (f" Left in float32: {kept}." if kept else "")
            + (f" Trained on for {counted(epochs, 'epoch')} with the rounding felt." if epochs else "")
        )
    if time:
        first, third = time["quartiles"]
        lines.append(
            f"One image takes {time['milliseconds']:.2f} ms (median of {time['runs']}; half lie between {first:.2f}"
            f" and {third:.2f}) on one thread of {_plain(time['processor'])}, through {manifest.format}."
        )
    return "\n\n".join(lines)


def _saturation(quantised: Mapping[str, Any]) -> str:
    """Whether int8 kernels may give different answers on different processors; nothing of files that do not say."""
    largest = quantised.get("largest_weight")
    if largest is None:
        return ""
    if quantised["can_saturate"]:
        return f" Weights reach {largest} steps: on x86 processors without VNNI sums may saturate, and answers differ."
    return f" Weights reach {largest} steps, so that sums saturate on no processor, be it with VNNI or without."


def _use(manifest: Manifest) -> str:
    beside = ["decode.py"] if manifest.answer == "raw_boxes" else []
    files = ", ".join(f"`{name}`" for name in (*(file.name for file in manifest.files), *beside))
    return f"""## Use

```bash
mobilevision predict FOLDER IMAGES --out found
```

```python
import mobilevision

print(mobilevision.load("FOLDER").predict("image.jpg"))
```

Without mobilevision, {files} and `model.json` are enough."""


def _made(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    said = (about.get("trained_by"), about.get("command"))
    commands = "\n".join(visible(each, keep="\n").replace("```", "~~~") for each in said if each)
    return f"## Made by\n\n```bash\n{commands}\n```\n\nWith {versions}." if commands else f"## Made with\n\n{versions}."


def _number(value: Any) -> str:
    return _NONE if value is None or value != value else f"{value:.4f}"


def _plain(name: Any) -> str:
    """A name that ends no code span and no table cell."""
    return visible(name).replace("`", "'").replace("|", "/")
