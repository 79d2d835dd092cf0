"""The page as files, without a browser: what is written, refused, replaced and told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mobilevision.tools.demo.files as files
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.tools.demo.command import demo
from mobilevision.tools.demo.files import SIGN
from mobilevision.tools.demo.runtime import FILES, GPU_FILES

PAGE = Path(files.__file__).parent / "page"
ABOUT = {"trained_by": "python train.py data.root=SECRET", "command": "mobilevision export SECRET", "backbone": "b"}


def artifact(folder: Path, *, format: str = "onnx", weights: bytes = b"weights") -> Path:
    """A folder that looks like an exported model; nobody runs it here."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(weights)
    parts: dict[str, Any] = {"decision": {}, "facts": {}, "about": ABOUT}
    ports = Port("image", "uint8", (None, 3, 8, 8)), Preprocessing("crop", 1.0, 3, 8, 8)
    outputs = (Port("probabilities", "float32", (None, 2)),)
    note = ModelFile.of(folder / "model.onnx")
    Manifest("classification", "classes", format, "float32", note, ("a", "b"), *ports, outputs, **parts).write(folder)
    return folder


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def version(folder: Path) -> str:
    found = re.match(r'const VERSION = "(\w+)";', (folder / "sw.js").read_text(encoding="utf-8"))
    assert found
    return found[1]


def test_nothing_in_the_page_is_from_elsewhere() -> None:
    for path in PAGE.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert not re.search(r"https?://|[\"'(]//|[\"'(=]/[a-z]", text), path.name


def test_every_module_that_is_imported_is_there() -> None:
    for path in PAGE.rglob("*.js"):
        for name in re.findall(r'from "(\..+?)"', path.read_text(encoding="utf-8")):
            assert (path.parent / name).is_file(), f"{path.name}: {name}"


def test_the_page_is_whole_and_says_nothing_of_its_maker(tmp_path: Path, no_runtime: Path) -> None:
    out = tmp_path / "page"
    demo(artifact(tmp_path / "model"), out=out, runtime=no_runtime)
    text = (out / "sw.js").read_text(encoding="utf-8")
    kept = json.loads(text.split("const FILES = ")[1].split(";")[0])
    assert {"index.html", "main.js", "style.css", "model/model.onnx", "runtime/ort.wasm.min.mjs"} <= listed(out)
    assert set(kept) == (listed(out) - {"sw.js", "index.html", SIGN}) | {"./"}
    assert "SECRET" not in (out / "model/model.json").read_text(encoding="utf-8")
    assert json.loads((out / "examples.json").read_text(encoding="utf-8")) == []


def test_the_build_for_the_gpu_is_no_part_of_what_is_kept(tmp_path: Path, no_runtime: Path) -> None:
    for name in GPU_FILES:
        (no_runtime / name).write_text("", encoding="utf-8")
    out = tmp_path / "page"
    demo(artifact(tmp_path / "model"), out=out, runtime=no_runtime)
    assert json.loads((out / "runtime/files.json").read_text(encoding="utf-8")) == [*FILES, *GPU_FILES]
    text = (out / "sw.js").read_text(encoding="utf-8")
    assert [name for name in GPU_FILES if f"runtime/{name}" in text or not (out / "runtime" / name).is_file()] == []


def test_another_model_is_another_version(tmp_path: Path, no_runtime: Path) -> None:
    one, two = artifact(tmp_path / "one"), artifact(tmp_path / "two", weights=b"others")
    for name, model in (("a", one), ("b", one), ("c", two)):
        demo(model, out=tmp_path / name, runtime=no_runtime)
    assert version(tmp_path / "a") == version(tmp_path / "b") != version(tmp_path / "c")


def test_an_earlier_page_is_replaced_and_nothing_else_is(tmp_path: Path, no_runtime: Path) -> None:
    out, model = tmp_path / "page", artifact(tmp_path / "model")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "pictures" / "one.png")
    demo(model, out=out, runtime=no_runtime, examples=tmp_path / "pictures")
    (out / "CNAME").write_text("example.org", encoding="utf-8")
    assert (out / "examples/1.png").is_file()
    demo(model, out=out, runtime=no_runtime)
    assert not (out / "examples/1.png").exists()
    assert (out / "CNAME").is_file()


@pytest.mark.parametrize("there", ["model", "other", "file"])
def test_among_other_things_nothing_is_written(tmp_path: Path, no_runtime: Path, there: str) -> None:
    model, other = artifact(tmp_path / "model"), tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear reader", encoding="utf-8")
    out = {"model": model, "other": other, "file": other / "letter.txt"}[there]
    before = listed(tmp_path)
    with pytest.raises(UserError, match="name a"):
        demo(model, out=out, runtime=no_runtime)
    assert listed(tmp_path) == before


