"""mobilevision push: what goes to the hub, and one line for whatever is in the way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.exporting import push as pushing
from mobilevision.exporting.push import push, within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An exported model by its looks, with things beside it that are nobody else's business."""
    place = tmp_path / "cats"
    place.mkdir()
    (place / "model.onnx").write_bytes(b"graph")
    (place / "README.md").write_text("card")
    (place / "secrets.txt").write_text("mine")
    (place / "evaluations").mkdir()
    (place / "evaluations" / "info.json").write_text("{}")
    about = {"backbone": "mobilenet_v1", "gate": {"passed": True}}
    look, image = Preprocessing("crop", 0.875, 3, 32, 32), Port("image", "uint8", (None, 3, 32, 32))
    out = (Port("probabilities", "float32", (None, 2)),)
    file, more = ModelFile.of(place / "model.onnx"), {"decision": {}, "facts": {}, "about": about}
    Manifest("classification", "classes", "onnx", "float32", file, ("a", "b"), image, look, out, **more).write(place)
    return place


class Hub:
    """What a test puts in the hub's place."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, token: str | None = "t", error: Exception | None = None
    ) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.error = error
        hub = self

        class Api:
            def __init__(self, **given: Any) -> None:
                hub.calls.append(("login", given["token"]))

            def create_repo(self, repo: str, **given: Any) -> str:
                if hub.error is not None:
                    raise hub.error
                hub.calls.append(("create", (repo, given)))
                return f"https://hub/{repo}"

            def create_commit(self, repo: str, *, operations: Any, commit_message: str) -> None:
                sent = {each.path_in_repo: each.path_or_fileobj for each in operations}
                hub.calls.append(("commit", (repo, sent, commit_message)))

        monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
        monkeypatch.setattr("huggingface_hub.HfApi", Api)


def change(folder: Path, **about: Any) -> None:
    values = json.loads((folder / "model.json").read_text())
    values["about"] |= about
    (folder / "model.json").write_text(json.dumps(values))


def test_only_its_own_files_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    assert push(folder, "me/cats", private=True) == "https://hub/me/cats"
    assert hub.calls[:2] == [("login", "t"), ("create", ("me/cats", {"private": True, "exist_ok": True}))]
    _, (repo, sent, message) = hub.calls[2]
    assert (repo, message) == ("me/cats", "mobilenet_v1, classification")
    assert sent == {name: str(folder / name) for name in ("model.onnx", "README.md", "model.json")}


def test_a_dry_run_lists_and_sends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(monkeypatch, token=None)
    push(folder, "me/cats", dry_run=True)
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[:-1]] == ["model.onnx", "README.md", "model.json"]
    assert "nothing was sent" in said
    assert not hub.calls


def test_what_is_refused_stays_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    change(folder, gate={"passed": False})
    with pytest.raises(UserError, match="the gate refused this model"):
        push(folder, "me/cats")
    change(folder, gate=None)
    push(folder, "me/cats", dry_run=True)  # never compared: the card says so
    (folder / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md is missing"):
        push(folder, "me/cats")
    (folder / "README.md").symlink_to(folder / "secrets.txt")
    with pytest.raises(UserError, match="is a link"):
        push(folder, "me/cats")
    (folder / "model.onnx").write_bytes(b"grap")
    with pytest.raises(UserError, match="has 4 bytes instead of 5"):
        push(folder, "me/cats")
    with pytest.raises(UserError, match="not an exported model"):
        push(folder / "evaluations", "me/cats")
    assert not hub.calls


@pytest.mark.parametrize("repo", ["cats", "me/cats/more", "/cats", "me/", "https://me/cats", "me/c ats"])
def test_a_repository_has_a_user_and_a_name(folder: Path, repo: str) -> None:
    with pytest.raises(UserError, match="it has to be USER/NAME"):
        push(folder, repo, dry_run=True)


def test_without_a_login_it_says_how_to_get_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch, token=None)
    with pytest.raises(UserError, match="run `hf auth login`, or set HF_TOKEN"):
        push(folder, "me/cats")


class Refusal(Exception):  # noqa: N818 - as the hub's errors look
    """An answer of the hub that is none of success."""

    def __init__(self, status: int) -> None:
        super().__init__("two\nlines")
        self.response = type("Response", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (ConnectionError("no route\nto host"), r"cannot be reached \(no route to host\): nothing was changed"),
        (Refusal(403), r"does not let this login write there \(403\)"),
        (Refusal(500), r"the hub says no \(500: two lines\)"),
    ],
)
def test_what_the_hub_answers_is_one_line(
    folder: Path, error: Exception, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub(monkeypatch, error=error)
    with pytest.raises(UserError, match=complaint) as caught:
        push(folder, "me/cats")
    assert "\n" not in str(caught.value)


def test_a_hub_that_hangs_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"did not answer within 0\.05 seconds"):
        within(0.05, lambda: time.sleep(5))
    assert pushing.PATIENCE <= 15
    assert within(5, lambda: 3) == 3
