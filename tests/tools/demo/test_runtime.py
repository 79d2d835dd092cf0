"""Where onnxruntime-web's files come from."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest

from mobilevision.errors import UserError
from mobilevision.tools.demo import runtime
from mobilevision.tools.demo.runtime import FILES, GPU_FILES, VARIABLE, find_runtime


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(runtime, "user_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def put(folder: Path, names: tuple[str, ...] = FILES) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("v9.9.9", encoding="utf-8")
    return folder


@pytest.mark.parametrize("below", ["", "dist", "onnxruntime-web/dist", "node_modules/onnxruntime-web/dist"])
def test_a_folder_that_a_user_names(tmp_path: Path, below: str) -> None:
    there = put(tmp_path / "mine" / below) if below else put(tmp_path / "mine")
    assert find_runtime(tmp_path / "mine") == (there, "9.9.9")


def test_a_folder_with_the_build_for_the_gpu(tmp_path: Path) -> None:
    assert find_runtime(put(tmp_path / "mine")).files == FILES
    assert find_runtime(put(tmp_path / "both", FILES + GPU_FILES)).files == FILES + GPU_FILES


def test_the_environment_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(put(tmp_path / "mine")))
    assert find_runtime().folder == tmp_path / "mine"


def test_the_packages_own_word_for_its_version(tmp_path: Path) -> None:
    put(tmp_path / "package" / "dist")
    about = {"name": "onnxruntime-web", "version": "1.30.7"}
    (tmp_path / "package/package.json").write_text(json.dumps(about), encoding="utf-8")
    assert find_runtime(tmp_path / "package").version == "1.30.7"


def test_a_folder_without_them_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ort.wasm.min.mjs.* not in it"):
        find_runtime(tmp_path)


def test_without_npm_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"install Node.js; or `--runtime FOLDER`"):
        find_runtime()


def npm(folder: Path, script: str) -> None:
    """A program of that name which does as it is told."""
    folder.mkdir(exist_ok=True)
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "npm").chmod(stat.S_IRWXU)


def test_npm_is_asked_once(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "package" / "dist", FILES + GPU_FILES)
    (tmp_path / "package/package.json").write_text('{"name": "onnxruntime-web", "version": "1.30.0"}', encoding="utf-8")
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as packed:
        packed.add(tmp_path / "package", "package")
    npm(tmp_path / "bin", f'/bin/echo asked >> "{tmp_path}/log"; /bin/cp "{tmp_path}/packed.tgz" "$4/one.tgz"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for _ in range(2):
        assert find_runtime().version == "1.30.0"
    assert (tmp_path / "log").read_text(encoding="utf-8").split() == ["asked"]
    assert {path.name for path in next(own_cache.iterdir()).iterdir()} == {*FILES, *GPU_FILES, "package.json"}


def test_what_npm_complains_of_is_told(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path / "bin", "echo 'npm error code ENOTFOUND' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match=r"ENOTFOUND.*--runtime FOLDER"):
        find_runtime()
    assert not list(own_cache.iterdir())
