"""predict: files and folders in, drawn images and tables out, bad files named and left out."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.prediction.predict import find, predict


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_images_a_csv_and_json(finished_run: Path, coloured: Path, tmp_path: Path) -> None:
    rows = predict(finished_run, [coloured / "test"], out=tmp_path, batch_size=4)
    assert len(rows) == 15
    assert json.loads((tmp_path / "predictions.json").read_text()) == rows
    table = _rows(tmp_path / "predictions.csv")
    assert [row["file"] for row in table] == [row["file"] for row in rows]
    assert list(table[0]) == ["file", "label", "score", "top5", "picture"]
    assert json.loads(table[0]["top5"]) == rows[0]["top5"]
    for row in rows:
        with Image.open(tmp_path / row["picture"]) as image:
            assert image.width >= 192
    assert (tmp_path / "pictures" / "red" / "0.png").is_file()
    assert not (tmp_path / "skipped.csv").exists()


def test_bad_images_are_named_counted_and_left_out(
    finished_run: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = coloured / "test" / "red" / "0.png"
    (folder / "a.png").write_bytes(good.read_bytes())
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "cut.png").write_bytes(good.read_bytes()[:900])
    rows = predict(finished_run, [folder], out=tmp_path / "out")
    assert [Path(row["file"]).name for row in rows] == ["a.png"]
    skipped = {Path(row["file"]).name: row["reason"] for row in _rows(tmp_path / "out" / "skipped.csv")}
    assert set(skipped) == {"cut.png", "empty.jpg", "text.jpg"}
    assert "empty file" in skipped["empty.jpg"]
    assert "3 of 4 images skipped" in capsys.readouterr().out


def test_when_none_can_be_read_it_fails_and_says_why(finished_run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    with pytest.raises(UserError, match=r"none of 1 images can be read.*bad\.jpg: empty file"):
        predict(finished_run, [bad], out=tmp_path / "out")


def test_nothing_to_predict_for_is_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        predict(finished_run, [tmp_path / "nowhere"], out=tmp_path / "out")
    with pytest.raises(UserError, match="no images in"):
        predict(finished_run, [tmp_path], out=tmp_path / "out")


def test_names_that_are_taken_or_not_utf8_are_kept_apart(tmp_path: Path) -> None:
    names = [b"a.png", b"a.jpg", b"\xff.png"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    found = dict(find([tmp_path, tmp_path / "a.png"]))
    shown = [name for _, name in find([tmp_path, tmp_path / "a.png"])]
    assert len(found) == 3
    assert sorted(shown) == sorted(["a", "a_2", "\\xff", "a_3"])


def test_drawing_can_be_left_out(finished_run: Path, coloured: Path, tmp_path: Path) -> None:
    rows = predict(finished_run, [coloured / "test" / "red"], out=tmp_path, pictures=False)
    assert "picture" not in rows[0]
    assert not (tmp_path / "pictures").exists()
