from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mobilevision.data import DataModule, Splits
from mobilevision.data.files import FileRecords, PackedBytes
from mobilevision.data.formats import Auto, Cifar10, Csv, DataFormat, ImageFolder, ImageNet, OxfordPets
from mobilevision.data.records import Records
from mobilevision.errors import UserError

from .conftest import Save


def read(form: DataFormat, root: Path) -> Splits:
    return form.read(root=root, kind="class", channels=3, seed=0)


def module(form: DataFormat, root: Path, **options: object) -> DataModule:
    given = {"workers": 0, "resolution": 16, "batch_size": 4, **options}
    made = DataModule(format=form, root=str(root), **given)  # type: ignore[arg-type]
    made.setup_data()
    return made


def names(records: Records | None) -> list[str]:
    assert records is not None
    return [os.path.basename(records.name(i)) for i in range(len(records))]


def fill(save: Save, *folders: str, each: int = 2) -> None:
    for number, folder in enumerate(folders):
        for i in range(each):
            save(f"{folder}/{i}.jpg", seed=10 * number + i)


def test_packed_paths_give_back_any_bytes() -> None:
    paths = [b"a/b.jpg", b"", "é.png".encode(), b"\xff\xfe.jpg"]
    packed = PackedBytes(paths)
    assert [packed[i] for i in range(len(packed))] == paths


