"""Fine-grained sets by their own lists, drawn beetles, groups of classes and injected label noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mobilevision.data import DataModule
from mobilevision.data.formats import (
    Auto,
    Beetles,
    Cub200,
    DataFormat,
    FgvcAircraft,
    Flowers102,
    OxfordPets,
    StanfordCars,
    StanfordDogs,
)
from mobilevision.data.groups import read_groups
from mobilevision.data.synthetic.beetles import CLASSES
from mobilevision.errors import UserError

DOGS = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")


def image(path: Path, size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 30)).save(path)


def made(format: DataFormat, root: Path | None, **options: Any) -> DataModule:
    place = None if root is None else str(root)
    data = DataModule(format=format, root=place, resolution=16, workers=0, batch_size=4, **options)
    data.setup_data()
    return data


def cells(values: Sequence[str]) -> np.ndarray[Any, Any]:
    """A column of MATLAB's cells."""
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    for folder in DOGS:
        wnid = folder.partition("-")[0]
        for number in range(4):
            image(tmp_path / "Images" / folder / f"{wnid}_{number}.jpg")
            note = tmp_path / "Annotation" / folder / f"{wnid}_{number}"
            note.parent.mkdir(parents=True, exist_ok=True)
            small, large = ((1, 1, 4, 4), (2, 1, 12, 9))
            boxes = "".join(
                f"<object><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
                for a, b, c, d in (small, large)
            )
            note.write_text(f"<annotation>{boxes}</annotation>")
    for name, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        files = [f"{folder}/{folder.partition('-')[0]}_{number}.jpg" for folder in DOGS for number in numbers]
        savemat(tmp_path / f"{name}_list.mat", {"file_list": cells(files), "labels": np.ones((len(files), 1))})
    return tmp_path


def test_stanford_dogs_by_its_lists(dogs: Path) -> None:
    data = made(StanfordDogs(), dogs, val_fraction=0)
    assert data.spec.classes == ("Chihuahua", "Japanese_spaniel")
    assert {name: len(records) for name, records in data.splits.items()} == {"train": 6, "test": 2}
    assert data.splits.test is not None
    assert data.splits.test.targets.tolist() == [0, 1]


def test_the_largest_dog_is_cut_out(dogs: Path) -> None:
    data = made(StanfordDogs(crop="box"), dogs, val_fraction=0)
    assert data.splits.test is not None
    assert data.splits.test.shape(0) == (8, 10)
    (dogs / "Annotation" / DOGS[0] / "n02085620_3").write_text("<broken")
    with pytest.raises(UserError, match=r"no box for .*n02085620_3.jpg"):
        made(StanfordDogs(crop="box"), dogs, val_fraction=0)


def test_dogs_without_lists_are_one_split_and_a_missing_photo_is_named(dogs: Path) -> None:
    (dogs / "Images" / DOGS[0] / "n02085620_1.jpg").unlink()
    with pytest.raises(UserError, match=r"train_list.mat:2: no file n02085620-Chihuahua/n02085620_1.jpg"):
        made(StanfordDogs(), dogs)
    for name in ("train_list.mat", "test_list.mat"):
        (dogs / name).unlink()
    data = made(Auto(), dogs, test_fraction=0.3)
    assert "data=auto took the format stanford_dogs" in data.splits.notes[0]
    assert len(list(data.splits.items())) == 3


