"""Movies and cameras: every frame gets a row, and comes back drawn, at its time, upright."""

from __future__ import annotations

import builtins
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.images import video as video_files
from mobilevision.images.video import Movie, MovieWriter, is_movie
from mobilevision.prediction.model import load
from mobilevision.prediction.predict import predict

av = pytest.importorskip("av")
RATE, FRAMES = 10, 12


def _images() -> Iterator[Image.Image]:
    """A bright square that moves to the right, on blue."""
    for number in range(FRAMES):
        pixels = np.zeros((49, 65, 3), np.uint8)
        pixels[..., 2] = 160
        pixels[20:30, 4 * number : 4 * number + 10] = (255, 255, 0)
        yield Image.fromarray(pixels)


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("movies") / "walk.mp4"
    writer = MovieWriter(path, rate=RATE)
    for number, image in enumerate(_images()):
        writer.add(image, number / RATE)
    writer.close()
    return path


def test_what_is_written_can_be_read_frame_by_frame(movie: Path) -> None:
    source = Movie(movie)
    shots = list(source)
    source.close()
    assert [shot.number for shot in shots] == list(range(FRAMES))
    assert [shot.seconds for shot in shots] == pytest.approx([number / RATE for number in range(FRAMES)], abs=0.01)
    assert source.trouble is None
    for shot, image in zip(shots, _images(), strict=True):
        assert shot.pixels.shape == (50, 66, 3), "even sides"
        assert np.abs(shot.pixels[:49, :65].astype(int) - np.asarray(image)).mean() < 12


def test_every_frame_gets_a_row_and_is_drawn(finished_run: Path, movie: Path, tmp_path: Path) -> None:
    rows = predict(finished_run, [movie], out=tmp_path, batch_size=5)
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    assert json.loads((tmp_path / "predictions.json").read_text()) == rows
    with (tmp_path / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["file", "frame", "seconds", "label", "score", "top5"]
    shot = list(Movie(movie))[7]
    expected = load(finished_run).predict(shot.pixels)
    assert rows[7]["label"] == expected["label"]
    assert rows[7]["score"] == pytest.approx(expected["score"], abs=1e-3)
    drawn = list(Movie(tmp_path / "movies" / "walk.mp4"))
    assert len(drawn) == FRAMES
    assert drawn[-1].seconds == pytest.approx(1.1, abs=0.01)
    assert drawn[0].pixels.shape[1] > 66, "large enough to read"


def test_a_part_without_drawing(finished_run: Path, movie: Path, tmp_path: Path) -> None:
    rows = predict(finished_run, [movie, movie], out=tmp_path, pictures=False, seconds=0.45)
    assert [row["frame"] for row in rows] == [0, 1, 2, 3, 4] * 2
    assert not (tmp_path / "movies").exists()


def test_movies_of_one_name_are_kept_apart(finished_run: Path, movie: Path, tmp_path: Path) -> None:
    predict(finished_run, [movie, movie], out=tmp_path, seconds=0.2)
    assert sorted(path.name for path in (tmp_path / "movies").iterdir()) == ["walk.mp4", "walk_2.mp4"]


def test_a_camera_is_watched_for_some_seconds(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        video_files, "_camera", lambda number: av.open("testsrc=size=64x48:rate=10:duration=60", format="lavfi")
    )
    rows = predict(finished_run, ["camera:0"], out=tmp_path, seconds=0.75)
    assert len(rows) == 8
    assert rows[0]["file"] == "camera:0"
    assert (tmp_path / "movies" / "camera_0.mp4").is_file()


def test_ctrl_c_keeps_what_came_so_far(
    finished_run: Path, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MovieWriter.add

    def stopping(self: MovieWriter, image: Image.Image, seconds: float) -> None:
        original(self, image, seconds)
        if seconds > 0.65:
            raise KeyboardInterrupt

    monkeypatch.setattr(MovieWriter, "add", stopping)
    rows = predict(finished_run, [movie], out=tmp_path, batch_size=4)
    assert len(rows) == 4, "the batches that were through"
    assert len(list(Movie(tmp_path / "movies" / "walk.mp4"))) == 8


def test_a_phone_held_upright_gives_upright_frames(tmp_path: Path) -> None:
    upright = np.zeros((64, 32, 3), np.uint8)
    upright[:32] = 255  # bright above
    lying = np.rot90(upright)  # as the phone's sensor saw it: the player is to turn it clockwise
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV writes no rotation")
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(-90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(lying), format="rgb24")))
        container.mux(stream.encode(None))
    (shot,) = Movie(tmp_path / "phone.mp4")
    assert shot.pixels.shape == (64, 32, 3)
    assert shot.pixels[:28].mean() > 200
    assert shot.pixels[36:].mean() < 50


def test_a_movie_that_breaks_off_gives_what_it_has(
    finished_run: Path, movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    writer = MovieWriter(whole, rate=RATE)
    for number in range(60):
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        writer.add(Image.fromarray(noise), number / RATE)
    writer.close()
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    rows = predict(finished_run, [cut], out=tmp_path / "out", pictures=False)
    assert 10 < len(rows) < 60


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("none.mp4", None, "No such file"), ("text.mp4", b"no movie", "cannot be opened"), ("empty.avi", b"", "cannot")],
)
def test_what_is_no_movie_is_named(
    finished_run: Path, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: .*{said}"):
        predict(finished_run, [tmp_path / name], out=tmp_path / "out")


def test_no_camera_and_mixed_inputs_are_named(finished_run: Path, movie: Path, coloured: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"camera:97: cannot be opened|camera:97: cameras work on"):
        predict(finished_run, ["camera:97"], out=tmp_path)
    with pytest.raises(UserError, match=r"is no movie.*apart"):
        predict(finished_run, [movie, coloured / "test"], out=tmp_path)


def test_the_movie_itself_is_never_written_over(finished_run: Path, movie: Path, tmp_path: Path) -> None:
    (tmp_path / "movies").mkdir()
    own = tmp_path / "movies" / "walk.mp4"
    own.write_bytes(movie.read_bytes())
    with pytest.raises(UserError, match="would take its place"):
        predict(finished_run, [own], out=tmp_path)
    assert own.read_bytes() == movie.read_bytes()


def test_without_pyav_one_line_says_how_to_get_it(
    finished_run: Path, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'mobilevision\[video\]'"):
        predict(finished_run, [movie], out=tmp_path)


def test_what_counts_as_a_movie(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    assert is_movie("a.MP4")
    assert is_movie("camera:12")
    assert not is_movie("a.jpg")
    assert not is_movie(tmp_path / "folder.mp4")
