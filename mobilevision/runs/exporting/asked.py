"""What an export is asked for, checked before any work."""

from __future__ import annotations

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