def test_a_broken_list_is_named(dogs: Path) -> None:
    (dogs / "test_list.mat").write_bytes(b"no list at all")
    with pytest.raises(UserError, match=r"test_list.mat: cannot be read as a .mat file"):
        made(StanfordDogs(), dogs)
    savemat(dogs / "test_list.mat", {"other": [1]})
    with pytest.raises(UserError, match=r"no variable file_list in it \(it has other\)"):
        made(StanfordDogs(), dogs)


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    base = tmp_path / "CUB_200_2011"
    names = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Tern")
    files = [f"{name}/{number}.jpg" for name in names for number in range(3)]
    for file in files:
        image(base / "images" / file)
    rows = {
        "classes.txt": [f"{number} {name}" for number, name in enumerate(names, start=1)],
        "images.txt": [f"{number} {file}" for number, file in enumerate(files, start=1)],
        "image_class_labels.txt": [f"{number} {(number - 1) // 3 + 1}" for number in range(1, 10)],
        "train_test_split.txt": [f"{number} {int(number % 3 > 0)}" for number in range(1, 10)],
        "bounding_boxes.txt": [f"{number} 2.0 1.0 10.0 6.0" for number in range(1, 10)],
    }
    for name, lines in rows.items():
        (base / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_cub_by_its_lists_with_groups(birds: Path) -> None:
    data = made(Cub200(crop="box"), birds, val_fraction=0)
    assert data.spec.classes == ("Black_footed_Albatross", "Laysan_Albatross", "Sooty_Tern")
    assert data.spec.groups == ("Albatross", "Albatross", "Tern")
    assert data.spec.counts == (2, 2, 2)
    assert data.splits.train is not None
    assert data.splits.train.shape(0) == (6, 10)


def test_a_bird_in_no_list_is_named(birds: Path) -> None:
    table = birds / "CUB_200_2011" / "train_test_split.txt"
    table.write_text("\n".join(table.read_text().splitlines()[1:]))
    with pytest.raises(UserError, match=r"images.txt: image 1: no row in train_test_split.txt"):
        made(Cub200(), birds)
    table.unlink()
    with pytest.raises(UserError, match=r"no train_test_split.txt; it should be the folder CUB_200_2011"):
        made(Cub200(), birds)


def test_stanford_cars_by_its_lists(tmp_path: Path) -> None:
    names = ["AM General Hummer SUV 2000", "Audi TT RS Coupe 2012"]
    (tmp_path / "devkit").mkdir()
    savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": cells(names).T})
    fields = [("bbox_x1", "O"), ("bbox_y1", "O"), ("bbox_x2", "O"), ("bbox_y2", "O"), ("class", "O"), ("fname", "O")]
    for split, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = np.zeros((1, 4), dtype=fields)
        for place in range(4):
            rows[0, place] = (2, 1, 12, 9, 1 + place % 2, f"{place:05d}.jpg")
            image(tmp_path / f"cars_{split}" / f"{place:05d}.jpg")
        savemat(tmp_path / file, {"annotations": rows})
    data = made(StanfordCars(crop="box"), tmp_path, val_fraction=0)
    assert data.spec.classes == tuple(names)
    assert data.spec.groups == ("AM General", "Audi")
    assert data.splits.test is not None
    assert data.splits.test.shape(1) == (8, 10)
    assert data.splits.test.targets.tolist() == [0, 1, 0, 1]


def test_fgvc_aircraft_at_its_levels(tmp_path: Path) -> None:
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    planes = {"0034309": ("707-320", "Boeing 707", "Boeing"), "1025794": ("A310", "A310", "Airbus")}
    for split in ("train", "val", "test"):
        for place, level in enumerate(("variant", "family", "manufacturer")):
            lines = [f"{key}{split} {names[place]}" for key, names in planes.items()]
            (base / "images").mkdir(parents=True, exist_ok=True)
            (base / f"images_{level}_{split}.txt").write_text("\n".join(lines))
        for key in planes:
            image(base / "images" / f"{key}{split}.jpg")
    boxes = [f"{key}{split} 1 1 16 8" for key in planes for split in ("train", "val", "test")]
    (base / "images_box.txt").write_text("\n".join(boxes))
    data = made(FgvcAircraft(download=False, crop="box"), tmp_path)
    assert data.spec.classes == ("707-320", "A310")
    assert data.spec.groups == ("Boeing", "Airbus")
    assert data.splits.val is not None
    assert data.splits.val.shape(0) == (8, 16)
    makers = made(FgvcAircraft(download=False, level="manufacturer"), tmp_path)
    assert makers.spec.classes == ("Airbus", "Boeing")
    assert makers.spec.groups == ()


def test_flowers_by_their_lists(tmp_path: Path) -> None:
    for number in range(1, 7):
        image(tmp_path / "flowers-102" / "jpg" / f"image_{number:05d}.jpg")
    savemat(tmp_path / "flowers-102" / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2]])})
    ids = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]}
    savemat(tmp_path / "flowers-102" / "setid.mat", ids)
    data = made(Flowers102(download=False), tmp_path)
    assert [name[:4] for name in data.spec.classes] == ["001_", "002_"]
    assert data.splits.test is not None
    assert data.splits.test.targets.tolist() == [0, 1]