def test_examples_are_few_small_and_without_notes(tmp_path: Path, no_runtime: Path) -> None:
    source, exif = tmp_path / "pictures", Image.Exif()
    source.mkdir()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.new("RGB", (2000, 1000), (200, 30, 30)).save(source / "0.jpg", exif=exif)
    Image.new("L", (40, 30)).save(source / "1.tif")
    for number in range(2, 12):
        Image.new("RGB", (40, 30)).save(source / f"{number}.png")
    demo(artifact(tmp_path / "model"), out=tmp_path / "page", runtime=no_runtime, examples=source)
    names = json.loads((tmp_path / "page/examples.json").read_text(encoding="utf-8"))
    assert len(names) == 8
    with Image.open(tmp_path / "page" / names[0]) as turned:
        assert (turned.size, len(turned.getexif())) == ((640, 1280), 0)
    kept = [name for name in names if name.endswith(".png")]
    assert (tmp_path / "page" / kept[0]).read_bytes() == (source / "10.png").read_bytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), "no image in it"),
        (lambda folder: (folder.mkdir(), (folder / "a.jpg").write_text("no")), "no image that can be read"),
    ],
)
def test_bad_examples_are_one_line(tmp_path: Path, no_runtime: Path, make: Any, said: str) -> None:
    make(tmp_path / "pictures")
    with pytest.raises(UserError, match=said):
        demo(artifact(tmp_path / "model"), out=tmp_path / "page", runtime=no_runtime, examples=tmp_path / "pictures")


def test_another_format_is_refused_with_the_command(tmp_path: Path, no_runtime: Path) -> None:
    with pytest.raises(UserError, match="mobilevision export RUN --format onnx"):
        demo(artifact(tmp_path / "model", format="tflite"), out=tmp_path / "page", runtime=no_runtime)


@pytest.mark.parametrize("asked", [{"host": "0.0.0.0"}, {"port": 0}])
def test_where_to_serve_is_nothing_to_a_page_that_is_written(tmp_path: Path, no_runtime: Path, asked: Any) -> None:
    with pytest.raises(UserError, match="--host and --port are about serving"):
        demo(artifact(tmp_path / "model"), out=tmp_path / "page", runtime=no_runtime, **asked)
    assert not (tmp_path / "page").exists()


def test_a_damaged_model_is_refused_before_the_runtime_is_looked_for(tmp_path: Path) -> None:
    model = artifact(tmp_path / "model")
    (model / "model.onnx").write_bytes(b"other")
    for given, said in ((model, "copy the whole folder"), (tmp_path / "nowhere", "there is no such folder")):
        with pytest.raises(UserError, match=said):
            demo(given, out=tmp_path / "page", runtime=tmp_path / "no runtime there")


def test_a_runs_export_is_taken_where_it_is_new(
    tmp_path: Path, no_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mobilevision.exporting.command as command

    run, asked = tmp_path / "run", []
    artifact(run / "exports" / "onnx")
    (run / "config.yaml").write_text("task: {}", encoding="utf-8")
    (run / "checkpoints").mkdir()
    (run / "checkpoints/best.ckpt").write_bytes(b"")

    def export(path: Path, *, out: Path, **_: Any) -> None:
        asked.append(path)
        artifact(out)

    monkeypatch.setattr(command, "export", export)
    for later, times in ((-100, 0), (100, 1)):
        made = (run / "exports/onnx/model.json").stat().st_mtime
        os.utime(run / "checkpoints/best.ckpt", (made + later, made + later))
        demo(run, out=tmp_path / f"page{times}", runtime=no_runtime)
        assert len(asked) == times


def test_the_command_needs_no_torch(tmp_path: Path, no_runtime: Path) -> None:
    model = artifact(tmp_path / "model")
    code = (
        "import sys; sys.argv = ['mobilevision', *sys.argv[1:]]\n"
        "from mobilevision.cli.commands import main\n"
        "main()\n"
        "assert not {'torch', 'onnxruntime', 'hydra', 'matplotlib'} & set(sys.modules)"
    )
    arguments = ["demo", str(model), "--out", str(tmp_path / "page"), "--runtime", str(no_runtime)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "onnxruntime-web 1.2.3" in done.stdout
    assert (tmp_path / "page/index.html").is_file()
