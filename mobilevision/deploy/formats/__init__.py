"""The formats of exported models, one small class each."""

from __future__ import annotations

from difflib import get_close_matches

from mobilevision.deploy.formats.base import Format, Runner
from mobilevision.deploy.formats.executorch import ExecuTorch
from mobilevision.deploy.formats.litert import LiteRT
from mobilevision.deploy.formats.micro import Micro
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.openvino import OpenVino
from mobilevision.errors import UserError

__all__ = ["FORMATS", "Format", "Runner", "find_format"]

FORMATS: dict[str, Format] = {each.name: each for each in (Onnx(), OpenVino(), ExecuTorch(), LiteRT(), Micro())}
"""By name, as ``--format`` and model.json know them."""


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        UserError: there is none.
    """
    if name not in FORMATS:
        near = get_close_matches(name.lower(), FORMATS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"format {name}: {hint}there are {', '.join(FORMATS)}")
    return FORMATS[name]
