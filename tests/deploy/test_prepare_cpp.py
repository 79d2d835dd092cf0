"""examples/consumer/prepare.hpp: the input of a model in C++, equal to Python's to the last pixel."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from mobilevision.deploy.preprocessing import Preprocessing

HEADER = Path(__file__).resolve().parents[2] / "examples" / "consumer" / "prepare.hpp"
PROGRAM = """#include "prepare.hpp"
#include <cstdio>
#include <cstdlib>
int main(int, char** words) {  // fit crop channels height width, image width height; RGB in, the input out
  using namespace mobilevision;
  const Preprocessing how{Fit(std::atoi(words[1])), std::atof(words[2]), std::atoi(words[3]), std::atoi(words[4]),
                          std::atoi(words[5])};
  const int width = std::atoi(words[6]), height = std::atoi(words[7]);
  std::vector<uint8_t> rgb(size_t(width) * height * 3);
  if (std::fread(rgb.data(), 1, rgb.size(), stdin) != rgb.size()) return 1;
  const std::vector<uint8_t> input = Prepare(rgb.data(), width, height, how);
  std::fwrite(input.data(), 1, input.size(), stdout);
}
"""
FITS = ("crop", "stretch", "letterbox")
SIZES = [(37, 53), (480, 640), (640, 361), (5, 900), (900, 7), (96, 96), (1, 1), (97, 96), (30, 20)]
INPUTS = [(96, 96), (64, 160), (33, 31)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if which("g++") is None:
        pytest.skip("there is no C++ compiler (g++)")
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "main.cc").write_text(PROGRAM)
    line = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{HEADER.parent}"]
    subprocess.run([*line, "main.cc", "-o", "program"], cwd=folder, check=True)
    return folder / "program"


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_is_pythons(fit: str, channels: int, size: tuple[int, int], program: Path) -> None:
    image = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)
    for height, width in INPUTS:
        for crop in (0.875, 1.0) if fit == "crop" else (1.0,):
            expected = Preprocessing(fit, crop, channels, height, width).prepare(image).pixels
            words = [FITS.index(fit), crop, channels, height, width, size[1], size[0]]
            done = subprocess.run([program, *map(str, words)], input=image.tobytes(), capture_output=True, check=True)
            found = np.frombuffer(done.stdout, np.uint8).reshape(channels, height, width)
            np.testing.assert_array_equal(found, expected)
