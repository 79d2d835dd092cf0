"""A safetensors file that is damaged, or that a stranger wrote, is one line, and takes no memory that it claims."""

from __future__ import annotations

import json
import resource
import struct
from pathlib import Path
from typing import Any

import pytest

from mobilevision.backbones.weights import read_file
from mobilevision.errors import UserError

TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
MOST_BYTES = 500_000_000  # that reading one may add


def header(content: bytes, length: int | None = None) -> bytes:
    """A file's header behind the number of bytes that it claims to have."""
    return struct.pack("<Q", len(content) if length is None else length) + content


def file_of(metadata: Any, tensor: dict[str, Any] = TENSOR) -> bytes:
    """A file of one tensor of two floats."""
    return header(json.dumps({"__metadata__": metadata, "a": tensor}).encode()) + bytes(8)


GOOD = json.dumps({"a": TENSOR}).encode()
FILES = {
    "a header of 4 EiB": header(GOOD, 2**62) + bytes(8),
    "a header of 90 MB": header(GOOD, 90_000_000) + bytes(8),
    "a header that is no JSON": header(b"{nope") + bytes(8),
    "a header that is no text": header(b"\xff\xfe{}") + bytes(8),
    "metadata that are a list": file_of([1]),
    "metadata that are no texts": file_of({"preset": 1}),
    "cut off": header(GOOD) + bytes(3),
    "empty": b"",
    "two bytes": b"\1\2",
    "a tensor of 4 TiB": file_of({}, {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
    "a shape below zero": file_of({}, {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}),
    "a preset that is no JSON": file_of({"preset": "{"}),
    "a preset without end": file_of({"preset": "[" * 5_000 + "]" * 5_000}),
    "a preset that is a list": file_of({"preset": "[1]"}),
    "a preset that is a number": file_of({"preset": "3"}),
    "a preset with a key of its own": file_of({"preset": '{"resize": 3}'}),
    "a preset with a text for a number": file_of({"preset": '{"side": "x"}'}),
    "a preset out of range": file_of({"preset": '{"crop": 0}'}),
    "a preset of thousands of digits": file_of({"preset": '{"side": 1' + "0" * 6_000 + "}"}),
    "a preset of too many digits": file_of({"preset": '{"side": 1' + "0" * 400 + "}"}),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_it_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    with pytest.raises(UserError) as failure:
        read_file(file)
    assert "weights.safetensors: " in str(failure.value)
    assert "\n" not in str(failure.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 - before < MOST_BYTES
