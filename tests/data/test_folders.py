"""What lies in the folders of strangers: odd suffixes, other systems' files, links, wrapped archives, split names."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto, Gps, ImageFolder, Shapes
from mobilevision.data.formats.scan import in_class_order, split_of
from mobilevision.data.records import Splits
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.images import pixels
from mobilevision.images.decode import EncodedImage
from mobilevision.images.files import image_type, reads_heif

from .conftest import Save, photo
from .test_formats import fill, names, read


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(records) for name, records in splits.items()}


def text(splits: Splits) -> str:
    return "\n".join(splits.notes)


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    photo(3).save(stream, kind)
    return stream.getvalue()


FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "QOI"]


@pytest.mark.parametrize("kind", FORMATS + (["AVIF"] if features.check("avif") else []))
def test_a_image_is_read_whatever_its_suffix(save: Save, tmp_path: Path, kind: str) -> None:
    fill(save, "cat", "dog")
    for name in ("5", "photo.jpg_large", "scan.original"):
        (tmp_path / "dog" / name).write_bytes(encoded(kind))
    splits = read(Auto(), tmp_path)
    assert sizes(splits) == {"train": 7}
    assert splits.train is not None
    assert splits.train.pixels(4).shape == (48, 64, 3)
    assert "left out" not in text(splits)


def test_usual_suffixes_in_any_case(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    data = encoded("JPEG")
    for name in ("a.JPG", "b.Jpeg", "c.jfif", "d.jpe", "e.JFIF"):
        (tmp_path / "cat" / name).write_bytes(data)
    assert read(ImageFolder(), tmp_path).train.targets.tolist() == [0] * 7 + [1] * 2  # type: ignore[union-attr]


def test_files_of_other_types_are_counted_and_named(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    (tmp_path / "cat/1.CR2").write_bytes(b"II*\0" + bytes(40))  # a TIFF to whoever does not know better
    (tmp_path / "cat/1.jxl").write_bytes(b"\xff\x0a" + bytes(40))
    (tmp_path / "dog/odd.bin").write_bytes(b"\xff\x0a" + bytes(40))
    (tmp_path / "dog/notes.txt").write_text("no image")
    (tmp_path / "dog/header").write_text("#define width 5\n")
    (tmp_path / "dog/more.txt").write_text("BM P6 GIF")
    splits = read(Auto(), tmp_path)
    assert sizes(splits) == {"train": 4}
    assert "1 images cannot be read (1.CR2 ...), camera RAW" in text(splits)
    assert "2 images cannot be read (1.jxl ...), JPEG XL" in text(splits)
    assert "left out, no images: 2 .txt (more.txt), 1 no suffix (header)" in text(splits)


def test_text_that_looks_like_a_image_at_first_is_none() -> None:
    for head in (
        b"BMW is a car, not a bitmap image",
        b"P1 is the first part of it",
        b"P6",
        b"",
        b"RIFF....WAVE",
        b"MM",
    ):
        assert image_type(head) is None
    assert image_type(b"P5 64 48 255\n") == ".ppm"


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mobilevision.images.files", "mobilevision.images.pixels"):
        monkeypatch.setattr(f"{module}.reads_heif", lambda: False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])


@pytest.mark.usefixtures("without_heif")
def test_heic_without_a_reader_names_the_extra(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    (tmp_path / "bird").mkdir()
    for number in range(3):
        (tmp_path / f"bird/IMG_{number}.HEIC").write_bytes(HEIC)
    (tmp_path / "cat/nameless").write_bytes(HEIC)
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert re.search(
        r'4 images cannot be read \(.*\), HEIC: pip install "mobilevision\[heic\]" reads them', text(splits)
    )
    (problem,) = splits.problems
    assert problem.where == "bird/"
    assert "mobilevision[heic]" in problem.fix
    for folder in ("cat", "dog"):
        for path in (tmp_path / folder).iterdir():
            path.unlink()
    with pytest.raises(UserError, match=r"mobilevision\[heic\]"):
        read(ImageFolder(), tmp_path)
    with pytest.raises(UnreadableImageError, match=r"named\.jpg: HEIC, whatever its name says: pip install"):
        EncodedImage(HEIC, "named.jpg")


@pytest.mark.skipif(not reads_heif(), reason="neither pi-heif nor pillow-heif is installed (the extra heic)")
def test_heic_is_read_upright_with_its_place(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    (tmp_path / "cat/IMG_1.HEIC").write_bytes(HEIC)
    splits = read(Auto(), tmp_path)
    assert splits.train is not None
    index = names(splits.train).index("IMG_1.HEIC")
    assert splits.train.shape(index) == (32, 16)  # 16 x 32 on its side
    shown = splits.train.pixels(index)
    assert np.abs(shown[4, 8].astype(int) - (30, 30, 200)).max() < 12
    assert np.abs(shown[-4, 8].astype(int) - (200, 30, 30)).max() < 12
    places = Gps().read(root=tmp_path / "cat", kind="coordinate", channels=3, seed=0)
    assert places.train is not None
    assert np.allclose(places.train.targets.places, [[48 + 51.5 / 60, 2 + 17 / 60 + 40 / 3600]], atol=1e-4)


def test_what_systems_put_beside_the_data_is_no_data(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog", "@eaDir/cat", "cat/@eaDir/0.jpg", "__MACOSX/cat", ".ipynb_checkpoints", "#recycle/dog")
    save("cat/._0.jpg")
    for junk in ("Thumbs.db", "cat/Thumbs.db", "cat/.DS_Store", "dog/desktop.ini"):
        (tmp_path / junk).write_bytes(b"junk")
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert sizes(splits) == {"train": 4}
    line = next(note for note in splits.notes if note.startswith("left out, hidden or made by the system: "))
    assert "@eaDir/ 2" in line
    assert "Thumbs.db" not in text(splits)


def test_a_link_to_a_folder_above_is_named_and_not_followed(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    os.symlink("..", tmp_path / "cat/up")
    os.symlink(tmp_path, tmp_path / "all")
    os.symlink("round", tmp_path / "dog/round")
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert sizes(splits) == {"train": 4}
    assert "not followed, a link to a folder that it lies in: " in text(splits)
    assert "cat/up" in text(splits)


def test_links_that_lead_to_each_other_end(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    for name, other in (("cat", "dog"), ("dog", "cat")):
        os.symlink(f"../{other}", tmp_path / name / "other")
    assert len(read(ImageFolder(), tmp_path).train or ()) == 8  # each class with those it links to, once


def test_a_link_to_images_elsewhere_is_followed(save: Save, tmp_path: Path) -> None:
    fill(save, "set/cat", "elsewhere", "set/bird")
    os.symlink("../elsewhere", tmp_path / "set/dog")
    assert read(ImageFolder(), tmp_path / "set").classes == ("bird", "cat", "dog")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("train", "eval", "holdout"), {"train": 0, "val": 1, "test": 2}),
        (("Training", "Validation", "Testing"), {"train": 0, "val": 1, "test": 2}),
        (("train", "dev", "test"), {"train": 0, "val": 1, "test": 2}),
        (("train", "val", "eval"), {"train": 0, "val": 1, "test": 2}),
        (("train_set", "valid-set", "hold_out"), {"train": 0, "val": 1, "test": 2}),
        (("seg_train", "seg_val", "seg_test"), {"train": 0, "val": 1, "test": 2}),
        (("TrainImages", "TestImages"), {"train": 0, "test": 1}),
        (("training_set/training_set", "test_set/test_set"), {"train": 0, "test": 1}),
    ],
)
def test_split_folders_by_their_other_names(
    save: Save, tmp_path: Path, folders: tuple[str, ...], expected: dict[str, int]
) -> None:
    for number, folder in enumerate(folders):
        fill(save, f"{folder}/cat", f"{folder}/dog", each=number + 1)
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert sizes(splits) == {split: 2 * (number + 1) for split, number in expected.items()}


def test_words_that_are_no_split() -> None:
    for name in ("cat", "train_station", "testicle", "development_kit", "evaluate_me", "set", "", "train test"):
        assert split_of(name) is None, name


def test_a_second_folder_for_a_split_is_said_with_the_reason(save: Save, tmp_path: Path) -> None:
    for folder in ("train", "val", "valid", "extra"):
        fill(save, f"{folder}/cat", f"{folder}/dog")
    fill(save, "loose")
    save("train/outside.jpg")
    notes = text(read(Auto(), tmp_path))
    assert "not used: valid/, since val/ is val already" in notes
    assert "not used: extra/, its name is no split's" in notes
    assert "not used, no class folders in them: loose/" in notes
    assert "images that lie in no class folder, in train/" in notes


@pytest.mark.parametrize(
    "inside", ["set/", "set/set/", "archive/set/", "images/"], ids=["once", "twice", "other name", "images"]
)
@pytest.mark.parametrize("split", ["", "train/"])
def test_a_root_too_high_is_seen(save: Save, tmp_path: Path, inside: str, split: str) -> None:
    fill(save, f"set/{inside}{split}cat", f"set/{inside}{split}dog")
    (tmp_path / "set/README.md").write_text("about it")
    splits = read(Auto(), tmp_path / "set")
    assert splits.classes == ("cat", "dog")
    assert f"took {inside.rstrip('/')}/ in it" in text(splits)


def test_several_sets_below_a_root_are_not_classes(save: Save, tmp_path: Path) -> None:
    for name in ("pets", "flowers"):
        fill(save, f"{name}/train/a", f"{name}/train/b", f"{name}/val/a", f"{name}/val/b")
    with pytest.raises(UserError, match=r"train/ and more of its own.*data\.root=.*flowers"):
        read(Auto(), tmp_path)


def test_splits_below_the_classes(save: Save, tmp_path: Path) -> None:
    fill(save, "cat/train", "dog/train", each=3)
    fill(save, "cat/test", "dog/test")
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert sizes(splits) == {"train": 6, "test": 4}
    assert not splits.whole


def test_split_folders_full_of_images_are_not_classes(save: Save, tmp_path: Path) -> None:
    fill(save, "train", "test")
    with pytest.raises(UserError, match=r"the images lie in test/, train/ without class folders"):
        read(Auto(), tmp_path)


def test_classes_with_numbers_for_names_are_in_the_order_of_the_numbers(save: Save, tmp_path: Path) -> None:
    fill(save, *(str(number) for number in (0, 1, 2, 10, 11)), each=1)
    assert read(ImageFolder(), tmp_path).classes == ("0", "1", "2", "10", "11")
    assert in_class_order(["10.0", "2.0", "1.5"]) == ["1.5", "2.0", "10.0"]
    assert in_class_order(["b2", "b10", "1"]) == ["1", "b10", "b2"]


def test_a_place_is_no_use_to_drawn_images(tmp_path: Path) -> None:
    data = DataModule(format=Shapes(train=20, val=10, test=10, side=32), root=str(tmp_path), workers=0)
    with pytest.raises(UserError, match=r"Shapes draws its images and reads no files.*add data=auto"):
        data.setup_data()


def test_a_heic_reader_is_registered_before_anything_is_opened() -> None:
    assert pixels.reads_heif is reads_heif
    assert ("HEIF" in Image.OPEN) == reads_heif()


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAcdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAAB6wABAAAAAAAAAK4AAgAAAAACmQABAAAAAAAAAJYAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABBmlwcnAAAADlaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAA"
    "ABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAQAAAAAf///+AAAAAC////0AAAAAIAAAAQcG"
    "l4aQAAAAADCAgIAAAACWlyb3QDAAAAGWlwbWEAAAAAAAAAAQABBoECAwWEhgAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAABTG1kYXQAAACq"
    "KAGvCchnrao5I1d//+dyDkfth7/+lR4q8fg4R//hVDb/szT+U6/0yaouwienIOJts6fpR7GBy8OSgFx2qj4yMOFTcD+J7afasFYUXBXGLAKv2N"
    "D7BbuU4lcpQZj4vy/K6ZqhKq64A22QjnBAYPrO8ntaFGAcRkAHkvhA4Jt9iNCHy9hrRcQfF+X5WsUJ4rvVIQMhK/ba9XG/fe7oRVq2ZgYNm8/K"
    "syjw3kIAAAAGRXhpZgAATU0AKgAAAAgAAgESAAMAAAABAAYAAIglAAQAAAABAAAAJgAAAAAABAABAAIAAAACTgAAAAACAAUAAAADAAAAXAADAA"
    "IAAAACRQAAAAAEAAUAAAADAAAAdAAAAAAAAAAwAAAAAQAAADMAAAABAAAAHgAAAAEAAAACAAAAAQAAABEAAAABAAAAKAAAAAE="
)
"""16 x 32 pixels, left half blue, right half red; its EXIF says to turn it a quarter, and 48 51.5' N, 2 17' 40" E."""
