"""What somebody asks for and cannot have: one line, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilevision.errors import UserError
from mobilevision.runs.exporting.target import workplace


@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_a_place_where_no_folder_can_be(place: str, tmp_path: Path) -> None:
    if place.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*out: no folder can be made there"), workplace(tmp_path / place):
        raise AssertionError("never reached")
