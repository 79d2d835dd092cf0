"""The page in a real browser: the same answers as in Python, one thread or more, no network, and clear lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.deploy.artifact import Artifact
from mobilevision.exporting.command import export
from mobilevision.tools.demo.files import write_page
from mobilevision.tools.demo.runtime import Runtime
from tests.tools.demo.conftest import ELSEWHERE, Serve

RUN = """async (name) => {
  const files = ["./decode.js", "./model.js", "./manifest.js"];
  const [{ decode }, { Model }, { readManifest }] = await Promise.all(files.map((file) => import(file)));
  const [manifest, model] = [await readManifest("model/model.json"), new Model()];
  await model.load(manifest, () => {});
  const { outputs, toPicture } = await model.run(await decode(await (await fetch(name)).blob()));
  return [Object.fromEntries(Object.entries(outputs).map(([key, values]) => [key, Array.from(values)])), toPicture];
}"""
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def artifact(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifact") / "colours"
    export(trained, out=out, gate_samples=6)
    return out


@pytest.fixture(scope="module")
def images(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two PNG and a JPEG, of three classes."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("red", "green", "blue & <b>")):
        image = Image.open(coloured / "test" / name / "0.png").resize((150, 120))
        image.save(folder / f"{number}.{'jpg' if number == 2 else 'png'}")
    return folder


@pytest.fixture(scope="module")
def site(artifact: Path, images: Path, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "page"
    write_page(folder, artifact, runtime, examples=images)
    return folder


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens an address in a new, empty browser profile and waits until the page knows whether it works."""
    contexts = []

    def start(address: str, *, workers: bool = False, prepare: Callable[[Any], None] = lambda page: None) -> Any:
        context = browser.new_context(service_workers="allow" if workers else "block", permissions=["camera"])
        contexts.append(context)
        page = context.new_page()
        prepare(page)
        page.goto(address)
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield start
    for context in contexts:
        context.close()


def headline(page: Any) -> str:
    page.wait_for_selector(".headline strong:visible")
    text: str = page.inner_text(".headline strong")
    return text


def test_outputs_are_pythons(site: Path, artifact: Path, serve: Serve, open_page: Open) -> None:
    model, page = Artifact(artifact), open_page(serve(site))
    for name in ("examples/1.png", "examples/2.png", "examples/3.jpg"):
        outputs, _ = page.evaluate(RUN, name)
        wanted = model.raw([model.prepare(site / name).pixels])[0]["probabilities"]
        assert np.abs(np.array(outputs["probabilities"]) - wanted).max() < 1e-5


def test_the_page_says_it(site: Path, artifact: Path, images: Path, serve: Serve, open_page: Open) -> None:
    model, asked, wrong = Artifact(artifact), [], []
    address = serve(site)

    def listen(page: Any) -> None:
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda note: wrong.append(note.text) if note.type == "error" else None)

    page = open_page(address, prepare=listen)
    page.wait_for_selector(".timing dd")
    assert page.evaluate("crossOriginIsolated")
    for image in sorted(images.iterdir()):
        page.set_input_files("#file", image)
        wanted = model.predict(image)
        page.wait_for_selector(f".headline strong:text-is({json.dumps(wanted['label'])})")
        names = page.locator(".bars .name").all_inner_texts()
        assert names == [row["label"] for row in wanted["top5"]]
    assert not wrong
    assert all(url.startswith((address, "blob:")) for url in asked)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_one_thread_where_the_host_sends_no_headers(site: Path, serve: Serve, open_page: Open) -> None:
    page = open_page(serve(site, plain=True))
    assert not page.evaluate("crossOriginIsolated")
    assert headline(page) in ("red", "green", "blue & <b>")
    page.wait_for_selector(".timing dt:text-is('thread')")


def test_a_page_without_https_says_what_is_missing(site: Path, serve: Serve, open_page: Open) -> None:
    page = open_page(serve(site, plain=True, host=ELSEWHERE))
    assert not page.evaluate("isSecureContext")
    assert "HTTPS" in page.inner_text("#hint")
    assert page.is_disabled("#camera")
    assert headline(page) in ("red", "green", "blue & <b>")


def test_without_a_network_after_the_first_time(site: Path, tmp_path: Path, browser: Any, open_page: Open) -> None:
    from threading import Thread

    from mobilevision.tools.demo.server import open_server

    server = open_server(site, host="127.0.0.1", port=0)
    Thread(target=server.serve_forever, daemon=True).start()
    page = open_page(f"http://127.0.0.1:{server.server_address[1]}/", workers=True)
    page.wait_for_selector("html[data-offline=ready]", timeout=60_000)
    first = headline(page)
    server.shutdown()
    server.server_close()
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
    assert headline(page) == first
    assert page.evaluate("crossOriginIsolated")  # the headers are kept, too