def test_pets_know_their_species(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for breed in ("Abyssinian", "american_bulldog", "Bengal"):
            image(tmp_path / split / breed / "1.png")
            image(tmp_path / split / breed / "2.png")
    data = made(OxfordPets(download=False), tmp_path)
    assert dict(zip(data.spec.classes, data.spec.groups, strict=True)) == {
        "Abyssinian": "cat", "Bengal": "cat", "american_bulldog": "dog",
    }  # fmt: skip


@pytest.mark.parametrize(
    "format", [StanfordDogs(), Cub200(), StanfordCars(), FgvcAircraft(download=False), Flowers102(download=False)]
)
def test_what_is_missing_is_said_and_image_folders_are_read(format: DataFormat, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root"):
        made(format, tmp_path / "nowhere")
    for name in ("a", "b"):
        for number in range(3):
            image(tmp_path / "train" / name / f"{number}.png")
    assert made(format, tmp_path).spec.classes == ("a", "b")


def test_a_wrong_crop_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.format\.crop=boxes: must be null"):
        StanfordDogs(crop="boxes")  # type: ignore[arg-type]


def test_beetles_are_the_same_every_time_and_differ_in_little() -> None:
    splits = [Beetles(train=24, val=12, test=12).read(root=None, kind="class", channels=3, seed=s) for s in (1, 1, 2)]
    first, again, other = (each.train.pixels(5) for each in splits if each.train is not None)
    assert (first == again).all()
    assert (first != other).any()
    assert splits[0].classes == CLASSES
    assert len(set(splits[0].groups.values())) == 3


def beetles(**options: Any) -> DataModule:
    return made(Beetles(train=1200, val=12, test=12, side=16), None, **options)


def test_label_noise_is_in_train_alone_seeded_and_said() -> None:
    clean, noisy, again, other = (
        beetles(label_noise=noise, seed=seed) for noise, seed in ((0.0, 0), (0.4, 0), (0.4, 0), (0.4, 1))
    )
    targets = [data.splits.train.targets for data in (clean, noisy, again, other) if data.splits.train is not None]
    assert int((targets[0] != targets[1]).sum()) == 480
    assert (targets[1] == targets[2]).all()
    assert (targets[1] != targets[3]).any()
    assert sum(noisy.spec.counts) == 1200
    for data in (clean, noisy):
        assert data.splits.val is not None
        assert data.splits.val.targets.tolist() == list(range(12))
    assert any("480 of 1,200 training labels made wrong at random" in note for note in noisy.splits.notes)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UserError, match=r"data\.label_noise="):
        beetles(label_noise=share)


GROUPS = {
    "plain.csv": "a,x\nb,y\n",
    "head.csv": "class;group\na;x\n\nb;y\n",
    "by_class.yaml": "a: x\nb: y\n",
    "by_group.yml": "x: [a]\ny: [b]\n",
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_read_as_people_write_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(GROUPS[name])
    assert read_groups(tmp_path / name) == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,x\na,y\n", r"a.csv:2: class a is in x and in y"),
        ("a.csv", "a,x\nb\n", r"a.csv:2: 'b' is not class,group"),
        ("a.csv", "", "it is empty"),
        ("a.yaml", "- a\n", "it should hold class: group"),
        ("a.yaml", "a: {b: c}\n", "a: give its group"),
        ("a.yaml", "a: [", "no valid YAML"),
    ],
)
def test_groups_that_cannot_be_read_say_where(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_groups(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read"):
        read_groups(tmp_path / "nothing.csv")


def test_a_class_without_a_group_is_named(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("spot_ladybird,ladybird\n")
    with pytest.raises(UserError, match="no group for 11 classes of the data: ring_ladybird"):
        beetles(groups=str(tmp_path / "groups.csv"))
