"""What an export for a kind of device takes, where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from mobilevision.config.names import did_you_mean
from mobilevision.deploy.formats import find_format
from mobilevision.errors import UserError


@final
@dataclass(frozen=True)
class Target:
    """A kind of device.

    Attributes:
        why: of what is chosen, in a few words.
        options: of :func:`mobilevision.export`, by name, that are not as usual.
        raw: whether suppression of boxes is left to whoever runs the file.
        no_int8: why it takes no int8; empty where it does.
        misread: by ONNX's operator, why it gives other numbers for a file that has it.
    """

    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False
    no_int8: str = ""
    misread: Mapping[str, str] = field(default_factory=dict)

    def check(self, name: str, path: Path) -> None:
        """See that nothing in a written file is misread.

        Raises:
            UserError: something is.
        """
        if self.misread:
            import onnx

            used = {node.op_type for node in onnx.load(path).graph.node}
            for operator in used & self.misread.keys():
                raise UserError(f"--for {name}: {self.misread[operator]}")


TARGETS: dict[str, Target] = {
    "browser": Target("ONNX Runtime Web takes any batch"),
    "micro": Target("boards without an operating system compute in whole numbers", {"format": "micro"}, raw=True),
    "opencv": Target(
        "blobs of floats; OpenCV 4 takes no open size, and suppression is left out where there is some",
        {"batch": 1, "input": "float"},
        raw=True,
        no_int8="OpenCV 5 gives other numbers for such files, and no error",
        misread={
            "HardSigmoid": "OpenCV 4.12 and 5.0 take the gates of MobileNet V3 for hard-swish and give other numbers,"
            " and no error: train another backbone for it"
        },
    ),
    "phone": Target("NNAPI and Core ML take no open size", {"batch": 1}),
    "pi": Target("one image at a time; int8 is a quarter of the file", {"batch": 1, "quantize": "int8"}),
    "server": Target("any batch"),
}
"""By name, as ``--for`` takes them."""


_USUAL = {"format": "onnx", "quantize": "float32", "input": "uint8", "batch": None}


def chosen(target: Target, given: Mapping[str, Any]) -> dict[str, Any]:
    """``format``, ``quantize``, ``input`` and ``batch``: as given, else as the target has them, else as usual."""
    typed = {key: value for key, value in given.items() if value is not None}
    found = {**_USUAL, **target.options, **typed}
    if found["format"] != "onnx" and "batch" not in typed:
        found["batch"] = None  # other formats have their own
    form = find_format(found["format"])
    if "quantize" not in typed and len(form.precisions) == 1:
        (found["quantize"],) = form.precisions
    return found


def find_target(name: str) -> Target:
    """The target of this name.

    Raises:
        UserError: there is none.
    """
    if name not in TARGETS:
        raise UserError(f"--for {name}{did_you_mean(name, TARGETS)}")
    return TARGETS[name]


def spelled(options: Mapping[str, Any]) -> str:
    """Options as they are typed: ``--format onnx --batch 1``; what is off is left out."""
    words = [f"--{name}" if value is True else f"--{name} {value}" for name, value in options.items() if value]
    return " ".join(words)
