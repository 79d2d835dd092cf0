"""The same image in Python, C++, Kotlin and the demo page's JavaScript: the same input of a model, to the pixel."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from shutil import which

import numpy as np
import PIL
import pytest

import mobilevision.tools.demo.files as demo
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.images.framing import FITS

CONSUMER = Path(__file__).resolve().parents[2] / "examples" / "consumer"
SIZES = [(37, 53), (480, 640), (640, 361), (5, 900), (900, 7), (96, 96), (1, 1), (97, 96), (30, 20)]
INPUTS = [(96, 96), (64, 160), (33, 31)]

# Each program takes a file of lines "fit crop channels height width image-width image-height" and RGB of all images on
# its standard input; it writes input after input, each with the four numbers that lead back to the image.
CPP = """#include "prepare.hpp"
#include <cstdio>
#include <fstream>
#include <string>
int main(int, char** words) {
  using namespace mobilevision;
  std::ifstream lines(words[1]);
  std::string fit;
  Preprocessing how{};
  int width, height;
  while (lines >> fit >> how.crop >> how.channels >> how.height >> how.width >> width >> height) {
    how.fit = fit == "crop" ? Fit::kCrop : fit == "stretch" ? Fit::kStretch : Fit::kLetterbox;
    std::vector<uint8_t> rgb(size_t(width) * height * 3);
    if (std::fread(rgb.data(), 1, rgb.size(), stdin) != rgb.size()) return 1;
    const Prepared found = Prepare(rgb.data(), width, height, how);
    const double back[] = {found.scale_x, found.scale_y, found.shift_x, found.shift_y};
    std::fwrite(found.input.data(), 1, found.input.size(), stdout);
    std::fwrite(back, sizeof(double), 4, stdout);
  }
}
"""
KOTLIN = """import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import mobilevision.*
fun main(words: Array<String>) {
    val given = ByteBuffer.wrap(System.`in`.readBytes())
    if (words.size > 1) { // a plane: width, height, stride of rows, of pixels, degrees
        val (width, height, row, pixel, degrees) = words.map { it.toInt() }
        System.out.write(upright(given, width, height, row, pixel, degrees).data)
        System.out.flush()
        return
    }
    File(words[0]).forEachLine {
        val line = it.split(" ")
        val (height, width, wide, high) = line.drop(3).map { word -> word.toInt() }
        val argb = IntArray(wide * high) {
            val (red, green, blue) = List(3) { given.get().toInt() and 255 }
            (0x7F shl 24) or (red shl 16) or (green shl 8) or blue
        }
        val how = Preprocessing(line[0], line[1].toDouble(), line[2].toInt(), height, width)
        val found = prepare(upright(argb, wide, high), how)
        val back = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN)
        listOf(found.scaleX, found.scaleY, found.shiftX, found.shiftY).forEach { number -> back.putDouble(number) }
        System.out.write(found.input)
        System.out.write(back.array())
    }
    System.out.flush()
}
"""
JAVASCRIPT = """import { readFileSync, writeSync } from "node:fs";
import { prepare } from "./preprocess.js";
const given = readFileSync(0);
let at = 0;
for (const line of readFileSync(process.argv[2], "utf8").trim().split("\\n")) {
  const [fit, ...numbers] = line.split(" ");
  const [crop, channels, height, width, wide, high] = numbers.map(Number);
  const data = new Uint8ClampedArray(4 * wide * high).fill(255);
  for (let k = 0; k < data.length; k++) if (k % 4 !== 3) data[k] = given[at++];
  const found = prepare({ data, width: wide, height: high }, { fit, crop, channels, height, width, fill: 127 });
  const { scaleX, scaleY, shiftX, shiftY } = found.toPicture;
  const bytes = Buffer.concat([found.pixels, Buffer.from(new Float64Array([scaleX, scaleY, shiftX, shiftY]).buffer)]);
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(1, bytes, sent);
}
"""


def needs(*programs: str) -> None:
    for program in programs:
        if which(program) is None:
            pytest.skip(f"there is no {program}")


def compiled(folder: Path, *words: str) -> None:
    needs("g++")
    line = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{CONSUMER}"]
    subprocess.run([*line, *words], cwd=folder, check=True)


def cpp(folder: Path) -> list[str]:
    (folder / "main.cc").write_text(CPP)
    compiled(folder, "main.cc", "-o", "program")
    return [str(folder / "program")]


def kotlin(folder: Path) -> list[str]:
    needs("kotlinc", "kotlin", "java")
    (folder / "Main.kt").write_text(KOTLIN)
    line = ["kotlinc", "-Werror", str(CONSUMER / "Prepare.kt"), "Main.kt", "-d", "classes"]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return ["kotlin", "-cp", str(folder / "classes"), "MainKt"]


def javascript(folder: Path) -> list[str]:
    needs("node")
    page = shutil.copytree(Path(demo.__file__).parent / "page", folder / "page")
    (page / "package.json").write_text('{"type": "module"}')
    (page / "program.mjs").write_text(JAVASCRIPT)
    return ["node", str(page / "program.mjs")]


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a language's program."""
    make: Callable[[Path], list[str]] = request.param
    return make(tmp_path_factory.mktemp(make.__name__))


