"""A real browser, the real runtime, and pages to open in it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final

import pytest

import mobilevision.tools.demo.files as files
from mobilevision.errors import UserError
from mobilevision.tools.demo.runtime import FILES, Runtime, find_runtime

Serve = Callable[..., str]
ELSEWHERE = "page.test"  # a name that browsers do not take for this machine, though it leads here


@final
class Plain(SimpleHTTPRequestHandler):
    """A host that knows nothing of threads: no headers beyond the usual ones."""

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """onnxruntime-web, fetched once into the user's cache; or skip."""
    try:
        return find_runtime()
    except UserError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")


@pytest.fixture
def no_runtime(tmp_path: Path) -> Path:
    """A folder with files of its names, for what only copies them."""
    folder = tmp_path / "ort"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("/* ONNX Runtime Web v1.2.3 */", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts Chromium without a window, with the words of a command line; or skip."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as running:
        yield lambda *words: running.chromium.launch(executable_path=program, args=["--no-sandbox", *words])


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """One with two cameras that show a test image."""
    camera = ["--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"]
    found = launch(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", *camera)
    yield found
    found.close()


@pytest.fixture(scope="session")
def gpu_browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """One with a GPU that software stands in for."""
    found = launch("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    yield found
    found.close()


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Serves a folder, with the demo's own server or a plain one; gives the address."""
    from mobilevision.tools.demo.server import open_server

    with ExitStack() as running:

        def start(folder: Path, *, plain: bool = False, host: str = "127.0.0.1") -> str:
            if plain:
                server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Plain(*given, directory=str(folder)))
            else:
                server = open_server(folder, host="127.0.0.1", port=0)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            running.callback(server.server_close)
            running.callback(server.shutdown)
            return f"http://{host}:{server.server_address[1]}/"

        yield start


@pytest.fixture(scope="module")
def page(browser: Any, serve: Serve) -> Iterator[Any]:
    """The page's own files alone, in the browser: what is tried there imports them."""
    context = browser.new_context(service_workers="block")
    found = context.new_page()
    found.goto(serve(Path(files.__file__).parent / "page"))
    yield found
    context.close()
