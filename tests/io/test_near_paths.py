"""A mistyped path is told with the one that was meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mobilevision.io.near_paths import did_you_mean_path, near_path


def test_the_first_missing_part_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "clothing" / "train").mkdir(parents=True)
    (tmp_path / ".clothin").mkdir()
    assert near_path(tmp_path / "clothin" / "train") == tmp_path / "clothing" / "train"
    assert near_path(tmp_path / "clothing" / "trian") == tmp_path / "clothing" / "train"
    assert near_path(tmp_path / "clothin" / "val") is None  # clothing has none
    assert near_path(tmp_path / "clothing") is None  # it is there
    assert near_path(tmp_path / "flowers") is None
    assert near_path("") is None
    assert did_you_mean_path(tmp_path / "clothin") == f"; did you mean {tmp_path / 'clothing'}?"
    assert did_you_mean_path("/flowers/of/nowhere") == ""


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["data=auto", "data.root={}"], "data.root"),
        (
            ["task=multitask", "parts.a=classification", "parts.a.data=auto", "parts.a.data.root={}"],
            "parts.a.data.root",
        ),
    ],
)
def test_a_mistyped_root_is_told_before_torch_is_loaded(words: list[str], key: str, tmp_path: Path) -> None:
    (tmp_path / "clothing").mkdir()
    code = "import sys; from mobilevision.cli.main import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    line = [sys.executable, "-c", code, *(word.format(tmp_path / "clothin") for word in words), "logger=none"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "False\n")
    told = f"error: {key}={tmp_path / 'clothin'}: no such file or folder; did you mean {tmp_path / 'clothing'}?\n"
    assert done.stderr == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clothing"]
