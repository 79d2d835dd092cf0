"""What somebody asks for and cannot have: one line, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mobilevision.errors import UserError
from mobilevision.exporting.command import export, workplace


@pytest.mark.parametrize("place", ["file/out", "/proc/out"])
def test_a_place_where_no_folder_can_be(place: str, tmp_path: Path) -> None:
    if place.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*out: no folder can be made there"), workplace(tmp_path / place):
        raise AssertionError("never reached")


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"input": "uint16"}, "input=uint16: there are uint8, float"),
        ({"gate_samples": -5}, "gate_samples=-5: it has to be at least 0"),
        ({"quantize": "int8", "calibration_samples": 0}, "calibration_samples=0: it has to be at least 1"),
        ({"quantize": "int8", "finetune_epochs": -1}, "finetune_epochs=-1: it has to be at least 0"),
    ],
)
def test_an_argument_that_is_none(asked: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=f"^{complaint}$"):
        export("nowhere", **asked)
