"""What the page says of outputs is what Python says of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.images.framing import Affine
from mobilevision.tools.demo.world import world
from tests.tools.demo.conftest import Serve

SHOW = """async ([manifest, results]) => {
  const { answerOf } = await import("./answers/index.js");
  let redrawn = 0;
  const answer = answerOf(manifest, () => redrawn++);
  answer.update(results);
  document.body.replaceChildren(answer.element);
  window.answer = { answer, results, redrawn: () => redrawn };
}"""
RNG = np.random.default_rng(0)
CLASSES = ("cat", "dog_big", "<b>")
MAPPING = {"scaleX": 2.0, "scaleY": 3.0, "shiftX": 10.0, "shiftY": -5.0}


def manifest(answer: str, outputs: dict[str, Any], **changes: Any) -> Manifest:
    ports = tuple(Port(name, str(value.dtype), (None, *value.shape)) for name, value in outputs.items())
    given: dict[str, Any] = {"decision": {}, "facts": {}, "classes": CLASSES, **changes}
    return Manifest(
        task=answer,
        answer=answer,
        format="onnx",
        precision="float32",
        file=ModelFile("model.onnx", 1, ""),
        input=Port("image", "uint8", (None, 3, 96, 96)),
        preprocessing=Preprocessing("stretch", 1.0, 3, 96, 96),
        outputs=ports,
        about={},
        **given,
    )


def show(page: Any, found: Manifest, *results: dict[str, Any]) -> None:
    plain = [
        {"outputs": {name: value.ravel().tolist() for name, value in outputs.items()}, "toPicture": MAPPING}
        for outputs in results
    ]
    page.evaluate(SHOW, [json.loads(json.dumps(found.to_dict())), plain])


def rows(page: Any, place: int = 0) -> list[str]:
    names: list[str] = page.locator(".bars").nth(place).locator(".name").all_inner_texts()
    return names


def test_classes(page: Any) -> None:
    outputs = {"probabilities": np.array([0.2, 0.7, 0.1], dtype=np.float32)}
    found = manifest("classes", outputs)
    show(page, found, outputs)
    row = find_answer(found, "here").describe(outputs)
    assert rows(page) == [each["label"] for each in row["top5"]]
    assert page.inner_text(".headline strong") == row["label"]


def test_attributes(page: Any) -> None:
    outputs = {"probabilities": np.array([0.6, 0.3, 0.9], dtype=np.float32), "present": np.array([True, False, True])}
    found = manifest("attributes", outputs, decision={"thresholds": [0.5, 0.4, None]})
    show(page, found, outputs)
    row = find_answer(found, "here").describe(outputs)
    assert rows(page, 0) == row["attributes"] == ["<b>", "cat"]
    page.click("summary")
    assert rows(page, 1) == [name.replace("_", " ") for name in CLASSES]
    assert page.locator(".weak .name").all_inner_texts() == ["dog big"]


def test_boxes_and_their_threshold(page: Any) -> None:
    outputs = {
        "boxes": RNG.uniform(0, 90, (4, 4)).astype(np.float32),
        "scores": np.array([0.9, 0.7, 0.35, 0.0], dtype=np.float32),
        "labels": np.array([0, 1, 1, -1]),
    }
    found = manifest("boxes", outputs, decision={"thresholds": [0.5, 0.3, None]})
    show(page, found, outputs)
    answer = find_answer(found, "here")
    row = answer.describe(answer.locate(outputs, Affine(2.0, 3.0, 10.0, -5.0)))
    assert page.inner_text(".headline strong") == row["found"]
    kept = page.evaluate("window.answer.answer.kept(window.answer.results[0])")
    assert [CLASSES[each["label"]] for each in kept] == [each["label"] for each in row["detections"]]
    assert np.allclose([each["box"] for each in kept], [each["box"] for each in row["detections"]], atol=0.06)
    page.fill("#threshold", "0.8")
    assert page.inner_text(".headline strong") == "1 cat"
    assert page.evaluate("window.answer.redrawn()") == 1
    page.click("button.link")
    assert page.inner_text(".headline strong") == row["found"]


def test_nothing_found_is_said(page: Any) -> None:
    outputs = {"boxes": np.zeros((1, 4), np.float32), "scores": np.zeros(1, np.float32), "labels": np.array([-1])}
    show(page, manifest("boxes", outputs), outputs)
    assert page.inner_text(".headline strong") == "nothing found"


@pytest.mark.parametrize(("threshold", "said"), [(0.2, "The same"), (0.99, "Not the same"), (None, "Likeness")])
def test_embeddings_are_compared(page: Any, threshold: float | None, said: str) -> None:
    one, two = ({"embedding": RNG.normal(0.5, 0.4, 8).astype(np.float32)} for _ in range(2))
    found = manifest("embedding", one, decision={} if threshold is None else {"threshold": threshold})
    show(page, found, one, two)
    cosine = find_answer(found, "here").agree(one, two).same
    assert page.inner_text(".headline strong") == said
    assert float(page.inner_text(".headline .quiet")) == pytest.approx(cosine, abs=6e-4)


def test_places_on_a_map(page: Any, serve: Serve) -> None:
    ids = s2.cell_ids(np.array([48.8, -33.9, 40.7]), np.array([2.3, 151.2, -74.0]), 5)
    order = np.argsort(ids)
    cells = Cells(
        ids[order], np.ones(3, np.int64), np.array([48.8, -33.9, 40.7])[order], np.array([2.3, 151.2, -74.0])[order]
    )
    facts = {"cells": cells.to_dict(), "places": 2}
    outputs = {
        "probabilities": np.array([0.1, 0.7, 0.2], dtype=np.float32),
        "cells": np.array([1, 2, 0]),
        "coordinate": np.array([cells.latitude[1], cells.longitude[1]]),
    }
    found = manifest("places", outputs, classes=("a", "b", "c"), facts=facts)
    page.route("**/map.json", lambda route: route.fulfill(json=world(found)))
    show(page, found, outputs)
    page.wait_for_selector(".map circle.answer")
    row = find_answer(found, "here").describe(outputs)
    assert row["found"].startswith(page.inner_text(".headline strong"))
    assert len(rows(page)) == 2
    assert page.locator(".map .cells path").count() == 3
    x, y = (float(page.get_attribute("circle.answer", name) or "nan") for name in ("cx", "cy"))
    assert (x, -y) == pytest.approx((cells.longitude[1], cells.latitude[1]))


def test_what_nobody_knows_is_shown_as_numbers(page: Any) -> None:
    outputs = {"depth": np.arange(20, dtype=np.float32), "count": np.array([3])}
    show(page, manifest("depths", outputs), outputs)
    assert page.locator("dt").all_inner_texts() == ["depth", "count"]
    assert "(20)" in page.locator("dd").first.inner_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Auto (clothing)", "clothing"),
        ("drawn images (faces)", "faces"),
        ("shapes", "shapes"),
        ("cars: CocoJson (boxes.json), light: Csv (light.csv)", "cars: boxes.json, light: light.csv"),
    ],
)
def test_the_data_of_every_part_is_named(page: Any, name: str, said: str) -> None:
    about = {"data": {"name": name}}
    assert page.evaluate("async (about) => (await import('./facts.js')).dataOf(about)", about) == said


@pytest.mark.parametrize("mirrored", [False, True])
def test_lines_and_points_lie_over_the_picture(page: Any, mirrored: bool) -> None:
    """Drawn on a canvas twice as large as the picture, also on one that shows its mirror."""
    found = page.evaluate(
        """async (mirrored) => {
          const { drawMarks } = await import("./draw.js");
          const canvas = document.createElement("canvas");
          canvas.style.cssText = "width: 200px; height: 100px";
          document.body.replaceChildren(canvas);
          const lines = [{ from: [10, 40], to: [30, 40], colour: "#ff0000" }];
          const points = [{ at: [10, 10], colour: "#00ff00" }];
          drawMarks(canvas, { width: 100, height: 50, mirrored }, { lines, points });
          const dense = window.devicePixelRatio || 1;
          const at = (x, y) => [...canvas.getContext("2d").getImageData(x * 2 * dense, y * 2 * dense, 1, 1).data];
          return [at(20, 40), at(80, 40), at(10, 10), at(90, 10)];
        }""",
        mirrored,
    )
    red, green, nothing = [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 0, 0]
    assert found == ([nothing, red, nothing, green] if mirrored else [red, nothing, green, nothing])
