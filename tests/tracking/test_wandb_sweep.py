"""The sweep file of examples/ under the real ``wandb sweep`` and ``wandb agent``, with a stand-in for the server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (0.25, 0.35)
SMALL = ["data.format.train=32", "data.format.val=16", "data.format.test=16", "data.batch_size=16", "data.workers=0"]
SMALL += ["data.resolution=32", "trainer=cpu", "trainer.max_epochs=1", "callbacks.pictures.enabled=false"]


class Server(ThreadingHTTPServer):
    """Keeps one sweep, hands its agent a run for every width, one after the other, and then lets it go."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.config, self.given = "", 0

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What the server says to an operation of GraphQL; nothing to those that do not matter."""
        match operation:
            case "Viewer":
                return {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
            case "UpsertSweep":
                self.config = variables["config"]
                project = {"id": "p", "name": "demo", "entity": {"id": "e", "name": "me"}}
                made = {"id": "s", "name": "abc", "project": project}
                return {"upsertSweep": {"sweep": made, "configValidationWarnings": []}}
            case "SweepWithRuns":
                keys = (
                    "displayName",
                    "description",
                    "createdAt",
                    "heartbeatAt",
                    "updatedAt",
                    "controller",
                    "scheduler",
                )
                sweep = {**dict.fromkeys(keys), "id": "s", "name": "abc", "state": "RUNNING", "config": self.config}
                empty: dict[str, Any] = {"edges": []}
                sweep |= {"earlyStopJobRunning": False, "priorRuns": empty, "runs": empty}
                return {"project": {"sweep": sweep}}
            case "CreateAgent":
                return {"createAgent": {"agent": {"id": "agent"}}}
            case "Heartbeat":
                running = json.loads(variables.get("runState") or "{}")
                commands = [] if running else [self._next()]
                return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}
            case "GetSweepState":
                return {"project": {"sweep": {"state": "RUNNING"}}}
        return {}

    def _next(self) -> dict[str, Any]:
        if self.given == len(WIDTHS):
            return {"type": "exit"}
        self.given += 1
        chosen = {"backbone.width": {"value": WIDTHS[self.given - 1]}, "optimizer.lr": {"value": 0.003}}
        return {"type": "run", "run_id": f"chosen{self.given}", "program": "train.py", "args": chosen}


class Handler(BaseHTTPRequestHandler):
    """Answers GraphQL as the server says, and everything else with an empty object."""

    server: Server

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer: dict[str, Any] = {}
        if self.path.endswith("/graphql"):
            asked = json.loads(sent)
            named = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            answer = {"data": self.server.answer(named[1] if named else "", asked.get("variables") or {})}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.slow
def test_an_agent_trains_what_the_server_chooses(server: Server, tmp_path: Path) -> None:
    sweep = yaml.safe_load((ROOT / "examples" / "wandb_sweep.yaml").read_text(encoding="utf-8"))
    place = sweep["command"].index("${program}")
    sweep["command"][place] = str(ROOT / "train.py")  # the agent works in a folder of its own here
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**sweep, "command": [*sweep["command"], *SMALL]}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": "k" * 40}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment |= {"WANDB_MODE": "offline", "HOME": str(tmp_path)}

    def wandb(*words: str) -> str:
        command = [sys.executable, "-m", "wandb", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "wandb agent me/demo/abc" in wandb("sweep", "--project", "demo", "sweep.yaml")
    said = wandb("agent", "me/demo/abc")
    runs = sorted((tmp_path / "outputs" / "classification").iterdir())
    assert len(runs) == len(WIDTHS), said
    for number, (run, width) in enumerate(zip(runs, WIDTHS, strict=True), 1):
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        assert (config["backbone"]["width"], config["optimizer"]["lr"]) == (width, 0.003)
        assert (run / "wandb" / "id").read_text().strip() == f"chosen{number}", "W&B knows the run by the agent's id"
        assert len(list((run / "wandb").glob(f"offline-run-*-chosen{number}"))) == 1
