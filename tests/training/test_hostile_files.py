"""Files and names from a stranger: what is no file is never opened, and no name is an instruction to anybody."""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from mobilevision.data.skipped import SkipLog
from mobilevision.deploy.manifest import Manifest
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.engine.info import read_info
from mobilevision.engine.recording import recording
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.exporting.command import target_of
from mobilevision.images.decode import EncodedImage, UnreadableImageError
from mobilevision.images.files import printable
from mobilevision.io.atomic_files import read_csv, read_object
from mobilevision.io.error_lines import error_line
from mobilevision.io.printable_text import cell, cells, uncell, uncells, visible
from mobilevision.prediction.predict import write
from mobilevision.reports.compare import read
from mobilevision.reports.page import _images
from mobilevision.reports.summary import print_start
from mobilevision.tools.check_data import check_data
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import find_folder, train


def special(folder: Path) -> list[Path]:
    """A pipe, a socket, and links to a device, to a pipe and to nothing, all named as images are."""
    pipe, ending = folder / "pipe.jpg", folder / "socket.jpg"
    os.mkfifo(pipe)
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket has to be short
    try:
        socket.socket(socket.AF_UNIX).bind(ending.name)
    finally:
        os.chdir(here)
    links = {"device.jpg": "/dev/zero", "link.jpg": str(pipe), "gone.jpg": str(folder / "nowhere")}
    for name, place in links.items():
        (folder / name).symlink_to(place)
    return [pipe, ending, *(folder / name for name in links)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A data set of two classes."""
    for number in range(12):
        file = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
    return tmp_path / "data"


@pytest.mark.parametrize("number", range(5))
def test_what_is_no_file_is_never_opened(tmp_path: Path, number: int) -> None:
    file = special(tmp_path)[number]
    why = "No such file" if number == 4 else "not a regular file"
    with pytest.raises(UnreadableImageError, match=why):
        EncodedImage.read(file)
    with pytest.raises(UnreadableImageError, match=why):
        Preprocessing("crop", 1.0, 3, 32, 32).prepare(file)


def test_check_data_lists_what_is_no_file(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = special(images / "a")
    out = tmp_path / "out"
    assert check_data(["data=folder", f"data.root={images}", "data.workers=0"], out=out) == 1
    listed = (out / "problems.csv").read_text(encoding="utf-8")
    assert listed.count("not a regular file") == 4
    assert all(str(file) in listed for file in files)
    assert "bad: 5" in capsys.readouterr().out


def test_one_limit_of_size_for_both_ways(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = (20001).to_bytes(2, "big") * 2  # height and width in the header
    file = tmp_path / "huge.jpg"
    file.write_bytes(content)
    with pytest.raises(UnreadableImageError, match="20001 x 20001 pixels are more than the 178,956,970"):
        EncodedImage.read(file)
    with pytest.raises(UnreadableImageError, match="more than the 178,956,970 pixels"):
        Preprocessing("crop", 1.0, 3, 32, 32).prepare(file)


NAMES = ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "x\r=1", "'=1", "''-x", "plain", "", "'plain", "a=b", "\uff1d1"]
READ = [name.replace("\r", r"\r") for name in NAMES]


@given(st.one_of(st.sampled_from(NAMES), st.text()))
def test_a_cell_is_read_back_as_it_was(text: str) -> None:
    assert uncell(cell(text)) == text.replace("\r", r"\r")
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([cell(text), "end"])
    assert [*csv.reader(io.StringIO(stream.getvalue(), newline=""))] == [[cell(text), "end"]]
    assert cell(text)[:1] not in {"=", "+", "-", "@", "\t", "\r"}


def test_numbers_stay_numbers() -> None:
    assert cells({"loss": -0.5, "count": -3, "=x": None}) == {"loss": -0.5, "count": -3, "'=x": None}


def test_tables_for_spreadsheets_hold_no_formulas(tmp_path: Path) -> None:
    rows = [{"file": "=cmd|' /C calc'!A0", "label": name, "score": -0.25} for name in NAMES]
    write(tmp_path, rows, [{"file": "@x", "reason": "-y"}])
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert not [value for row in found for value in (row["file"], row["label"]) if value[:1] in set("=+-@\t\r")]
    assert {row["score"] for row in found} == {"-0.25"}
    assert [uncells(row)["label"] for row in found] == READ
    assert [row["label"] for row in read_csv(tmp_path / "predictions.csv")] == READ
    log = SkipLog(tmp_path / "log.csv")
    log.extend([("=a", "+b"), ("c", "d")])
    log.extend([("=a", "again")])
    assert SkipLog(tmp_path / "log.csv").read() == {"=a": "+b", "c": "d"}


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_run_folder_leads_no_writing_astray(tmp_path: Path, kind: str) -> None:
    elsewhere, run = tmp_path / "profile", tmp_path / "run"
    elsewhere.write_text("mine\n", encoding="utf-8")
    run.mkdir()
    for name in ("train.log", "skipped.csv", "info.json", "metrics.json"):
        if kind == "link" and name.endswith(("log", "csv")):
            (run / name).symlink_to(elsewhere)
        else:
            os.mkfifo(run / name)
    with pytest.raises(UserError, match=r"train\.log: not a regular file"), recording(run / "train.log"):
        print("echo owned")
    with pytest.raises(UserError, match=r"skipped\.csv: not a regular file"):
        SkipLog(run / "skipped.csv").add("echo owned", "x")
    assert read_info(RunFolder(run)) == {}
    assert read(run) is None
    assert elsewhere.read_text(encoding="utf-8") == "mine\n"


def test_json_is_bounded(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for name in ("info.json", "metrics.json", "tables.json", "model.json"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 60 * 2**30)  # takes no place on the disk
    for content in (None, "[" * 100_000, '{"a":' * 100_000):
        if content is not None:
            for name in ("info.json", "metrics.json", "tables.json", "model.json"):
                (tmp_path / name).write_text(content, encoding="utf-8")
        assert read_info(run) == {}
        assert read(tmp_path) is None
        assert read_object(run.tables_json) == {}
        with pytest.raises(UserError, match=r"model\.json") as failure:
            Manifest.read(tmp_path)
        assert "\n" not in str(failure.value)


def replaced(part: Path, kind: str, elsewhere: Path) -> None:
    """Put something else in the place of a part of a run folder."""
    if part.is_dir():
        shutil.rmtree(part)
    part.unlink(missing_ok=True)
    if kind == "link":
        part.symlink_to(elsewhere / part.name)
    elif kind == "pipe":
        os.mkfifo(part)
    elif kind == "device":
        part.symlink_to("/dev/full")
    elif kind == "file":
        part.write_text("x", encoding="utf-8")
    else:
        part.mkdir()


PARTS = [
    *[(name, "link") for name in ("checkpoints", "figures", "predictions", "train.log", "metrics.json", "report.html")],
    *[(name, "link") for name in ("config.yaml", "info.json", "figures/curves.png", "checkpoints/best.ckpt", "wandb")],
    *[(name, "pipe") for name in ("train.log", "figures/curves.png", "checkpoints/best.ckpt", "anything")],
    *[("train.log", "device"), ("figures", "file"), ("checkpoints", "file"), ("train.log", "folder")],
]


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize(("name", "kind"), PARTS)
def test_a_run_is_not_continued_whose_parts_lie_elsewhere(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, anew: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    victim, run = tmp_path / "victim", tmp_path / "run"
    shutil.copytree(finished_run, victim)
    shutil.copytree(finished_run, run)
    if name == "train.log":
        (victim / name).unlink()  # the link leads to nothing, and makes nothing
    if anew:
        shutil.rmtree(run / "checkpoints")
        (run / "checkpoints").mkdir()
        (run / "metrics.json").unlink()
    replaced(run / name, kind, victim if "/" not in name else victim / Path(name).parent)
    before = contents(tmp_path)
    with pytest.raises(UserError) as failure:
        train(compose_resume(run, ["trainer.max_epochs=3", "logger=none"]))
    assert str(run / name) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every regular file in it, links not followed."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {str(path): path.read_bytes() for path in files}


def test_a_run_behind_a_link_goes_on_and_its_trackers_links_stay(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "disk" / "run")
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    (tmp_path / "run" / "wandb" / "run-1").mkdir(parents=True)
    (tmp_path / "run" / "wandb" / "latest-run").symlink_to("run-1")
    RunFolder(tmp_path / "run").check_parts()
    with RunFolder(tmp_path / "run").locked():
        pass


@pytest.mark.parametrize("name", ["checkpoints", "train.log"])
def test_a_new_run_does_not_write_through_links(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").symlink_to(tmp_path)  # nothing of a run's: let alone
    RunFolder(tmp_path / "run").check_parts()
    (tmp_path / "run" / name).symlink_to(tmp_path / "victim" / name)
    with pytest.raises(UserError, match=f"{name}: a link"):
        find_folder(OmegaConf.create({"resume": None, "run_dir": str(tmp_path / "run"), "task": {"name": "x"}}))


def test_evaluations_and_exports_stay_in_the_run(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "victim").mkdir()
    for name in ("evaluations", "exports"):
        shutil.rmtree(tmp_path / "run" / name, ignore_errors=True)
        (tmp_path / "run" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="evaluations: a link"):
        evaluate(tmp_path / "run")
    with pytest.raises(UserError, match="exports: a link"):
        target_of(None, tmp_path / "run", "onnx")
    assert not list((tmp_path / "victim").iterdir())


def test_no_table_of_a_run_names_a_image_elsewhere(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    folder = tmp_path / "run" / "predictions"
    folder.mkdir(parents=True)
    (folder / "worst_01.png").write_bytes((tmp_path / "private.png").read_bytes())
    names = ["../../private.png", str(tmp_path / "private.png"), "worst_01.png"]
    rows = "".join(f"{name},a,b\n" for name in names)
    (folder / "predictions.csv").write_text(f"picture,label,truth\n{rows}", encoding="utf-8")
    shown = [row["picture"] for rows in _images(folder, panels=1).values() for row in rows]
    assert shown == ["worst_01.png"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path",
        "path,a\n",
        f"path,a\nx,{'1' * 200_000}\n",
        "path,a\nx,__import__('os')\n",
        "a,b\nx,1\n",
        "path,a\nx\n",
    ],
)
def test_a_table_of_a_teacher_holds_numbers(tmp_path: Path, text: str) -> None:
    from mobilevision.training.teachers import of_table

    file = tmp_path / "table.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"table\.csv") as failure:
        of_table(file, None, output_kind="softmax")  # type: ignore[arg-type]
    assert "\n" not in str(failure.value)


EVIL = "a\x1b]0;owned\x07\x1b[31m\r\n\u202egpj\x9b2J\x7f"


def test_a_terminal_gets_no_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    shown = error_line(UserError(f"{EVIL}: is wrong")) + visible(EVIL) + printable(os.fsencode(EVIL))
    with pytest.raises(ValueError, match="owned") as raised:
        raise ValueError(EVIL)
    shown += error_line(raised.value)
    info = {"task": EVIL, "backbone": "b", "resolution": (8, 8), "parameters": 1, "mult_adds": 1, "weights": []}
    info |= {"classes": [EVIL, "[red]b[/red]"], "samples": {}, "notes": [EVIL], "problems": [], "device": "cpu"}
    print_start(info)
    shown += capsys.readouterr().out
    assert not [each for each in shown if each != "\n" and (not each.isprintable())]
    assert r"\x1b[31m" in shown
    assert r"\u202e" in shown
    assert "[red]b[/red]" in shown


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "previous.ckpt", "../config.yaml", "../tables.json"])
def test_a_folder_in_place_of_a_file_is_one_line(finished_run: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    part = run / "checkpoints" / name
    part.unlink(missing_ok=True)
    part.mkdir()
    said = f"{Path(name).name}: not a regular file" if "config" not in name else "is not a run folder"
    with pytest.raises(UserError, match=said):
        train(compose_resume(run, ["trainer.max_epochs=3"]))
    assert list(part.iterdir()) == []
