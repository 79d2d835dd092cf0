"""The demo's own server."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mobilevision.errors import UserError
from mobilevision.tools.demo.server import open_server
from tests.tools.demo.conftest import Serve
from tests.tools.demo.test_files import artifact


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.wasm", "application/wasm"),
        ("a.onnx", "application/octet-stream"),
        ("a.json", "application/json"),
        ("a.html", "text/html"),
    ],
)
def test_types_and_headers(tmp_path: Path, serve: Serve, name: str, kind: str) -> None:
    (tmp_path / name).write_text("x", encoding="utf-8")
    with urlopen(serve(tmp_path) + name, timeout=10) as answer:
        assert answer.headers.get_content_type() == kind
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize("path", ["folder/", "../secret", "%2e%2e/secret", "none"])
def test_only_the_pages_files_are_handed_out(tmp_path: Path, serve: Serve, path: str) -> None:
    (tmp_path / "page/folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    with pytest.raises(HTTPError, match="404"):
        urlopen(serve(tmp_path / "page") + path, timeout=10)


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="another program listens there; --port 0"):
            open_server(tmp_path, host="127.0.0.1", port=taken.getsockname()[1])


def test_a_host_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--host 192.0.2.1 .*cannot listen there"):
        open_server(tmp_path, host="192.0.2.1", port=0)


def test_the_command_serves_until_it_is_stopped(tmp_path: Path, no_runtime: Path) -> None:
    code = "import sys; sys.argv[0] = 'mobilevision'; from mobilevision.cli.commands import main; main()"
    command = [sys.executable, "-c", code, "demo", str(artifact(tmp_path / "model")), "--port", "0"]
    environment = {**os.environ, "MOBILEVISION_ORT_WEB": str(no_runtime), "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stdout is not None
        lines = [running.stdout.readline(), running.stdout.readline()]
        address = re.search(r"http://localhost:(\d+)/", lines[1])
        assert address, lines
        with urlopen(f"http://127.0.0.1:{address[1]}/model/model.json", timeout=120) as answer:
            assert answer.status == 200
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate()
        assert (running.returncode, errors) == (0, "")
    finally:
        running.kill()
    assert not list(tmp_path.glob("mobilevision-demo-*"))


def test_a_page_that_is_closed_while_it_loads_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(50_000_000))
    before = set(threading.enumerate())
    with open_server(tmp_path, host="127.0.0.1", port=0) as server:
        client = socket.create_connection(("127.0.0.1", server.server_address[1]))
        client.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
        server.handle_request()  # a thread of its own writes the answer
        (answering,) = set(threading.enumerate()) - before
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close is a reset then
        client.recv(100)
        client.close()
        answering.join()
    assert capsys.readouterr().err == ""