def test_image_folder_with_splits_by_their_usual_names(save: Save, tmp_path: Path) -> None:
    fill(save, "Training/cat", "Training/dog", "valid/cat", "valid/dog", "test/cat", "test/dog")
    (tmp_path / "Training/cat/notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    splits = read(ImageFolder(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert {name: len(records) for name, records in splits.items()} == {"train": 4, "val": 4, "test": 4}
    assert splits.train is not None
    assert splits.train.targets.tolist() == [0, 0, 1, 1]
    assert not splits.whole
    assert not splits.problems


def test_a_folder_without_splits_is_cut_reproducibly_and_by_class(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog/inner", each=10)
    first, second = (module(ImageFolder(), tmp_path, val_fraction=0.2, test_fraction=0.3) for _ in range(2))
    sizes = {name: np.bincount(records.targets).tolist() for name, records in first.splits.items()}
    assert sizes == {"train": [5, 5], "val": [2, 2], "test": [3, 3]} or sizes["test"] == [3, 3]
    everything = [n for _, r in first.splits.items() for n in (r.name(i) for i in range(len(r)))]
    assert len(set(everything)) == len(everything) == 20
    assert [names(r) for _, r in first.splits.items()] == [names(r) for _, r in second.splits.items()]
    other = module(ImageFolder(), tmp_path, seed=1)
    assert names(other.splits.val) != names(first.splits.val)
    assert any("no val" in note for note in first.splits.notes)
    assert any("no test" in note for note in first.splits.notes)


def test_a_given_test_split_is_left_alone(save: Save, tmp_path: Path) -> None:
    fill(save, "train/a", "train/b", each=5)
    fill(save, "test/a", "test/b")
    splits = module(ImageFolder(), tmp_path).splits
    assert len(splits.test or ()) == 4
    assert all("train" in (splits.val or splits).name(i) for i in range(len(splits.val or ())))  # type: ignore[union-attr]


def test_train_may_be_a_class(save: Save, tmp_path: Path) -> None:
    fill(save, "train", "car", "boat")
    assert read(ImageFolder(), tmp_path).classes == ("boat", "car", "train")


def test_images_without_class_folders_are_refused(save: Save, tmp_path: Path) -> None:
    save("1.jpg")
    for form in (ImageFolder(), Auto()):
        with pytest.raises(UserError, match="images lie "):
            read(form, tmp_path)


def test_a_root_that_is_missing_or_not_set_says_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file or folder; it should be a folder"):
        read(Auto(), tmp_path / "gone")
    with pytest.raises(UserError, match=r"data\.root is not set"):
        Csv().read(root=None, kind="class", channels=3, seed=0)


def test_csv_by_usual_names_with_a_split_column(save: Save, tmp_path: Path) -> None:
    fill(save, "images", each=6)
    rows = "".join(f"{i % 2};images/{i}.jpg;{s}\n" for i, s in enumerate(["train"] * 3 + ["valid", "test", "Test"]))
    (tmp_path / "all.csv").write_text("Species;File;Subset\n" + rows)
    splits = read(Csv(), tmp_path / "all.csv")
    assert {name: names(records) for name, records in splits.items()} == {
        "train": ["0.jpg", "1.jpg", "2.jpg"],
        "val": ["3.jpg"],
        "test": ["4.jpg", "5.jpg"],
    }
    assert not splits.whole
    assert splits.classes == ("0", "1")


def test_csv_by_position_numbers_in_order(save: Save, tmp_path: Path) -> None:
    fill(save, ".", each=4)
    (tmp_path / "list.csv").write_text("".join(f"{i}.jpg,{label}\n" for i, label in enumerate([10, 9, 100, 9])))
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("9", "10", "100")
    assert splits.train is not None
    assert splits.train.targets.tolist() == [1, 0, 2, 0]
    assert splits.whole


def test_csv_tables_of_their_own_and_an_image_folder(save: Save, tmp_path: Path) -> None:
    fill(save, "elsewhere", each=4)
    table = tmp_path / "tables"
    table.mkdir()
    (table / "train.csv").write_text("img_file,kind\n0.jpg,a\n1.jpg,b\n")
    (table / "held.csv").write_text("img_file,kind\n2.jpg,a\n3.jpg,b\n")
    form = Csv(path="img_file", label=1, test="held.csv", images=str(tmp_path / "elsewhere"))
    splits = read(form, table)
    assert names(splits.test) == ["2.jpg", "3.jpg"]
    assert splits.val is None


def test_csv_problems_are_named_by_file_and_line(save: Save, tmp_path: Path) -> None:
    fill(save, ".", each=3)
    lines = ["path,label,split", "0.jpg,a,train", "gone.jpg,b,train", "1.jpg,b,train", "0.jpg,b,val", ",a,train"]
    (tmp_path / "t.csv").write_text("\n".join([*lines, "2.jpg,a,later", "", "1.jpg,b,train"]))
    splits = read(Csv(), tmp_path / "t.csv")
    assert {problem.where for problem in splits.problems} == {"t.csv:3", "t.csv:5", "t.csv:6", "t.csv:7", "t.csv:9"}
    text = "\n".join(map(str, splits.problems))
    assert "no file gone.jpg" in text
    assert "stands in t.csv:2 (train) already, as 'a' not 'b'" in text
    assert "unknown split 'later'" in text
    assert names(splits.train) == ["0.jpg", "1.jpg"]


def test_csv_without_the_column_lists_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(
        UserError, match=r"no column for the path; it has a, b, c: name one with data=csv data\.format\.p"
    ):
        read(Csv(), tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(UserError, match="empty"):
        read(Csv(), tmp_path / "t.csv")


def test_a_name_that_is_not_utf8_is_read_and_printable(save: Save, tmp_path: Path) -> None:
    fill(save, "a", "b")
    odd = os.path.join(os.fsencode(tmp_path), b"a", b"caf\xe9.jpg")
    try:
        os.rename(tmp_path / "a" / "0.jpg", odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    splits = read(ImageFolder(), tmp_path)
    assert splits.train is not None
    assert r"caf\xe9.jpg" in "".join(names(splits.train))
    splits.train.name(0).encode()
    assert all(splits.train.pixels(i).shape == (48, 64, 3) for i in range(4))
    (tmp_path / "t.csv").write_bytes(b"path,label\na/caf\xe9.jpg,a\nb/0.jpg,b\n")
    assert not read(Csv(), tmp_path / "t.csv").problems


def test_channels_that_files_cannot_give_are_refused() -> None:
    with pytest.raises(UserError, match=r"1 \(grey\), 3 \(RGB\) or 4"):
        FileRecords(paths=[], targets=np.zeros(0, np.int64), channels=2)


def test_oxford_pets_reads_its_lists(save: Save, tmp_path: Path) -> None:
    for name in ("Abyssinian_1", "beagle_2", "Bombay_3", "Abyssinian_4"):
        save(f"oxford-iiit-pet/images/{name}.jpg")
    lists = tmp_path / "oxford-iiit-pet/annotations"
    lists.mkdir()
    (lists / "trainval.txt").write_text("#comment\nAbyssinian_1 1 1 1\nbeagle_2 2 2 1\nBombay_3 3 1 1\n")
    (lists / "test.txt").write_text("Abyssinian_4 1 1 1\nbeagle_9 2 2 1\n")
    for form in (OxfordPets(), Auto()):
        splits = read(form, tmp_path)
        assert splits.classes == ("Abyssinian", "beagle", "Bombay")
        assert names(splits.test) == ["Abyssinian_4.jpg"]
        assert [problem.where for problem in splits.problems] == ["test.txt:2"]


def test_imagenet_sorted_and_flat(save: Save, tmp_path: Path) -> None:
    fill(save, "train/n02000001", "train/n01000002")
    for i in (1, 2):
        save(f"val/ILSVRC2012_val_0000000{i}.JPEG")
    with pytest.raises(UserError, match=r"not sorted into classes.*LOC_val_solution"):
        read(ImageNet(), tmp_path)
    (tmp_path / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000002,n01000002 1 2 3 4\nILSVRC2012_val_00000001,n02000001 1 2\n"
    )
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01000002 crane\nn02000001 crane, big machine\n")
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("crane n01000002", "crane n02000001")
    assert splits.val is not None
    assert splits.val.targets.tolist() == [1, 0]
    assert splits.test is None


def test_imagenet_evaluation_set_alone(save: Save, tmp_path: Path) -> None:
    fill(save, "val/n01000002", "val/n02000001")
    data = module(ImageNet(), tmp_path)
    assert data.spec.counts == ()
    assert len(data.val_dataloader()) == 1
    with pytest.raises(UserError, match="no train split"):
        data.train_dataloader()


def test_imagenet_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither train/ nor val/.*ILSVRC2012_img_train\.tar"):
        read(ImageNet(), tmp_path)


@pytest.mark.parametrize("form", [Cifar10, OxfordPets])
def test_a_failed_download_says_what_to_put_where(
    form: type[DataFormat], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.error
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way online")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(UserError, match=rf"cannot be downloaded .*put into data\.root={tmp_path}") as caught:
        read(form(), tmp_path)
    assert "\n" not in str(caught.value)


def test_real_sets_are_read_as_they_are(shared_data: Path) -> None:
    clothing = read(Auto(), shared_data / "clothing")
    assert [len(records) for _, records in clothing.items()] == [250, 100, 100]
    cifar = module(Cifar10(), shared_data / "cifar10")
    assert len(cifar.spec.classes) == 10
    assert {name: len(records) for name, records in cifar.splits.items()} == {"train": 1600, "val": 400, "test": 500}
    assert len(read(OxfordPets(), shared_data / "pets").classes) == 12