def test_a_newer_page_takes_over(
    site: Path, artifact: Path, runtime: Runtime, tmp_path: Path, serve: Serve, open_page: Open
) -> None:
    folder = shutil.copytree(site, tmp_path / "page")
    page = open_page(serve(folder), workers=True)
    page.wait_for_selector("html[data-offline=ready]", timeout=60_000)
    assert page.locator(".example").count() == 3
    shutil.rmtree(folder)
    write_page(folder, artifact, runtime)
    page.reload()
    newer = "html[data-ready=yes][data-offline=ready] #examples[hidden]"  # the one of before has examples by then
    page.wait_for_selector(newer, state="attached", timeout=60_000)
    assert page.locator(".example").count() == 0


def test_live_camera(site: Path, serve: Serve, open_page: Open) -> None:
    page = open_page(serve(site))
    page.click("#camera")
    page.wait_for_selector("html[data-camera=on]")
    page.wait_for_selector("video.picture:visible")
    page.wait_for_selector(".headline strong:visible")
    page.click("#turn")
    page.wait_for_timeout(300)
    before = page.inner_text(".timing")
    page.wait_for_selector(".timing >> text=ms")
    for _ in range(100):  # it goes on with the other one
        if page.inner_text(".timing") != before:
            break
        page.wait_for_timeout(50)
    assert page.inner_text(".timing") != before
    page.click("#hold")
    page.wait_for_selector("html[data-camera=off]")
    page.wait_for_selector("canvas.picture:visible")
    page.click("#camera")
    page.wait_for_selector("video.picture:visible")
    page.click("#camera")
    page.wait_for_selector(".empty:visible")
    assert page.is_hidden("#trouble")


def newer(folder: Path) -> None:
    about = json.loads((folder / "model/model.json").read_text(encoding="utf-8"))
    (folder / "model/model.json").write_text(json.dumps({**about, "mobilevision_artifact": 9}), encoding="utf-8")


def otherwise(folder: Path) -> None:
    about = json.loads((folder / "model/model.json").read_text(encoding="utf-8"))
    about["preprocessing"]["resize"] = "lanczos"
    (folder / "model/model.json").write_text(json.dumps(about), encoding="utf-8")


def old_browser(folder: Path) -> None:
    text = (folder / "download.js").read_text(encoding="utf-8")
    (folder / "download.js").write_text(
        text.replace("export function haveSimd() {", "export function haveSimd() { return false;")
    )


DAMAGES: list[tuple[Callable[[Path], Any], str]] = [
    (newer, "this page reads up to format 1"),
    (old_browser, "no WebAssembly SIMD"),
    (lambda folder: (folder / "model/model.onnx").unlink(), "model/model.onnx is not there"),
    (otherwise, "resize = lanczos"),
    (lambda folder: (folder / "model/model.json").unlink(), "model/model.json is not there"),
    (lambda folder: (folder / "model/model.json").write_text("{"), "not readable"),
    (lambda folder: (folder / "model/model.onnx").write_bytes(b"no"), "not the file that model.json describes"),
    (lambda folder: (folder / "runtime/ort.wasm.min.mjs").unlink(), "runtime/ort.wasm.min.mjs is not there"),
    (lambda folder: (folder / "runtime/ort-wasm-simd-threaded.wasm").unlink(), "threaded.wasm is not there"),
]


@pytest.mark.parametrize(
    ("damage", "said"),
    [pytest.param(*each, marks=pytest.mark.slow if number > 2 else ()) for number, each in enumerate(DAMAGES)],
    ids=[said for _, said in DAMAGES],
)
def test_trouble_is_a_line_on_the_page(
    site: Path, tmp_path: Path, serve: Serve, open_page: Open, damage: Callable[[Path], Any], said: str
) -> None:
    folder = shutil.copytree(site, tmp_path / "page")
    damage(folder)
    page = open_page(serve(folder))
    assert page.get_attribute("html", "data-ready") == "no"
    assert said in page.inner_text("#trouble")


def test_what_is_no_image_is_a_line_on_the_page(site: Path, tmp_path: Path, serve: Serve, open_page: Open) -> None:
    (tmp_path / "letter.png").write_text("Dear reader", encoding="utf-8")
    page = open_page(serve(site))
    page.set_input_files("#file", tmp_path / "letter.png")
    page.wait_for_selector("#trouble:visible")
    assert "cannot read letter.png" in page.inner_text("#trouble")
    page.click(".example >> nth=1")
    page.wait_for_selector("#trouble", state="hidden")
