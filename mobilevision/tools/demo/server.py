"""A server for the page: right types for its files, and the headers with which browsers allow threads."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final

from mobilevision.errors import UserError

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
"""The first two set the page apart from others in the browser, which threads take."""

_EVERYWHERE = ("0.0.0.0", "::", "")


@final
class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as its base has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
        ".json": "application/json",
        ".webmanifest": "application/manifest+json",
        ".svg": "image/svg+xml",
        ".webp": "image/webp",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with suppress(ConnectionError):  # a page that is closed while it loads is no error
            super().copyfile(source, outputfile)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args  # a line a request would bury the address


@final
class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def open_server(folder: Path, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server for the files of a folder, not yet serving.

    Raises:
        UserError: it cannot listen there.
    """
    kind = _Server6 if ":" in host else ThreadingHTTPServer
    try:
        return kind((host, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: another program listens there; --port 0 takes a free one") from None
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error.strerror or error})") from None
    except OverflowError:
        raise UserError(f"--port {port}: ports are 0 to 65535") from None


def serve(folder: Path, *, host: str, port: int) -> None:
    """Serve until Ctrl-C, saying where.

    Raises:
        UserError: it cannot listen there.
    """
    with open_server(folder, host=host, port=port) as server:
        taken = server.server_address[1]
        shown = "localhost" if host in (*_EVERYWHERE, "127.0.0.1") else f"[{host}]" if ":" in host else host
        print(f"open http://{shown}:{taken}/ (Ctrl-C stops it)", flush=True)
        if host not in ("127.0.0.1", "localhost", "::1"):
            print("other devices get no camera, no threads and nothing offline: browsers allow these over HTTPS only")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
