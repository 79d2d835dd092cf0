"""What an export for a kind of device takes, where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from mobilevision.errors import UserError


@final
@dataclass(frozen=True)
class Target:
    """A kind of device.

    Attributes:
        why: of what is chosen, in a few words.
        options: of :func:`mobilevision.export`, by name.
        raw: whether suppression of boxes is left to whoever runs the file.
        no_int8: why it takes no int8; empty where it does.
    """

    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False
    no_int8: str = ""


TARGETS: dict[str, Target] = {
    "browser": Target("ONNX Runtime Web takes any batch", {"format": "onnx"}),
    "opencv": Target(
        "its blobs are of floats, OpenCV 4 takes no open size and no suppression",
        {"format": "onnx", "batch": 1, "input": "float"},
        raw=True,
        no_int8="OpenCV 5 gives other numbers for such files, and no error",
    ),
    "phone": Target("NNAPI and Core ML take no open size", {"format": "onnx", "batch": 1}),
    "pi": Target("one image at a time, in int8 on ARM", {"format": "onnx", "batch": 1, "quantize": "int8"}),
    "server": Target("any batch", {"format": "onnx"}),
}
"""By name, as ``--for`` takes them."""


def find_target(name: str) -> Target:
    """The target of this name.

    Raises:
        UserError: there is none.
    """
    if name not in TARGETS:
        raise UserError(f"--for {name}: there are {', '.join(TARGETS)}")
    return TARGETS[name]


def spelled(options: Mapping[str, Any]) -> str:
    """Options as they are typed: ``--format onnx --batch 1``; what is off is left out."""
    words = [f"--{name}" if value is True else f"--{name} {value}" for name, value in options.items() if value]
    return " ".join(words)
