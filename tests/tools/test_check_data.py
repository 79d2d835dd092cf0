"""check-data: everything that is wrong, at once, and an exit code that says whether a training would stop."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.tools.check_data import check_data


@pytest.fixture
def data(coloured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(coloured, tmp_path / "data"))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _check(data: Path, out: Path, *more: str) -> int:
    return check_data(["data=folder", f"data.root={data}", "data.workers=1", *more], out=out)


def test_sound_data_passes_and_nothing_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _check(data, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "51 images: train 24 · val 12 · test 15" in said
    assert "height 40 to 40" in said
    assert "classes: 3, each of 8 training images\n  blue & <b> 8 · green 8 · red 8\n" in said
    assert "ready to train" in said
    assert not (tmp_path / "out").exists()


def test_bad_files_and_leaks_are_listed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "train" / "red" / "empty.jpg").write_bytes(b"")
    (data / "val" / "green" / "text.png").write_text("no image")
    shutil.copy(data / "train" / "red" / "0.png", data / "test" / "red" / "copy.png")
    with Image.open(data / "train" / "green" / "1.png") as image:
        image.resize((96, 80)).save(data / "test" / "red" / "near.png")
    out = tmp_path / "out"
    assert _check(data, out) == 1
    said = capsys.readouterr().out
    assert "bad: 2" in said
    assert "empty file" in said
    assert "data.on_error=skip" in said
    assert {Path(row["where"]).name for row in _rows(out / "problems.csv")} == {"empty.jpg", "text.png"}
    pairs = {row["kind"]: row for row in _rows(out / "duplicates.csv") if row["across_splits"] == "1"}
    assert {Path(pairs["exact"]["first"]).name, Path(pairs["exact"]["second"]).name} == {"0.png", "copy.png"}
    assert pairs["near"]["labels_differ"] == "1"
    with Image.open(out / "duplicates.png") as sheet:
        assert sheet.width > 200
    assert _check(data, out, "data.on_error=skip") == 0


def test_unbalanced_classes_are_said_with_what_helps(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 8):
        (data / "train" / "red" / f"{number}.png").unlink()
    assert _check(data, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "from 1 (red) to 8" in said
    assert "loss.class_weights=balanced" in said


def test_data_that_cannot_be_read_at_all_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        _check(tmp_path / "nowhere", tmp_path / "out")


def test_bad_boxes_are_counted_listed_and_drawn(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted((data / "train" / "red").glob("*.png"))
    rows = [f"{path},thing,{5 + i},5,30,35" for i, path in enumerate(images)]
    rows += [f"{images[0]},thing,-90,-50,-20,-10", f"{images[1]},other,8,8,8,20"]
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join(["filename,class,xmin,ymin,xmax,ymax", *rows]) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    given = ["task=detection", "data=boxes_csv", f"data.root={table}", "data.workers=1"]
    assert check_data(given, out=out) == 1
    said = capsys.readouterr().out
    assert f"boxes: {len(images)}, of them 0 crowds" in said
    assert "bad: 2" in said
    assert [row["where"] for row in _rows(out / "problems.csv")] == [
        f"boxes.csv:{len(images) + 2}",
        f"boxes.csv:{len(images) + 3}",
    ]
    with Image.open(out / "problems.png") as sheet:
        assert sheet.width > 600
    assert check_data([*given, "data.on_error=skip"], out=out) == 0
