"""What an export is asked for, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import InputType

_TYPES: dict[str, InputType] = {"uint8": "uint8", "float": "float32"}
_LEAST = {"gate_samples": 0, "calibration_samples": 1, "finetune_epochs": 0}


def input_type(name: str) -> InputType:
    """The type of the pixels that go in.

    Raises:
        UserError: another than the graph can take.
    """
    if name not in _TYPES:
        raise UserError(f"input={name}: there are {', '.join(_TYPES)}")
    return _TYPES[name]


def check_numbers(**numbers: int | None) -> None:
    """See that numbers of pictures and epochs are some; None leaves one open.

    Raises:
        UserError: too small a number.
    """
    for name, value in numbers.items():
        if value is not None and value < _LEAST[name]:
            raise UserError(f"{name}={value}: it has to be at least {_LEAST[name]}")


def check_comparable(run: str | Path | Sequence[str], samples: int | None, max_drop: float | None) -> None:
    """See that there are pictures to compare on, where somebody says how to compare.

    Raises:
        UserError: weights without data, with an option of the gate.
    """
    from mobilevision.runs.exporting.weights import names_data

    if isinstance(run, str | Path) or names_data(run):
        return
    given = f"--gate-samples {samples}" if samples else f"--max-drop {max_drop:g}" if max_drop is not None else None
    if given is not None:
        raise UserError(f"{given}: weights bring no pictures to compare on: add data=auto data.root=PICTURES")
