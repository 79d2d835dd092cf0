"""Identities: kept apart between splits, and read from folders, tables, LFW's lists and lists of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.data import Augment, DataModule
from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats import LFW, Auto, Csv, DrawnIdentities, Identities, ImageFolder, PairTable
from mobilevision.errors import UserError

PEOPLE = {"Ada": 4, "Bo": 4, "Cy": 4, "Di": 4, "Eve": 4, "Flo": 4, "Gus": 1, "Hal": 2}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A folder of people with some images each, as LFW lays them out."""
    root = tmp_path / "people"
    for person, (name, count) in enumerate(PEOPLE.items()):
        for number in range(1, count + 1):
            file = root / name / f"{name}_{number:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (person * 30, number * 20, 90)).save(file)
    return root


def module(format: DataFormat, root: Path | None, **options: Any) -> DataModule:
    given = {"kind": "identity", "batch_size": 8, "workers": 0, "resolution": 16, "test_fraction": 0.3, **options}
    data = DataModule(format=format, root=None if root is None else str(root), augment=Augment(), **given)
    data.setup_data()
    return data


def shown(data: DataModule) -> dict[str, set[str]]:
    """The people of each split, by name."""
    return {
        split: {data.splits.classes[number] for number in records.targets.identities if number >= 0}
        for split, records in data.splits.items()
    }


@pytest.mark.parametrize("format", [Identities(), ImageFolder(), Auto()])
def test_a_split_is_cut_between_people(format: DataFormat, people: Path) -> None:
    for seed in range(5):
        data = module(format, people, seed=seed)
        train, val, test = (shown(data)[split] for split in ("train", "val", "test"))
        assert all((train, val, test))
        assert not any((train & val, train & test, val & test))
        learnt = len(train)
        assert set(data.splits.classes[:learnt]) == train, "whom train shows is numbered first"
        assert data.spec.counts[:learnt] == tuple(PEOPLE[name] for name in data.splits.classes[:learnt])
        assert not any(data.spec.counts[learnt:])


def test_whoever_has_one_image_is_named(people: Path) -> None:
    data = module(Identities(), people, test_fraction=0.0, val_fraction=0.0)
    assert "Gus" not in shown(data)["train"]
    assert any("1 identities with one image are left out" in note and "Gus" in note for note in data.splits.notes)
    plain = module(Identities(), people, test_fraction=0.0, val_fraction=0.0, per_identity=1)
    assert "Gus" in shown(plain)["train"]


def table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_table_and_a_person_in_two_splits(people: Path, tmp_path: Path) -> None:
    rows = ["path,person,split"]
    for name in ("Ada", "Bo", "Cy"):
        rows += [f"{name}/{name}_{n:04d}.png,{name},train" for n in (1, 2, 3)]
    rows += [f"{name}/{name}_{n:04d}.png,{name},test" for name in ("Di", "Eve") for n in (1, 2)]
    rows += ["Ada/Ada_0004.png,Ada,test"]
    file = table(tmp_path / "list.csv", rows)
    for format in (Csv(images=str(people)), Identities(images=str(people))):
        with pytest.raises(UserError, match=r"'Ada' \(1 images\) is in train too"):
            module(format, file)
        data = module(format, file, on_error="skip", val_fraction=0.0)
        assert shown(data)["test"] == {"Di", "Eve"}
    anew = module(Identities(images=str(people), split="identity"), file, val_fraction=0.0)
    assert set.union(*shown(anew).values()) == {"Ada", "Bo", "Cy", "Di", "Eve"}


def test_a_list_of_pairs_becomes_the_test(people: Path, tmp_path: Path) -> None:
    rows = [
        "first,second,same",
        "Ada/Ada_0001.png,Ada/Ada_0002.png,1",
        "Ada/Ada_0001.png,Bo/Bo_0001.png,0",
        "Bo/Bo_0003.png,Ada/Ada_0001.png,0",
    ]
    table(people / "pairs.csv", rows)
    data = module(Identities(pairs="pairs.csv"), people, val_fraction=0.4)
    assert shown(data)["test"] == {"Ada", "Bo"}
    assert not shown(data)["train"] & {"Ada", "Bo"}
    test = data.splits.test
    assert test is not None
    pairs = test.targets.pairs
    assert pairs.same.tolist() == [True, False, False]
    names = [Path(test.name(index)).name for index in (pairs.first[2], pairs.second[2])]
    assert names == ["Bo_0003.png", "Ada_0001.png"]
    assert data.eval_dataloader("test").source.__getitems__([(0, 1)])["target"].shape == (1, 2)


