"""An exported model in words: its README.md (what it is, how well it does, how to use it), and the command's output."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilevision.deploy.formats import find_format
from mobilevision.deploy.formats.onnx_placement import reason
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.io.printable_text import visible

if TYPE_CHECKING:
    from mobilevision.exporting.gate import Verdict

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
    tags = ["mobilevision", manifest.task, manifest.format, manifest.precision]
    if "mobilenet" in str(about["backbone"]):
        tags.append("mobilenet")
    found: dict[str, Any] = {"license": about.get("license") or "unknown", "library_name": "mobilevision"}
    if manifest.answer in PIPELINES:
        found["pipeline_tag"] = PIPELINES[manifest.answer]
    found["tags"] = list(dict.fromkeys(tags))
    if (gate := about.get("gate")) and gate["pictures"] == gate.get("of"):  # a part's numbers are not the model's
        found["model-index"] = [_measured(manifest)]
    text: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


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


# What a model card says of use and limits, by the kind of answer.

_LEAST_SHOWN = 0.00005  # less is no difference in four decimals
_USES = {
    "classes": "It names the class of an image that shows one of its classes.",
    "attributes": "It says which of its attributes an image shows, each by itself.",
    "embedding": "It gives a vector an image; the cosine of two says how alike they are. It finds what it was never"
    " shown again, such as other people or things.",
    "places": "It guesses where on Earth an image was taken.",
    "boxes": "It finds the objects of its classes in an image, a box and a score each.",
    "numbers": "It gives numbers whose meaning its task knows.",
    "parts": "It answers several questions of an image in one pass, each under the name of its part.",
}
_LIMITS = {
    "classes": "It says one of its classes of any image, also of one that shows none of them.",
    "attributes": "What it says of an image is what those who labelled its training data would have said, no more.",
    "embedding": "Likeness is no proof of identity: set the threshold on your own images, and do not let it alone"
    " decide about people.",
    "places": "Places with few photos in its training data are guessed worst, and it always answers.",
    "boxes": "Small and covered objects are missed first; what looks like one of its classes may be taken for it.",
    "numbers": "Nothing is known of it but its measurements.",
    "parts": "What a part was trained on says nothing of the others: each knows the images of its own data only.",
}
_TESTED = {
    "run": "It was judged on images like those of its training only; it may do worse on other cameras, places or"
    " people. Measure it on your own images first.",
    "weights": "It was judged on the images named above only; it may do worse on other cameras, places or people."
    " Measure it on your own images first.",
}
_UNTESTED = "Nobody measured this file yet: do that on your own images first."


def metric_change(gate: Mapping[str, Any]) -> str:
    """How the primary metric of the exported model differs from the checkpoint's, in a sentence."""
    name, drop = gate["primary"], gate["drop"]
    if drop is None or math.isnan(drop):
        return f"{name} is no number here, so it was not compared."
    if abs(drop) < _LEAST_SHOWN:
        return f"{name} stays as it is."
    falls = (drop > 0) == (gate.get("mode", "max") == "max")
    return f"{name} {'falls' if falls else 'rises'} by {abs(drop):.4f}."


def comparison_sentences(gate: Mapping[str, Any]) -> list[str]:
    """What else the gate found, a sentence each: whether little agreement is chance, and images with equal detections.

    Args:
        gate: as model.json has it; earlier ones lack some of it.
    """
    found, images = [], gate["pictures"]
    chance = gate.get("agreement_chance")
    if chance is not None and gate["passed"]:
        found.append(
            f"Less agreement than {gate['least_agreement']} may be chance on so few images"
            f" ({images:,}, p = {chance:.2g}): compare on more to be sure."
        )
    same = gate.get("images_with_same_detections")
    if same is not None:
        found.append(f"{same:,} of {images:,} images have the same detections at the thresholds, no more and no fewer.")
    if (other := gate.get("without_vnni")) is not None:
        found.append(_elsewhere(other))
    return found


def _elsewhere(found: Mapping[str, Any]) -> str:
    """What came of the file on an emulated processor without VNNI."""
    name = f"a processor without VNNI (emulated: {found['processor']})"
    if "not_tried" in found:
        return f"Not tried on {name}: {found['not_tried']}."
    gap = found["largest_difference"]
    on = f"on {plural(found['images'], 'image')}"
    if gap == 0:
        return f"On {name} it gives the same numbers, {on}."
    return f"On {name} it gives the same answers to {found['agreement']:.4f}, and numbers to {gap:.2g}, {on}."


def is_baseline(metric: str) -> bool:
    """Whether a number is not the model's, but what a guess reaches that looks at no image."""
    return metric.startswith("prior_")


def plural(number: int, one: str, several: str = "") -> str:
    """A number of things: ``1 epoch``, ``3 epochs``."""
    return f"{number} {one if number == 1 else several or one + 's'}"


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
        "logits": "of every anchor, background first; of a head without anchors, of every point, no background",
        "deltas": "of every anchor, how its box is moved and stretched; of every point, how far its box reaches",
    },
}


