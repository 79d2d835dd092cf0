"""``--environment``: the same command in another environment, made where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobilevision.exporting import environment
from mobilevision.exporting.environment import NOTE, own_requirement
from mobilevision.version import __version__


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "mobilevision", "export", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def made(folder: Path, extra: str, script: str) -> Path:
    """An environment that is complete, as its note says, whose Python is a script."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    wanted = {"mobilevision": __version__, "install": own_requirement(extra)}
    (folder / NOTE).write_text(json.dumps(wanted), encoding="utf-8")
    return folder


@pytest.mark.parametrize("spelling", [["--environment", "{}"], ["--environment={}"]])
def test_the_same_words_are_run_there_and_its_exit_code_is_ours(spelling: list[str], tmp_path: Path) -> None:
    folder = made(tmp_path / "there", "micro", 'echo "$@"; exit 1')
    words = [each.format(folder) for each in spelling]
    done = command("a run", "--for", "micro", *words, "--max-arena", "9k")
    assert (done.returncode, done.stdout) == (1, "-m mobilevision export a run --for micro --max-arena 9k\n")


def test_auto_is_a_folder_of_the_users_cache_by_what_is_installed(tmp_path: Path) -> None:
    made(tmp_path / "mobilevision" / "environments" / "litert", "litert", "echo here")
    done = command("run", "--format", "litert", "--environment", "auto", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "here\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--for", "micro", "--environment", "{full}"], "holds other things; name a new folder, or auto"),
        (["--format", "litter", "--environment", "auto"], "did you mean litert?"),
        (["--for", "mikro", "--environment", "auto"], "did you mean micro?"),
        (["--for", "micro", "--environment", "{file}/x"], "no folder can be made there"),
    ],
)
def test_mistakes_are_one_line(words: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    (tmp_path / "file").write_text("")
    filled = [each.format(full=tmp_path / "full", file=tmp_path / "file") for each in words]
    done = command("run", *filled)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_without_a_package_index_it_says_so_and_what_is_there_is_kept(tmp_path: Path) -> None:
    words = ["run", "--for", "micro", "--environment", str(tmp_path / "there")]
    for _ in range(2):
        done = command(*words, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS=str(tmp_path))
        assert done.returncode == 1
        assert "the package index has to be reached once" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "there" / "bin" / "python").exists()


@pytest.mark.parametrize(
    ("origin", "installed"),
    [
        (None, [f"mobilevision[micro]=={__version__}"]),
        ({"url": "file:///a%20b/c", "dir_info": {"editable": True}}, ["-e", "/a b/c[micro]"]),
        ({"url": "file:///a/m.whl", "archive_info": {}}, ["mobilevision[micro] @ file:///a/m.whl"]),
        (
            {"url": "https://host/m.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            ["mobilevision[micro] @ git+https://host/m.git@abc"],
        ),
    ],
)
def test_it_installs_what_is_installed_here(
    origin: dict[str, object] | None, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return json.dumps(origin) if origin and name == "direct_url.json" else None

    monkeypatch.setattr(environment, "distribution", lambda name: Installed())
    assert own_requirement("micro") == installed