def test_pairs_without_names_are_for_evaluation_only(people: Path, tmp_path: Path) -> None:
    rows = ["Ada/Ada_0001.png Ada/Ada_0002.png 1".replace(" ", ","), "Bo/Bo_0001.png,Cy/Cy_0001.png,0"]
    splits = PairTable(images=str(people)).read(
        root=table(tmp_path / "p.csv", rows), kind="identity", channels=3, seed=0
    )
    assert splits.train is None
    assert splits.test is not None
    assert splits.test.targets.identities.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["Ada/Ada_0001.png,Ada/no.png,1"], r"p\.csv:1: no file Ada/no\.png"),
        (["Ada/Ada_0001.png,Ada/Ada_0002.png,maybe"], "not path,path,0 or 1"),
        (["Ada/Ada_0001.png,Ada/Ada_0002.png,1", "Ada/Ada_0002.png,Ada/Ada_0001.png,0"], r"stands in p\.csv:1 already"),
    ],
)
def test_bad_pairs_are_named_by_line(people: Path, tmp_path: Path, rows: list[str], says: str) -> None:
    rows = [*rows, "Bo/Bo_0001.png,Cy/Cy_0001.png,0"]
    read = PairTable(images=str(people)).read(root=table(tmp_path / "p.csv", rows), kind="identity", channels=3, seed=0)
    assert len(read.problems) == 1
    with pytest.raises(UserError, match=says):
        module(PairTable(images=str(people)), tmp_path / "p.csv")


def test_lfw_as_it_is_distributed(people: Path) -> None:
    root = people.parent
    lines = ["2\t2"]
    for first, second in (("Ada", "Bo"), ("Cy", "Di")):
        lines += [f"{first}\t1\t2", f"{second}\t3\t4", f"{first}\t1\t{second}\t1", f"{first}\t2\t{second}\t2"]
    table(root / "pairs.txt", lines)
    for format in (LFW(), Auto()):
        data = module(format, root, val_fraction=0.3)
        assert shown(data)["test"] == {"Ada", "Bo", "Cy", "Di"}
        assert not shown(data)["train"] & shown(data)["test"]
        assert data.splits.test is not None
        pairs = data.splits.test.targets.pairs
        assert pairs.fold.tolist() == [0] * 4 + [1] * 4
        assert pairs.same.tolist() == [True, True, False, False] * 2
    table(root / "pairsDevTest.txt", ["1", "Ada\t1\t2", "Ada\t1\tBo\t2"])
    table(root / "peopleDevTrain.txt", ["3", "Cy\t4", "Di\t4", "Eve\t4"])
    data = module(LFW(view="dev"), root, val_fraction=0.0)
    assert shown(data) == {"train": {"Cy", "Di", "Eve"}, "test": {"Ada", "Bo"}}


@pytest.mark.parametrize("format", [LFW(), Identities(), PairTable()])
def test_a_place_of_another_sort_is_refused(format: DataFormat, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it should be"):
        module(format, tmp_path)


def test_one_person_is_nothing_to_learn(people: Path, tmp_path: Path) -> None:
    rows = ["path,identity", "Ada/Ada_0001.png,Ada", "Ada/Ada_0002.png,Ada", "Bo/Bo_0001.png,Bo"]
    with pytest.raises(UserError, match="fewer than two identities"):
        module(Identities(images=str(people)), table(tmp_path / "l.csv", rows), test_fraction=0.0, val_fraction=0.0)


def test_mixing_two_people_is_refused(people: Path) -> None:
    data = DataModule(format=Identities(), root=str(people), kind="identity", augment=Augment(mixup=0.2))
    with pytest.raises(UserError, match="two identities in one image"):
        data.setup_data()


def test_drawn_faces_are_a_function_of_seed_split_and_index() -> None:
    def read(seed: int = 0, channels: int = 3) -> Any:
        return DrawnIdentities(train=6, val=2, test=2, pictures=6).read(
            root=None, kind="identity", channels=channels, seed=seed
        )

    splits = read()
    assert np.array_equal(splits.train.pixels(7), read().train.pixels(7))
    assert not np.array_equal(splits.train.pixels(7), read(seed=1).train.pixels(7))
    assert not np.array_equal(splits.val.pixels(0), splits.train.pixels(0))
    assert np.bincount(splits.train.targets.identities).tolist() == [6] * 6
    assert splits.train.targets.identities[:8].tolist() == [0] * 4 + [1] * 4
    assert read(channels=1).test.pixels(0, size=(20, 30)).shape == (20, 30, 1)
    assert splits.classes[6] == "val_000"
    with pytest.raises(UserError, match=r"data\.channels=2"):
        read(channels=2)


def test_a_val_of_one_person_is_refused_and_two_are_cut(people: Path, tmp_path: Path) -> None:
    assert len(shown(module(Identities(), people, test_fraction=0.0, val_fraction=0.01))["val"]) == 2
    rows = ["path,person,split"]
    for name, split in (("Ada", "train"), ("Bo", "train"), ("Cy", "val")):
        rows += [f"{name}/{name}_{n:04d}.png,{name},{split}" for n in (1, 2)]
    with pytest.raises(UserError, match="val shows 1 identities with at most 2 images each"):
        module(Identities(images=str(people)), table(tmp_path / "l.csv", rows))


def test_a_folder_of_images_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a.png,b.png,1\n")
    with pytest.raises(UserError, match=r"data\.format\.images=gone: there is no such folder"):
        PairTable(images="gone").read(root=tmp_path / "pairs.csv", kind="identity", channels=3, seed=0)