def outputs(manifest: Manifest) -> str:
    """The part of the card with a line for each output."""
    meanings = _MEANINGS.get(manifest.answer, {})
    for name, part in _parts(manifest).items():
        meanings |= {f"{name}/{key}": told for key, told in _MEANINGS.get(part["answer"], {}).items()}
    rows = ["## Outputs", ""]
    for port in manifest.outputs:
        shape = ", ".join("batch" if side is None else str(side) for side in port.shape)
        meaning = f": {meanings[port.name]}" if port.name in meanings else ""
        rows.append(f"- `{port.name}`: {port.dtype} [{shape}]{meaning}")
    if any("`classes`" in row for row in rows):
        where = "the part's list in `facts.parts` of" if manifest.answer == "parts" else "the list in"
        rows += ["", f"`classes` is {where} `model.json`."]
    if manifest.answer == "raw_boxes":
        rows += ["", "Boxes are left to whoever runs the graph: `decode.py` makes them with NumPy and `facts`."]
    return "\n".join(rows)


def _parts(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """What the answer of several parts says of each; nothing of a single task."""
    return dict(manifest.facts.get("parts") or {}) if manifest.answer == "parts" else {}


_SHOWN = 20
_NONE = "-"  # in the place of a number that there is not


def card(manifest: Manifest) -> str:
    """The model card, in Markdown."""
    about = manifest.about
    kind = manifest.answer.removeprefix("raw_")
    kind = kind if kind in _USES else "numbers"
    tested = _TESTED[about["from"]] if about.get("gate") else _UNTESTED
    parts = [
        header(manifest),
        f"# {about['backbone']}, {manifest.task}",
        f"{_USES[kind]} {_origin(manifest)} `model.json` holds all that is said here, for programs.",
        _data(manifest),
        _gate(about.get("gate")),
        _input(manifest),
        outputs(manifest),
        _decision(manifest),
        _cost(manifest),
        _use(manifest),
        f"## Limits\n\n{_LIMITS[kind]} {tested}",
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
        f", trained on for {plural(epochs, 'epoch')} more for this file: its weights are not the run's"
        if epochs
        else ""
    )
    return f"{made} {manifest.precision}, from a training{start}{more}."


def _data(manifest: Manifest) -> str:
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
        lines.append(f"{plural(len(manifest.classes), 'class', 'classes')}: {names}{more}.")
    return "\n\n".join(lines)


def _gate(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "## How well it does\n\nNot measured: it was exported without the gate, so nobody compared it yet."
    rows = ["| metric | checkpoint | this file |", "|---|---|---|"]
    for name, value in gate["checkpoint"].items():
        told = f"{name} (baseline)" if is_baseline(name) else name
        rows.append(f"| {told} | {_number(value)} | {_number(gate['artifact'].get(name))} |")
    outcome = "passed" if gate["passed"] else "FAILED: do not use it"
    images, of = gate["pictures"], gate.get("of")
    count = f"{images:,}" if of in (None, images) else f"{images:,} of {of:,}"
    lines = [
        "## How well it does",
        f"Both models on the same {count} images of {gate['split']}, from the files on. Gate: {outcome}.",
        "\n".join(rows),
        f"Agreement {_number(gate['agreement'])} ({gate['agreement_of']}; at least {gate['least_agreement']}). "
        f"{metric_change(gate)} It may get worse by at most {gate['max_drop']:g}, or by what may be chance.",
        *comparison_sentences(gate),
    ]
    if parts := gate.get("parts"):
        table = ["| part | metric | checkpoint | this file | agreement |", "|---|---|---|---|---|"]
        for name, row in parts.items():
            values = " | ".join(_number(row[key]) for key in ("checkpoint", "artifact", "agreement"))
            table.append(f"| {name} | {row['metric']} | {values} |")
        lines.append("\n".join(table))
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
        f" take {how}, and resize it as Pillow does with BILINEAR (antialiased).{_on_board(manifest)}"
    )


def _on_board(manifest: Manifest) -> str:
    """How input and outputs lie in a file for microcontrollers."""
    micro = manifest.about.get("micro")
    if not micro:
        return ""
    shape = ", ".join(str(side) for side in micro["input"]["shape"])
    return (
        f"\n\nThese are the types that `mobilevision predict` takes and gives. In the file the input is"
        f" {micro['input']['type']} [{shape}] (height, width, channels), a pixel its value less 128; `model_data.h`"
        " has the scale and zero point of each output, class names, the operators to register, and the tensor arena."
    )


def _decision(manifest: Manifest) -> str:
    """What val chose, a row a class where there is a number for each."""
    if parts := _parts(manifest):
        of_parts = {name: replace(manifest, **_alone(manifest, name)) for name in parts}
        told = {name: _decision(part) for name, part in of_parts.items()}
        return "\n\n".join(text.replace("## Decision", f"## Decision of {name}") for name, text in told.items() if text)
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


def _alone(manifest: Manifest, name: str) -> dict[str, Any]:
    """What a part's own model.json would say of its answer, classes and decision."""
    part = manifest.facts["parts"][name]
    chosen = manifest.decision.get(name) or {}
    return {"answer": part["answer"], "classes": tuple(part["classes"]), "decision": chosen, "facts": part["facts"]}


def _cost(manifest: Manifest) -> str:
    cost, time = manifest.about["cost"], manifest.about.get("latency")
    lines = [
        f"## Cost\n\n{cost['parameters']:,} parameters, {cost['mult_adds']:,} mult-adds an image,"
        f" {manifest.size / 1e6:.2f} MB in {manifest.precision}."
    ]
    if onnx := manifest.about.get("onnx"):
        one = manifest.input.shape[0] == 1
        at_once = "one image at a time" if one else "any number at a time, which accelerators do not (`--batch 1`)"
        lines.append(
            f"ONNX of operator set {onnx['opset']} (file format {onnx['ir']}), which ONNX Runtime"
            f" {onnx['oldest_onnxruntime']} and later load; it takes {at_once}."
            f"{_accelerators(onnx['accelerators'])}"
        )
    if micro := manifest.about.get("micro"):
        lines.append(f"{memory_on_board(manifest.size, micro)}.")
    if smaller := manifest.about.get("quantised"):
        epochs = smaller.get("finetune_epochs")
        kept = ", ".join(f"`{_plain(name)}`" for name in smaller.get("float_layers") or ())
        lines.append(
            f"Ranges of int8 come from {smaller['calibration_pictures']:,} images of training."
            + _saturation(smaller)
            + (f" Left in float32: {kept}." if kept else "")
            + (f" Trained on for {plural(epochs, 'epoch')} with the rounding felt." if epochs else "")
        )
    if time:
        first, third = time["quartiles"]
        lines.append(
            f"One image takes {time['milliseconds']:.2f} ms (median of {time['runs']}; half lie between {first:.2f}"
            f" and {third:.2f}) on one thread of {_plain(time['processor'])}, through {manifest.format}."
        )
    return "\n\n".join(lines)


def memory_on_board(size: int, micro: Mapping[str, Any]) -> str:
    """What a model takes of a microcontroller's memory, in a sentence without its full stop."""
    return f"On a board it takes {size:,} bytes of flash and a tensor arena of {micro['arena_bytes']:,} bytes of RAM"


def _accelerators(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What accelerators take of the nodes, and what they leave and why; nothing where that is not known."""
    if not found:
        return ""
    taken = [
        f"{name} {each['taken']:,}"
        + (f" in {plural(each['pieces'], 'piece')}" if each["taken"] and each["pieces"] else "")
        for name, each in found.items()
    ]
    nodes = next(iter(found.values()))["nodes"]
    text = f" Of its {nodes:,} nodes accelerators of ONNX Runtime take, by their lists: {', '.join(taken)}."
    left: dict[str, list[str]] = {}  # those that leave the same for the same reasons are named together
    for name, each in found.items():
        told = [
            f"{reason(row, 3)}" + (f" (`{row['help']}`)" if row.get("help") else "") for row in each.get("left", ())
        ]
        if told:
            left.setdefault("; ".join(told), []).append(name)
    rows = [f"- {', '.join(names)}: {told}" for told, names in left.items()]
    return text + ("\n\nLeft to the CPU:\n\n" + "\n".join(rows) if rows else "")


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
    if sources := find_format(manifest.format).beside:
        files += f" (for a board's program {' and '.join(f'`{name}`' for name in sources)})"
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
    typed = (about.get("trained_by"), about.get("command"))
    commands = "\n".join(visible(each, keep="\n").replace("```", "~~~") for each in typed if each)
    return f"## Made by\n\n```bash\n{commands}\n```\n\nWith {versions}." if commands else f"## Made with\n\n{versions}."


def _number(value: Any) -> str:
    return _NONE if value is None or value != value else f"{value:.4f}"


def _plain(name: Any) -> str:
    """A name that ends no code span and no table cell."""
    return visible(name).replace("`", "'").replace("|", "/")


# What the command prints about an export.


def print_summary(manifest: Manifest, place: Path) -> None:
    """Print both models' numbers, and where the folder is."""
    from rich.console import Console
    from rich.table import Table

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
        for sentence in comparison_sentences(gate):
            console.print(sentence, soft_wrap=True)
        if unequal := gate["pictures"] - gate["pictures_with_equal_pixels"]:
            console.print(f"{unequal:,} images came out with other pixels than in the evaluation", style="yellow")
    else:
        console.print("not compared with its checkpoint: the gate was left out", style="yellow")
    if micro := manifest.about.get("micro"):
        console.print(memory_on_board(manifest.size, micro), soft_wrap=True)
    names = ", ".join(file.name for file in manifest.files)
    console.print(
        f"{names} ({manifest.size / 1e6:.2f} MB), model.json and README.md in {place}", soft_wrap=True, markup=False
    )


def refusal(verdict: Verdict, manifest: Manifest, place: Path) -> UserError:
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
