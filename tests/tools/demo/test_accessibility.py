"""The page for those who see little, hear it, or have no mouse; without a model, whose answers are told here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mobilevision.tools.demo.files as files
from mobilevision.deploy.manifest import Manifest
from tests.tools.demo.conftest import Serve
from tests.tools.demo.test_answers import manifest

# In place of the model: a word on the channel `go`, {outputs} or {error}, answers one question, whichever comes first.
WORKER = """
const go = new BroadcastChannel("go");
const [questions, words] = [[], []];
self.onmessage = ({ data: { id, kind } }) => {
  if (kind === "load") self.postMessage({ id, done: { threads: 1 } });
  else questions.push(id);
  meet();
};
go.onmessage = ({ data }) => {
  words.push(data);
  meet();
};
function meet() {
  if (!questions.length || !words.length) return;
  const [id, { outputs, error }] = [questions.shift(), words.shift()];
  const toPicture = { scaleX: 1, scaleY: 1, shiftX: 0, shiftY: 0 };
  const milliseconds = { model: 1, preparation: 1 };
  self.postMessage(error ? { id, error } : { id, done: { outputs, toPicture, milliseconds } });
}
"""
SCRIPT = {"Content-Type": "text/javascript", "Cross-Origin-Embedder-Policy": "require-corp"}
# Every text that can be seen and its contrast with what is behind it, colours mixed as opacity says.
CONTRASTS = """() => {
  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  };
  const over = (top, below, alpha) => below.map((value, k) => top[k] * alpha + value * (1 - alpha));
  const light = (colour) => {
    const straight = (x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    const parts = colour.map((value) => straight(value / 255));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    const text = Array.from(node.childNodes, (each) => (each.nodeType === 3 ? each.data.trim() : "")).join("");
    if (!text || node.matches(":disabled *, script, style, noscript *") || !node.getClientRects().length) continue;
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(getComputedStyle(at));
    let behind = [255, 255, 255];
    let shown = 1;
    for (const style of chain) {
      shown *= Number(style.opacity);
      const [red, green, blue, alpha] = parse(style.backgroundColor);
      behind = over([red, green, blue], behind, alpha * shown);
    }
    const [red, green, blue, alpha] = parse(getComputedStyle(node).color);
    const ink = over([red, green, blue], behind, alpha * shown);
    const [less, more] = [light(ink), light(behind)].sort((a, b) => a - b);
    found.push([text.slice(0, 40), node.className || node.tagName, (more + 0.05) / (less + 0.05)]);
  }
  return found;
}"""
BOXES = {
    "boxes": np.array([[1.0, 1, 20, 20]], dtype=np.float32),
    "scores": np.array([0.9], dtype=np.float32),
    "labels": np.array([1]),
}
ATTRIBUTES = {"probabilities": np.array([0.6, 0.3, 0.9], dtype=np.float32), "present": np.array([True, False, True])}
CLASSES = {"probabilities": np.array([0.2, 0.7, 0.1], dtype=np.float32)}
EMBEDDING = {"embedding": np.array([0.6, 0.8], dtype=np.float32)}


def several() -> tuple[Manifest, dict[str, Any]]:
    """Of a model of two tasks."""
    parts = {"box": ("boxes", BOXES), "face": ("attributes", ATTRIBUTES)}
    facts = {
        name: {"answer": kind, "classes": ["cat", "dog_big", "<b>"], "facts": {}} for name, (kind, _) in parts.items()
    }
    outputs = {f"{name}/{key}": value for name, (_, own) in parts.items() for key, value in own.items()}
    return manifest("parts", outputs, facts={"parts": facts}), outputs


MODELS = {
    "classes": (manifest("classes", CLASSES), CLASSES),
    "attributes": (manifest("attributes", ATTRIBUTES), ATTRIBUTES),
    "boxes": (manifest("boxes", BOXES), BOXES),
    "embedding": (manifest("embedding", EMBEDDING, decision={"threshold": 0.4}), EMBEDDING),
    "numbers": (manifest("depths", CLASSES), CLASSES),
    "parts": several(),
}


@pytest.fixture(scope="module")
def address(serve: Serve) -> str:
    return serve(Path(files.__file__).parent / "page")


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    found = browser.new_context(service_workers="block", permissions=["camera"])
    yield found
    found.close()


def opened(context: Any, address: str, kind: str, *, examples: int = 0) -> Any:
    """The page of a model of some kind, ready, with examples that are plain images."""
    page = context.new_page()
    names = [f"examples/{number}.png" for number in range(examples)]
    about = {"backbone": "mobilenet", "made": "2026-01-01", "data": {"name": "pets"}}
    given = {**MODELS[kind][0].to_dict(), "about": about}
    page.route("**/worker.js", lambda route: route.fulfill(body=WORKER, headers=SCRIPT))
    page.route("**/model/model.json", lambda route: route.fulfill(body=json.dumps(given)))
    page.route("**/examples.json", lambda route: route.fulfill(body=json.dumps(names)))
    page.route("**/plugins.json", lambda route: route.fulfill(body="{}"))
    page.route("**/examples/*.png", lambda route: route.fulfill(body=png(), content_type="image/png"))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("#trouble") == ""
    return page


def png() -> bytes:
    file = BytesIO()
    Image.new("RGB", (40, 30), (200, 60, 60)).save(file, "png")
    return file.getvalue()


def choose(page: Any, name: str = "cat.png", data: bytes | None = None) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": png() if data is None else data})


def answer(page: Any, kind: str) -> None:
    """Let the model say what it has to, once it was asked."""
    outputs = {name: value.ravel().tolist() for name, value in MODELS[kind][1].items()}
    tell(page, {"outputs": outputs})


def tell(page: Any, what: dict[str, Any]) -> None:
    """Answer a question, and wait until the page is through with it."""
    page.wait_for_selector("section.answer[aria-busy=true]")
    page.evaluate("(what) => new BroadcastChannel('go').postMessage(what)", what)
    through = "section.answer[aria-busy=false], section.answer[aria-busy=true] .headline:has-text('One more image')"
    page.wait_for_selector(through, state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", MODELS)
def test_every_text_can_be_read(context: Any, address: str, scheme: Any, kind: str) -> None:
    page = opened(context, address, kind)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    choose(page)
    answer(page, kind)
    page.evaluate("""() => {
      for (const each of document.querySelectorAll("details")) each.open = true;
      for (const each of document.querySelectorAll("[hidden]:not(#busy)")) each.hidden = false;
      for (const name of ["trouble", "hint"]) document.getElementById(name).textContent = "Something is wrong";
      document.getElementById("camera").classList.add("on");
      document.querySelector(".late").style.cssText = "animation: none; opacity: 1";
      for (const each of document.querySelectorAll("*")) each.style.transition = "none";
    }""")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 15
    assert [each for each in found if each[2] < 4.5] == []


def test_names_on_boxes_can_be_read(context: Any, address: str) -> None:
    page = opened(context, address, "boxes")
    page.evaluate("""async () => {
      const { colourOf } = await import("./draw.js");
      document.body.replaceChildren(...Array.from({ length: 20 }, (_, label) => {
        const name = document.createElement("p");
        [name.textContent, name.style.color, name.style.background] = [colourOf(label), "#fff", colourOf(label)];
        return name;
      }));
    }""")
    assert [each for each in page.evaluate(CONTRASTS) if each[2] < 4.5] == []


def test_the_page_says_that_it_is_looking_and_what_it_found(context: Any, address: str) -> None:
    page = opened(context, address, "classes")
    choose(page)
    page.wait_for_selector("section.answer[aria-busy=true] #busy:visible")
    assert page.inner_text("[role=status]#status") == "Looking at the image …"
    answer(page, "classes")
    assert page.is_hidden("#busy")
    assert page.inner_text("#status") == "dog_big"
    assert page.get_attribute("canvas.picture", "aria-label") == "cat.png"


@pytest.mark.parametrize("wrong", ["no image", "no answer"])
def test_an_error_leaves_no_answer_to_another_image(context: Any, address: str, wrong: str) -> None:
    page = opened(context, address, "classes")
    choose(page)
    answer(page, "classes")
    assert page.is_visible("#answer")
    if wrong == "no image":
        choose(page, "letter.png", b"Dear reader")
    else:
        choose(page)
        tell(page, {"error": "out of memory"})
    page.wait_for_selector("[role=alert]:visible")
    assert page.is_hidden("#answer")
    assert page.is_hidden("#timing")
    assert page.is_visible(".empty")
    assert page.get_attribute("section.answer", "aria-busy") == "false"
    choose(page)
    answer(page, "classes")
    assert page.is_hidden("#trouble")
    assert page.inner_text(".headline strong") == "dog_big"


REACHED = {
    "classes": ["#file", "#camera", "Example 1", "Example 2", "summary"],
    "boxes": ["#file", "#camera", "Example 1", "Example 2", "#threshold", "summary"],
    "parts": ["#file", "#camera", "Example 1", "Example 2", "#threshold", "summary", "summary"],
    "embedding": [
        "First image: An image",
        "Second image: An image",
        *("#file", "#camera", "Example 1", "Example 2", "summary"),
    ],
}


@pytest.mark.parametrize("kind", REACHED)
def test_all_is_reached_by_the_tab_key_and_seen_to_be(context: Any, address: str, kind: str) -> None:
    page = opened(context, address, kind, examples=2)
    for _ in range(2 if kind == "embedding" else 1):  # the examples that are shown at once
        answer(page, kind)
    found = []
    for _ in REACHED[kind]:
        page.keyboard.press("Tab")
        found.append(
            page.evaluate("""() => {
              const node = document.activeElement;
              const ring = getComputedStyle(node.closest(".button") ?? node);
              const name = node.id ? `#${node.id}` : (node.getAttribute("aria-label") ?? node.localName);
              return [name, ring.outlineStyle, parseFloat(ring.outlineWidth)];
            }""")
        )
    assert [name for name, _, _ in found] == REACHED[kind]
    assert [each for each in found if each[1:] != ["solid", 3]] == []


def test_every_control_and_picture_has_a_name(context: Any, address: str) -> None:
    page = opened(context, address, "parts", examples=2)
    answer(page, "parts")
    page.click("summary >> nth=0")
    tree = page.locator("body").aria_snapshot()
    for said in ('button "Choose"', 'button "Camera"', 'button "Example 2"', 'slider "Threshold"', 'img "An image"'):
        assert said in tree, tree
    unnamed = [
        line.strip() for line in tree.splitlines() if line.strip().rstrip(":") in ("- button", "- img", "- slider")
    ]
    assert unnamed == []


def test_two_places_are_filled_by_keyboard(context: Any, address: str) -> None:
    page = opened(context, address, "embedding")
    second = page.get_by_role("button", name="Second image: empty")
    second.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    choose(page)
    answer(page, "embedding")
    assert page.get_by_role("button", name="Second image: cat.png").count() == 1