def cases(fit: str) -> Iterator[tuple[Preprocessing, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]]:
    for size, channels, (height, width) in product(SIZES, (3, 1), INPUTS):
        image = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)
        for crop in (0.875, 1.0) if fit == "crop" else (1.0,):
            yield Preprocessing(fit, crop, channels, height, width), image


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 resizes tall images otherwise")
@pytest.mark.parametrize("program", [cpp, kotlin, javascript], indirect=True, ids=lambda make: make.__name__)
@pytest.mark.parametrize("fit", FITS)
def test_every_pixel_is_pythons(fit: str, program: list[str], tmp_path: Path) -> None:
    asked = list(cases(fit))
    (tmp_path / "cases").write_text(
        "".join(
            f"{how.fit} {how.crop} {how.channels} {how.height} {how.width} {image.shape[1]} {image.shape[0]}\n"
            for how, image in asked
        )
    )
    images = b"".join(image.tobytes() for _, image in asked)
    done = subprocess.run([*program, str(tmp_path / "cases")], input=images, capture_output=True, check=True)
    rest = done.stdout
    for how, image in asked:
        wanted = how.prepare(image)
        end = wanted.pixels.size
        found = np.frombuffer(rest[:end], np.uint8).reshape(wanted.pixels.shape)
        np.testing.assert_array_equal(found, wanted.pixels, err_msg=f"{how} of {image.shape}")
        np.testing.assert_allclose(np.frombuffer(rest[end : end + 32], "<f8"), wanted.to_image, rtol=1e-12, atol=1e-9)
        rest = rest[end + 32 :]
    assert not rest


@pytest.mark.parametrize("program", [kotlin], indirect=True, ids=["kotlin"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_cameras_plane_becomes_upright(program: list[str], degrees: int) -> None:
    memory = np.random.default_rng(degrees).integers(0, 256, (5, 40), dtype=np.uint8)  # rows have 40 bytes, 28 are used
    image = memory[:, :28].reshape(5, 7, 4)[..., :3]
    words = [str(number) for number in (7, 5, 40, 4, degrees)]
    given = memory.tobytes()[:-12]  # the last row ends with its last pixel
    done = subprocess.run([*program, *words], input=given, capture_output=True, check=True)
    assert done.stdout == np.rot90(image, -degrees // 90).tobytes()


@pytest.mark.parametrize("order", ["BGRA", "RGB"])
def test_a_frame_by_way_of_c(tmp_path: Path, order: str) -> None:
    compiled(tmp_path, "-shared", "-fPIC", str(CONSUMER / "prepare_c.cpp"), "-o", "prepare.so")
    call = ctypes.CDLL(str(tmp_path / "prepare.so")).mobilevision_prepare
    how, image = next(cases("letterbox"))
    rows = np.full((image.shape[0], image.shape[1] + 3, len(order)), 9, np.uint8)  # rows end in bytes that do not count
    for channel, letter in enumerate("RGB"):
        rows[:, : image.shape[1], order.index(letter)] = image[..., channel]
    found, back = np.zeros((how.channels, how.height, how.width), np.uint8), (ctypes.c_double * 4)()
    frame = rows.ctypes.data_as(ctypes.c_void_p), order.encode(), image.shape[1], image.shape[0], rows[0].nbytes
    looks = ctypes.c_double(how.crop), how.channels, how.height, how.width, found.ctypes.data_as(ctypes.c_void_p), back
    assert call(*frame, b"letterbox", *looks) == 0
    wanted = how.prepare(image)
    np.testing.assert_array_equal(found, wanted.pixels)
    np.testing.assert_allclose(list(back), wanted.to_image, rtol=1e-12, atol=1e-9)
    assert call(*frame, b"letter", *looks) == 1
