"""The table of docs/formats.md: every task in every format and precision, tried with models that answer to images.

``MOBILEVISION_UPDATE_DOCS=1 pytest -m "" tests/deploy/test_formats_table.py`` writes what it finds into the page.
Formats whose packages are not there keep what the page says, so environments can take turns. CI tries some
of each kind; all of them, half an hour, are for a change of formats and for a release.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.formats import FORMATS
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.manifest import Manifest, ModelFile
from mobilevision.deploy.precision import Precision
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.exporting.description import decoding_left

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
SIDE = 64
BOXES = ("head.detections=20", "head.score_threshold=0.001", "head.per_class=40")
NARROW = ("head.channels=24", "head.depth=1")
REGIONS = (*BOXES, "head.proposals=40")
ROWS: dict[str, tuple[str, ...]] = {
    "classification": ("task=classification",),
    "fine_grained": ("task=fine_grained",),
    "face_attributes": ("task=face_attributes",),
    "face_embedding": ("task=face_embedding",),
    "geolocalization": ("task=geolocalization",),
    "detection, ssd": ("task=detection", "head=ssd", *BOXES),
    "detection, ssdlite": ("task=detection", "head=ssdlite", *BOXES),
    "detection, picodet": ("task=detection", "head=picodet", *NARROW, *BOXES),
    "detection, picodet, one_to_one": ("task=detection", "head=picodet", "head.one_to_one=true", *NARROW, *BOXES),
    "detection, faster_rcnn": ("task=detection", "head=faster_rcnn", *REGIONS),
    "detection, faster_rcnn_fpn": ("task=detection", "head=faster_rcnn_fpn", *REGIONS),
    "a plugin's": ("task=classification",),
}
QUICK = {("classification", "onnx")}
IN_CI = {
    ("a plugin's", "onnx"),
    ("a plugin's", "openvino"),
    ("a plugin's", "executorch"),
    ("detection, picodet, one_to_one", "onnx"),
    ("detection, ssd", "openvino"),
    ("detection, ssd", "executorch"),
}
"""Cells whose graphs differ from each other: the rest are of the same operators, with other shapes."""


def often(row: str, name: str) -> list[pytest.MarkDecorator]:
    """When a cell is tried: always, in CI, or before a release."""
    if (row, name) in QUICK:
        return []
    return [pytest.mark.slow if (row, name) in IN_CI else pytest.mark.release]


CASES = [pytest.param(row, name, marks=often(row, name)) for row in ROWS for name in FORMATS]


def plain_decode(outputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a plugin's task may give: several outputs of several types."""
    scores = outputs.softmax(dim=1)
    best = scores.max(dim=1)
    return {"scores": scores, "place": best.indices, "sure": best.values > 0.5, "logits": outputs}


def task_of(row: str) -> Any:
    """An untrained task whose layers answer to images and whose scores differ, as a trained one's do."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    torch.manual_seed(0)
    task = build(compose([*ROWS[row], f"data.resolution={SIDE}", "backbone.width=0.25"])).task
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for name, value in task.head.named_parameters():
            if name.endswith("weight") and ("classif" in name or "objectness" in name):
                value.normal_(std=2.0 / value[0].numel() ** 0.5)  # more, and many scores are 1: no order among them
            elif name.endswith("output.weight"):  # a sigmoid's scores are sooner 1 than a softmax's
                value.normal_(std=0.7 / value[0].numel() ** 0.5)
        task.train()(torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8))
    if task.answers == "boxes":
        task.decision = {"thresholds": [0.05] * len(task.data_spec.classes)}
    if row == "a plugin's":
        task.deploy, task.answers = plain_decode, "numbers"
    return task.eval()


def works(task: Any, name: str, precision: str, folder: Path) -> bool:
    """Whether it can be written, and then says what the task says; of int8 only whether it runs.

    Anything but one line on why it cannot be written is an error here.
    """
    form = FORMATS[name]
    raw = not form.decodes and task.raw_answers is not None
    if raw and not can_be_left_undecoded(task):
        return False
    graph = Graph(task, shape=(3, SIDE, SIDE), raw=raw)
    images = graph.example(3).numpy()
    seen = images if precision == "int8" else None
    try:
        form.write(graph, folder / form.file, Precision(precision, seen))  # type: ignore[arg-type]
    except UserError:
        return False
    found = form.open(folder / form.file, outputs=graph.names, threads=1)(images)
    given = {port.name: found[port.name].astype(port.dtype) for port in graph.outputs}
    with torch.inference_mode():
        expected = {key: value.numpy() for key, value in zip(graph.names, graph(torch.from_numpy(images)), strict=True)}
    assert {key: value.shape for key, value in given.items()} == {key: value.shape for key, value in expected.items()}
    assert all(np.isfinite(value).all() for value in given.values())
    if raw:  # numbers that decoding takes: whether they are right is for the gate to say
        return True
    look = Preprocessing("stretch", 1.0, 3, SIDE, SIDE)
    about: dict[str, Any] = {"decision": task.decision, "facts": task.facts(), "about": {}}
    note = ModelFile.of(folder / form.file)
    manifest = Manifest(
        "any", task.answers, name, precision, note, task.data_spec.classes, graph.port, look, graph.outputs, **about
    )
    answer = find_answer(manifest, "here")
    pairs = [[{key: value[at] for key, value in each.items()} for each in (expected, given)] for at in range(3)]
    if task.answers in ("numbers", "places") and precision == "float16":  # thousandths, or a thousand like cells
        compared = [key for key in given if task.answers == "numbers" or key == "probabilities"]
        return all(np.allclose(given[key], expected[key], atol=0.05) for key in compared)
    same, of = np.sum([answer.agree(*pair) for pair in pairs], axis=0)
    assert of > 0
    least = {"float32": 0.98, "float16": 0.9, "int8": 0.0}[precision]
    return bool(same >= least * of)


def can_be_left_undecoded(task: Any) -> bool:
    """Whether what a detector finds can be decoded outside the graph."""
    try:
        decoding_left(task, decodes=False)
    except UserError:
        return False
    return True


def cells() -> dict[tuple[str, str], str]:
    """What the page says, by row and format."""
    text = PAGE.read_text(encoding="utf-8").partition("<!-- tried -->\n")[2].partition("<!-- end -->")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {(row[0], name): cell for row in lines[2:] for name, cell in zip(lines[0][1:], row[1:], strict=True)}


def write_page(known: dict[tuple[str, str], str]) -> None:
    rows = [f"| task | {' | '.join(FORMATS)} |", f"|---{'|---' * len(FORMATS)}|"]
    rows += [f"| {row} | {' | '.join(known.get((row, name), 'not tried') for name in FORMATS)} |" for row in ROWS]
    table = "\n".join(rows)
    text = PAGE.read_text(encoding="utf-8")
    changed = re.sub(r"(<!-- tried -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    PAGE.write_text(changed, encoding="utf-8")


@pytest.mark.parametrize(("row", "name"), CASES)
def test_the_page_says_what_works(row: str, name: str, tmp_path: Path) -> None:
    form, task, found = FORMATS[name], None, []
    for precision in form.precisions:
        try:
            form.can_write(precision)
        except UserError as error:
            pytest.skip(str(error))
        task = task or task_of(row)
        if works(task, name, precision, tmp_path):
            found.append(precision)
    said = ", ".join(found) or "no"
    if os.environ.get("MOBILEVISION_UPDATE_DOCS"):
        write_page({**cells(), (row, name): said})
    assert cells()[row, name] == said, 'run: MOBILEVISION_UPDATE_DOCS=1 pytest -m "" ' + __file__
