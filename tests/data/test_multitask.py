"""Several data sets joined into one: images once each, what is not known masked, no image in train and test alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mobilevision.data import Augment, BoxAugment, DataModule
from mobilevision.data.formats import CocoJson, Csv, ImageFolder, Multitask, Scenes
from mobilevision.data.multitask import NONE, MultitaskAugment, MultitaskSampler
from mobilevision.data.multitask import joined as join
from mobilevision.data.view import Sample, View
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import read_csv
from mobilevision.tools.check_data import check_data

Make = Callable[..., Path]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """Twelve images: boxes of the first eight, weather of the last eight; four have both."""
    folder = tmp_path / "street"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:02d}.png")
    images = [{"id": n, "file_name": f"{n:02d}.png", "width": 32, "height": 24} for n in range(8)]
    boxes = [{"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [2 + n, 3, 10, 12]} for n in range(8)]
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    known = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "cars.json").write_text(json.dumps(known), encoding="utf-8")
    rows = [f"images/{n:02d}.png,{('sun', 'rain')[n % 2]}" for n in range(4, 12)]
    (folder / "weather.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    return folder


def street_parts(folder: Path, **options: Any) -> dict[str, DataModule]:
    cars = DataModule(
        format=CocoJson(images=str(folder / "images")),
        root=str(folder / "cars.json"),
        kind="boxes",
        on_error="skip",
        **options,
    )
    weather = DataModule(format=Csv(), root=str(folder / "weather.csv"), kind="class", on_error="skip", **options)
    return {"cars": cars, "weather": weather}


def joined(parts: dict[str, DataModule], **options: Any) -> DataModule:
    of_format = {"sampling": options.pop("sampling", "size"), "kept": options.pop("kept", ())}
    data = DataModule(
        format=Multitask(parts=parts, **of_format),
        kind="multitask",
        fit="stretch",
        resolution=32,
        batch_size=4,
        val_fraction=0.0,
        workers=0,
        **options,
    )
    data.setup_data()
    return data


def test_images_that_two_parts_have_are_one(street: Path) -> None:
    data = joined(street_parts(street, val_fraction=0.25, test_fraction=0.25))
    records = [each for _, each in data.splits.items()]
    names = [each.name(index) for each in records for index in range(len(each))]
    assert len(names) == len(set(names)) == 12
    both = sum(int((each.targets.rows != NONE).all(axis=1).sum()) for each in records)
    assert both == 4
    assert data.spec.classes == ("cars/bus", "cars/car", "weather/rain", "weather/sun") or len(data.spec.classes) == 4
    assert data.spec.parts["cars"].resolution == data.spec.resolution == (32, 32)


def test_no_image_is_learnt_from_and_tested_on(street: Path) -> None:
    parts = street_parts(street, val_fraction=0.25, test_fraction=0.25)
    joined(parts)
    of_split = [
        {records.image_key(row) for row in range(len(records))}
        for split in ("train", "val", "test")
        for records in [getattr(parts[name].splits, split) for name in parts]
        if records is not None
    ]
    seen: dict[Any, str] = {}
    for module in parts.values():
        for split, records in module.splits.items():
            for row in range(len(records)):
                key = records.image_key(row)
                assert seen.setdefault(key, split) == split
    assert of_split


def test_a_test_set_of_one_part_is_no_train_of_another(tmp_path: Path) -> None:
    for split, label, number in [("train", "a", 3), ("train", "b", 3), ("test", "a", 2), ("test", "b", 2)]:
        folder = tmp_path / "set" / split / label
        folder.mkdir(parents=True)
        for each in range(number):
            Image.new("RGB", (8, 8), (each * 20, len(split) * 9, ord(label))).save(folder / f"{each}.png")
    rows = [
        f"{path.relative_to(tmp_path)},{'x' if 'a' in path.parts else 'y'},train"
        for path in sorted((tmp_path / "set").rglob("*.png"))
    ]
    (tmp_path / "other.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    one = DataModule(format=ImageFolder(), root=str(tmp_path / "set"), kind="class", val_fraction=0.0, on_error="skip")
    other = DataModule(format=Csv(), root=str(tmp_path / "other.csv"), kind="class", val_fraction=0.0, on_error="skip")
    data = joined({"one": one, "other": other})
    assert len(other.splits.train or ()) == 6, "the four images of the other's test are left out"
    assert any("4 images of its train are left out" in note for note in data.splits.notes)


def test_a_batch_has_a_row_for_every_image_and_says_what_is_known(street: Path) -> None:
    data = joined(street_parts(street, val_fraction=0.0, test_fraction=0.0))
    records = data.splits.train
    assert records is not None
    source = data.eval_dataloader("train").source
    batch = source.__getitems__([(0, index) for index in range(len(records))])
    cars, weather = batch["target"]["cars"], batch["target"]["weather"]
    assert cars["known"].tolist() == [True] * 8 + [False] * 4
    assert weather["known"].tolist() == [False] * 4 + [True] * 8
    assert cars["target"]["boxes"].shape == (12, 1, 4)
    assert not cars["target"]["boxes"][8:].any()
    by_name = {Path(records.name(int(index))).stem: place for place, index in enumerate(batch["index"])}
    classes = data.spec.parts["weather"].classes
    for number in range(4, 12):
        place = by_name[f"{number:02d}"]
        assert classes[int(weather["target"][place])] == ("sun", "rain")[number % 2]
    assert torch.allclose(cars["target"]["boxes"][by_name["03"], 0], torch.tensor([5.0, 4.0, 15.0, 20.0]))


def test_boxes_follow_the_augmentation_of_their_part(street: Path) -> None:
    data = joined(street_parts(street, val_fraction=0.0, test_fraction=0.0))
    boxes = BoxAugment(flip=1.0, iou_crop=0.0, zoom_out=0.0, photometric=0.0)
    data.train_with(batch_size=4, augment=MultitaskAugment({"cars": boxes, "weather": Augment(flip=0.0)}))
    records = data.splits.train
    assert records is not None
    batch = data.train_dataloader().source.__getitems__([(0, 3), (0, 5)])
    plain = data.eval_dataloader("train").source.__getitems__([(0, 3), (0, 5)])
    assert torch.equal(batch["image"], plain["image"].flip(3)), "mirrored, also where the weather is known, too"
    left = batch["target"]["cars"]["target"]["boxes"][:, 0, 0]
    assert torch.allclose(left, 32 - plain["target"]["cars"]["target"]["boxes"][:, 0, 2])


def test_boxes_of_two_parts_in_an_image_follow_the_same_augmentation(street: Path) -> None:
    parts = {"cars": street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]}
    parts["again"] = street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]
    data = joined(parts)
    data.train_with(batch_size=4, augment=MultitaskAugment({"cars": BoxAugment(photometric=0.0), "again": None}))
    source = data.train_dataloader().source
    for epoch in range(3):
        batch = source.__getitems__([(epoch, index) for index in range(8)])["target"]
        for key, value in batch["cars"]["target"].items():
            assert torch.equal(batch["again"]["target"][key], value), key


def test_boxes_lie_as_in_an_evaluation_where_nothing_is_drawn(street: Path) -> None:
    cars = street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]
    again = street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]
    data = joined({"cars": cars, "again": again})
    plain = data.eval_dataloader("train").source.__getitems__([(0, 1), (0, 2)])["target"]["again"]["target"]
    data.train_with(batch_size=4, augment=MultitaskAugment({"cars": None, "again": BoxAugment(flip=1.0)}))
    drawn = data.train_dataloader().source.__getitems__([(0, 1), (0, 2)])["target"]["again"]["target"]
    assert torch.equal(drawn["boxes"], plain["boxes"])


def test_an_augmentation_that_does_not_say_how_the_image_lies_draws_no_boxes_of_others(street: Path) -> None:
    class Secret(BoxAugment):  # type: ignore[misc]
        def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
            return super().sample(view, index, rng)._replace(placement=None)

    cars = street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]
    again = street_parts(street, val_fraction=0.0, test_fraction=0.0)["cars"]
    data = joined({"cars": cars, "again": again})
    data.train_with(batch_size=4, augment=MultitaskAugment({"cars": Secret(), "again": None}))
    with pytest.raises(UserError, match=r"parts\.cars and parts\.again .* Secret"):
        data.train_dataloader().source.__getitems__([(0, 1)])


def test_what_is_wrong_with_a_part_names_it(street: Path) -> None:
    (street / "weather.csv").write_text("path,label\nimages/04.png,sun\nimages/99.png,rain\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"parts\.weather|weather: .*99\.png"):
        joined(street_parts(street))


def drawn(train: int = 40) -> dict[str, DataModule]:
    def scenes(number: int) -> Scenes:
        return Scenes(train=number, val=4, test=4, side=32)

    return {
        "objects": DataModule(format=scenes(train), kind="boxes"),
        "ground": DataModule(format=scenes(2 * train), kind="class"),
    }


def test_drawn_images_are_the_same_for_all_kinds() -> None:
    data = joined(drawn())
    assert data.splits.train is not None
    assert len(data.splits.train) == 80
    assert data.splits.train.targets.sizes == {"objects": 40, "ground": 80}


def test_even_sampling_shows_each_part_equally_often() -> None:
    data = joined(drawn(), sampling="even")
    assert data.splits.train is not None
    rows, even = data.splits.train.targets.rows, {"objects": 1.0, "ground": 1.0}
    sampler = MultitaskSampler(rows, weights=even, batch_size=4)
    assert sampler.counts.tolist() == [40, 40]
    keys = [key for batch in sampler.batches(0, 0) for key in batch]
    assert len(keys) == 80 == len(data.splits.train)
    again = [key for batch in MultitaskSampler(rows, weights=even, batch_size=4).batches(0, 2) for key in batch]
    assert again == keys[8:], "a resume goes on with the same batches"
    assert [key for batch in sampler.batches(1, 0) for key in batch] != keys


def test_parts_that_are_learnt_keep_their_images_and_no_other_is_tested_on_these(street: Path) -> None:
    fractions = {"val_fraction": 0.25, "test_fraction": 0.25}
    alone = street_parts(street, **fractions)["cars"]
    alone.setup_data()
    rows = [f"images/{n:02d}.png,{('sun', 'rain')[n % 2]},{('test', 'train')[n > 9]}" for n in range(12)]
    (street / "weather.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    parts = street_parts(street, **fractions)
    data = joined(parts, kept=[["cars"]])

    def names(module: DataModule) -> dict[str, list[str]]:
        return {split: [each.name(index) for index in range(len(each))] for split, each in module.splits.items()}

    assert names(parts["cars"]) == names(alone)
    assert not set(names(parts["weather"])["test"]) & {*names(alone)["train"], *names(alone)["val"]}
    assert any("of its test are left out: they are in the train of cars" in note for note in data.splits.notes)
    recut = joined(street_parts(street, **fractions))
    assert len(recut.parts["cars"].splits.train or ()) < len(names(alone)["train"])
    with pytest.raises(UserError, match=r"data\.format\.kept: there is no part bikes"):
        joined(street_parts(street), kept=[["bikes"]])


@pytest.mark.parametrize("sampling", ["size", "even"])
def test_images_that_only_idle_parts_know_are_not_shown(street: Path, sampling: str) -> None:
    data = joined(street_parts(street), sampling=sampling, drop_last=False)
    data.idle = frozenset({"cars"})
    assert data.splits.train is not None
    rows = data.splits.train.targets.rows
    keys = [index for batch in data.train_dataloader() for index in batch["index"].tolist()]
    assert sorted(keys) == np.flatnonzero(rows[:, 1] != NONE).tolist()
    assert len(keys) == data.shown < len(rows)


def test_a_small_part_comes_again_drawn_anew() -> None:
    rows = np.array([[0, NONE]] * 2 + [[NONE, n] for n in range(6)], dtype=np.int64)
    often = {"a": 3.0, "b": 1.0}
    sampler = MultitaskSampler(rows, weights=often, batch_size=4)
    keys = [key for batch in sampler.batches(0, 0) for key in batch]
    small = [key for key in keys if key[1] < 2]
    assert len(small) == 6
    assert len(set(small)) == 6, "each showing has a key, so an augmentation, of its own"
    two = [
        {
            tuple(key)
            for batch in MultitaskSampler(rows, weights=often, batch_size=2, rank=r, world=2).batches(0, 0)
            for key in batch
        }
        for r in range(2)
    ]
    assert not two[0] & two[1]


def test_an_image_of_two_parts_is_drawn_anew_for_each() -> None:
    rows = np.array([[n, n] for n in range(8)], dtype=np.int64)
    sampler = MultitaskSampler(rows, weights={"a": 1.0, "b": 1.0}, batch_size=4)
    epochs = [[key for batch in sampler.batches(epoch, 0) for key in batch] for epoch in range(3)]
    assert all(len({index for _, index in keys}) < len(keys) for keys in epochs), "some come twice"
    every = [key for keys in epochs for key in keys]
    assert len(set(every)) == len(every)
    assert epochs[1] == [key for batch in sampler.batches(1, 0) for key in batch]


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan"), 10**400, True, "2", None])
def test_a_weight_is_a_number_above_0(weight: Any) -> None:
    with pytest.raises(UserError, match=r"data\.format\.sampling=.*: objects (must be above 0|needs a number)"):
        Multitask(parts={}, sampling={"objects": weight, "ground": 1.0})


def test_weights_far_apart_show_every_part_or_are_refused() -> None:
    rows = np.array([[0, NONE]] * 4 + [[NONE, n] for n in range(4)], dtype=np.int64)
    assert MultitaskSampler(rows, weights={"a": 1e308, "b": 1e308}, batch_size=4).counts.tolist() == [4, 4]
    with pytest.raises(UserError, match=r"data\.format\.sampling\.b=1: .* would have none of b"):
        MultitaskSampler(rows, weights={"a": 1e6, "b": 1.0}, batch_size=4)


def test_weights_for_other_parts_are_refused() -> None:
    data = joined(drawn(), sampling={"objects": 2.0})
    with pytest.raises(UserError, match="give each part a weight"):
        data.train_dataloader()


def test_the_spec_survives_a_checkpoint() -> None:
    from mobilevision.spec import DataSpec

    spec = joined(drawn()).spec
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_check_data_looks_at_the_images_of_all_parts(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for copy, of in (("00", "01"), ("11", "02")):  # both with boxes; the one with boxes, the other with a weather
        (street / "images" / f"{copy}.png").write_bytes((street / "images" / f"{of}.png").read_bytes())
    cars = [f"parts.cars.data.root={street / 'cars.json'}", f"parts.cars.data.format.images={street / 'images'}"]
    weather = [
        "parts.weather=classification",
        "parts.weather.data=csv",
        f"parts.weather.data.root={street / 'weather.csv'}",
    ]
    check_data(["task=multitask", "parts.cars=detection", "parts.cars.data=coco_json", *cars, *weather], out=street)
    said = capsys.readouterr().out
    assert "cars: " in said
    assert "weather: " in said
    assert "duplicates: 2 exact" in said
    pairs = read_csv(street / "duplicates.csv")
    differ = {Path(row["first"]).stem: row["labels_differ"] for row in pairs if row["kind"] == "exact"}
    assert {differ.get("00", differ.get("01")), differ.get("11", differ.get("02"))} == {"1", "0"}
    assert differ.get("11", differ.get("02")) == "0", "no part knows both"


def of_csv(path: Path, rows: list[str], header: str = "path,label", **options: Any) -> DataModule:
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return DataModule(format=Csv(), root=str(path), kind="class", on_error="skip", **options)


def of_walks(path: Path, names: list[str], **options: Any) -> DataModule:
    """Attributes of images, four of which belong together each time."""
    rows = [f"images/{name},{n % 2},walk{n // 4}" for n, name in enumerate(names)]
    path.write_text("\n".join(["path,wet,walk", *rows]), encoding="utf-8")
    form = Csv(attributes=["wet"], group="walk")
    return DataModule(format=form, root=str(path), kind="attributes", on_error="skip", **options)


def pictures(folder: Path, number: int) -> list[str]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    names = [f"{n:02d}.png" for n in range(number)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
    return names


def placed(parts: dict[str, DataModule]) -> dict[str, dict[str, str]]:
    """By part, the split of every file."""
    return {
        part: {
            Path(records.name(row)).name: split
            for split, records in module.splits.items()
            for row in range(len(records))
        }
        for part, module in parts.items()
    }


def test_a_link_to_an_image_is_that_image(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 12)
    (tmp_path / "links").mkdir()
    for name in names:
        (tmp_path / "links" / f"l{name}").symlink_to(tmp_path / "images" / name)
    one = of_csv(tmp_path / "one.csv", [f"images/{name},{'ab'[n % 2]}" for n, name in enumerate(names)])
    two = of_csv(tmp_path / "two.csv", [f"links/l{name},{'xy'[n % 2]}" for n, name in enumerate(names)])
    data = joined({"one": one, "two": two})
    assert sum(len(records) for _, records in data.splits.items()) == 12
    where = placed({"one": one, "two": two})
    assert all(where["two"][f"l{name}"] == split for name, split in where["one"].items())


def test_an_image_that_a_part_has_twice_is_not_lost(street: Path) -> None:
    train = joined(street_parts(street, val_fraction=0.0)).splits.train
    assert train is not None
    cars, weather = train.targets.parts
    again = join({"cars": cars, "weather": weather.subset(np.array([0, 1, 0]))})
    assert again is not None
    assert again.targets.sizes == {"cars": 8, "weather": 3}
    assert len(again) == 9
    assert again.groups is not None
    same = [row for row in range(9) if again.name(row) == weather.name(0)]
    assert len(same) == 2
    assert len(set(again.groups[same].tolist())) == 1


def test_the_first_part_is_cut_as_it_would_be_alone(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 40)
    rows = [f"images/{name},{'aaab'[n % 4]}" for n, name in enumerate(names)]
    cut = {"val_fraction": 0.25, "test_fraction": 0.25}
    alone = of_csv(tmp_path / "one.csv", rows, **cut)
    alone.setup_data()
    one = of_csv(tmp_path / "one.csv", rows, **cut)
    two = of_csv(tmp_path / "two.csv", [f"images/{name},{'xy'[n % 2]}" for n, name in enumerate(names[:20])], **cut)
    joined({"one": one, "two": two})
    where = placed({"alone": alone, "one": one, "two": two})
    assert where["one"] == where["alone"]
    assert alone.splits.notes[0] in one.splits.notes
    assert where["two"] == {name: split for name, split in where["one"].items() if name in where["two"]}


def test_a_group_lies_in_one_split_and_in_one_fold(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 48)
    rows = [f"images/{name},{'ab'[n % 2]}" for n, name in enumerate(names)]

    def parts(**options: Any) -> dict[str, DataModule]:
        plain = of_csv(tmp_path / "plain.csv", rows[:30], **options)
        grouped = of_walks(tmp_path / "walks.csv", names, **options)
        return {"plain": plain, "grouped": grouped}

    made = parts(val_fraction=0.2, test_fraction=0.2)
    joined(made)
    where = placed(made)
    for walk in range(12):
        assert len({where["grouped"][name] for name in names[4 * walk : 4 * walk + 4]}) == 1
    assert all(where["grouped"][name] == split for name, split in where["plain"].items())
    made = parts(val_fraction=0.0)
    data = joined(made, folds=3, fold=1)
    tested = {Path(data.splits.test.name(row)).name for row in range(len(data.splits.test or ()))}  # type: ignore[union-attr]
    for walk in range(12):
        assert len({name in tested for name in names[4 * walk : 4 * walk + 4]}) == 1


def test_a_group_of_which_another_part_tests_an_image_is_tested(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 40)
    given = [f"images/{name},{'ab'[n % 2]},{'test' if n % 8 == 0 else 'train'}" for n, name in enumerate(names[:16])]
    parts = {
        "grouped": of_walks(tmp_path / "walks.csv", names, val_fraction=0.0),
        "given": of_csv(tmp_path / "given.csv", given, "path,label,split", val_fraction=0.0),
    }
    data = joined(parts)
    where = placed(parts)
    assert [name for name in names if where["grouped"][name] == "test"] == [*names[:4], *names[8:12]]
    said = "given: 6 images of its train are left out: they are in the test of grouped"
    assert said in data.splits.notes


def test_the_note_names_the_split_that_has_an_image(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 12)
    one = [f"images/{name},{'ab'[n % 2]},{'val' if n < 4 else 'train'}" for n, name in enumerate(names)]
    two = [f"images/{name},{'xy'[n % 2]},train" for n, name in enumerate(names)]
    made = {"one": one, "two": two}
    parts = {n: of_csv(tmp_path / f"{n}.csv", rows, "path,label,split", val_fraction=0.0) for n, rows in made.items()}
    notes = joined(parts).splits.notes
    assert "two: 4 images of its train are left out: they are in the val of one" in notes


def test_classes_are_counted_in_what_is_left(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 24)
    tested = [f"images/{name},{'ab'[n % 2]},{'test' if n < 6 else 'train'}" for n, name in enumerate(names)]
    other = [f"images/{name},{'xxy'[n % 3]}" for n, name in enumerate(names)]
    whole = {"one": of_csv(tmp_path / "one.csv", tested, "path,label,split", val_fraction=0.0)}
    whole["two"] = of_csv(tmp_path / "two.csv", [f"{row},train" for row in other], "path,label,split", val_fraction=0.0)
    spec = joined(whole).spec
    assert spec.parts["two"].counts == (12, 6)
    folded = {"two": of_csv(tmp_path / "two.csv", other, val_fraction=0.0)}
    data = joined(folded, folds=3, fold=1)
    assert data.spec.parts["two"].counts != (16, 8)
    assert sum(data.spec.parts["two"].counts) == len(data.splits.train or ()) == len(folded["two"].splits.train or ())


def test_a_part_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    names = pictures(tmp_path / "images", 12)
    one = [f"images/{name},{'ab'[n % 2]},{'test' if n < 8 else 'train'}" for n, name in enumerate(names)]
    two = [f"images/{name},{'xy'[n % 2]},train" for n, name in enumerate(names[:8])]
    made = {"one": one, "two": two}
    parts = {n: of_csv(tmp_path / f"{n}.csv", rows, "path,label,split", val_fraction=0.0) for n, rows in made.items()}
    with pytest.raises(UserError, match=r"parts\.two: no image left to learn from: all 8 .* in the test of one"):
        joined(parts)


def test_a_split_in_which_a_part_has_no_sample_is_that_of_the_others(street: Path) -> None:
    data = joined(street_parts(street, val_fraction=0.0))
    whole = data.splits.train
    assert whole is not None
    cars, weather = whole.targets.parts
    again = join({"cars": cars.subset(np.arange(0)), "weather": weather})
    assert again is not None
    assert again.targets.names == ("weather",)


def test_parts_have_one_white_level_and_it_is_said(tmp_path: Path) -> None:
    parts = {}
    for name, top in (("twelve", 4000), ("sixteen", 60000)):
        (tmp_path / name).mkdir()
        rows = []
        for n in range(6):
            Image.fromarray(np.full((8, 8), top - n, dtype=np.uint16)).save(tmp_path / name / f"{n}.png")
            rows.append(f"{name}/{n}.png,{'ab'[n % 2]}")
        parts[name] = of_csv(tmp_path / f"{name}.csv", rows, val_fraction=0.0)
    data = joined(parts)
    assert {data.spec.white_level, *(part.white_level for part in data.spec.parts.values())} == {65535.0}
    levels = [note for note in data.splits.notes if "white" in note]
    assert len(levels) == 2
    assert levels[0].startswith("images of more than 8 bits with values up to 60000")
    assert levels[1].startswith("twelve: its values go up to 4000 only")
    records = data.splits.train
    assert records is not None
    values = {Path(records.name(row)).parent.name: int(records.pixels(row).max()) for row in range(len(records))}
    assert values == {"twelve": 15, "sixteen": 233}


def test_data_that_is_not_there_is_told_with_its_part(street: Path) -> None:
    parts = street_parts(street)
    (street / "weather.csv").unlink()
    with pytest.raises(UserError, match=r"parts\.weather: data\.root="):
        joined(parts)


def test_images_without_labels_are_none_that_are_measured(street: Path, tmp_path: Path) -> None:
    parts = street_parts(street, val_fraction=0.25, test_fraction=0.25)
    (tmp_path / "more").symlink_to(street / "images")
    data = joined(parts, unlabelled=str(tmp_path / "more"))
    measured = len(data.splits.val or ()) + len(data.splits.test or ())
    assert f"{measured} images without labels are left out: val or test has them" in data.splits.notes
    records = data.train_and_unlabelled_dataloader().source.records
    assert len(records) == len(data.splits.train or ()) + 12 - measured
    for split, each in data.splits.items():
        if split != "train":
            assert not {each.image_key(n) for n in range(len(each))} & {
                records.image_key(n) for n in range(len(records))
            }
