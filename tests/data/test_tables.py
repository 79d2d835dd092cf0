"""Tables of images and classes as programs and people write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto, Csv, DataFormat
from mobilevision.data.formats.plain_rows import table_rows
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.tools.check_data import check_data

from .conftest import Save
from .test_folders import sizes, text
from .test_formats import fill, names, read

PATHS = [f"images/{number}.jpg" for number in range(6)]
LABELS = ["cat", "dog"] * 3


@pytest.fixture
def images(save: Save, tmp_path: Path) -> Path:
    fill(save, "images", each=6)
    return tmp_path


def table(root: Path, rows: list[str], *, name: str = "labels.csv", encoding: str = "utf-8", end: str = "\n") -> Path:
    (root / name).write_bytes(end.join([*rows, ""]).encode(encoding))
    return root / name


def pairs(splits: Splits, split: str = "train") -> dict[str, str]:
    records = getattr(splits, split)
    return {name: splits.classes[target] for name, target in zip(names(records), records.targets, strict=True)}


RIGHT = {f"{number}.jpg": label for number, label in enumerate(LABELS)}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", [Auto(), Csv()], ids=["auto", "csv"])
def test_separators_and_encodings(images: Path, separator: str, encoding: str, form: DataFormat) -> None:
    rows = ["file,label", *(f"{path},{label}" for path, label in zip(PATHS, LABELS, strict=True))]
    table(images, [row.replace(",", separator) for row in rows], encoding=encoding, end="\r\n")
    assert pairs(read(form, images)) == RIGHT


def test_what_excel_writes(images: Path) -> None:
    rows = [f"{path};{'Küken' if label == 'cat' else label}" for path, label in zip(PATHS, LABELS, strict=True)]
    table(images, ["sep=;", "file;label", *rows], encoding="cp1252", end="\r\n")
    assert read(Csv(), images).classes == ("Küken", "dog")
    (images / "labels.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UserError, match=r"labels\.csv: this is an Excel workbook.*save it as CSV"):
        read(Csv(), images)


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path.replace("/", "\\"),
        lambda path: "./" + path,
        lambda path: "D:\\sets\\one\\" + path.replace("/", "\\"),
        lambda path: "/srv/sets/one/" + path,
        lambda path: "set/" + path,
        os.path.basename,
        lambda path: os.path.basename(path).removesuffix(".jpg"),
        lambda path: path.replace(".jpg", ".JPG"),
    ],
    ids=["backslashes", "dot", "windows", "absolute", "one above", "names", "ids", "case"],
)
def test_paths_of_another_machine_and_ids(images: Path, written: object) -> None:
    assert callable(written)
    rows = [f"{written(path)},{label}" for path, label in zip(PATHS, LABELS, strict=True)]
    table(images, ["image_id,label", *rows])
    assert pairs(read(Auto(), images)) == RIGHT
    table(images, rows)  # without a header
    assert pairs(read(Auto(), images)) == RIGHT


def test_a_missing_file_is_not_taken_from_another_folder(save: Save, images: Path) -> None:
    fill(save, "old/images", each=8)
    rows = [f"{path},{label}" for path, label in zip(PATHS, LABELS, strict=True)]
    table(images, ["file,label", *rows, "images/7.jpg,cat", "other/3.jpg,dog"])
    splits = read(Csv(), images)
    assert pairs(splits) == RIGHT
    assert [problem.where for problem in splits.problems] == ["labels.csv:8", "labels.csv:9"]
    assert f"no file images/7.jpg in {images}" in splits.problems[0].what


def test_ids_that_two_files_could_have(save: Save, tmp_path: Path) -> None:
    fill(save, "train", "test", each=4)
    table(tmp_path, ["id,label", "0,a", "1,b", "2,a", "3,b"], name="train.csv")
    table(tmp_path, ["id", "0", "1"], name="test.csv")
    table(tmp_path, ["id,label", "0,a", "1,a"], name="sample_submission.csv")
    splits = read(Auto(), tmp_path)
    assert splits.train is not None
    assert all("/train/" in splits.train.name(index) for index in range(4))
    assert splits.train.targets.tolist() == [0, 1, 0, 1]
    assert "test.csv has no labels: not used" in splits.notes
    (tmp_path / "train").rename(tmp_path / "one")
    (tmp_path / "test").rename(tmp_path / "two")
    splits = Csv().read(root=tmp_path / "train.csv", kind="class", channels=3, seed=0)
    assert "0 could be one/0.jpg and two/0.jpg in" in splits.problems[0].what


def test_folders_that_agree_with_the_table_stay_the_classes(save: Save, tmp_path: Path) -> None:
    fill(save, "cat", "dog")
    table(tmp_path, ["file,label", "cat/0.jpg,cat", "dog/0.jpg,dog"])
    splits = read(Auto(), tmp_path)
    assert sizes(splits) == {"train": 4}
    assert "data=auto took the format folder" in splits.notes


def test_the_folds_of_a_cross_validation(images: Path) -> None:
    rows = [f"{path},{label},{at % 3}" for at, (path, label) in enumerate(zip(PATHS, LABELS, strict=True))]
    table(images, ["image_id,label,kfold", *rows])
    splits = read(Auto(), images)
    assert pairs(splits, "val") == {"0.jpg": "cat", "3.jpg": "dog"}
    assert sizes(splits) == {"val": 2, "train": 4}
    assert "column kfold holds 3 folds: 0 is val" in text(splits)
    assert names(read(Csv(fold=2), images).val) == ["2.jpg", "5.jpg"]
    with pytest.raises(UserError, match=r"data\.format\.fold=7: the column kfold of labels\.csv has the folds 0, 1, 2"):
        read(Csv(fold=7), images)


def test_split_columns_that_say_yes_or_no_and_other_words(images: Path) -> None:
    rows = [f"{path},{label}" for path, label in zip(PATHS, LABELS, strict=True)]
    table(images, ["fname,labels,is_valid", *(f"{row},{at > 3}" for at, row in enumerate(rows))])
    assert sizes(read(Auto(), images)) == {"train": 4, "val": 2}
    words = ["Training", "training set", "dev", "holdout", "train", "eval"]
    table(images, ["fname,labels,Data Set", *(f"{row},{word}" for row, word in zip(rows, words, strict=True))])
    assert sizes(read(Auto(), images)) == {"train": 3, "val": 2, "test": 1}


def test_a_column_a_class(images: Path) -> None:
    rows = [f"{at},{os.path.basename(path)},{at % 2 == 0:.1f},{at % 2:.1f}" for at, path in enumerate(PATHS)]
    table(images, [",image,cat,dog", *rows])
    assert pairs(Csv().read(root=images, kind="class", channels=3, seed=0)) == RIGHT
    table(images, ["image,cat,dog", "0.jpg,1,0", "1.jpg,0,1", "2.jpg,0,0", "3.jpg,0,1"])
    splits = read(Csv(), images)
    assert [(problem.where, problem.what) for problem in splits.problems] == [("labels.csv:4", "no label for 2.jpg")]
    table(images, ["image,cat,dog", "0.jpg,1,0", "1.jpg,1,1"])
    with pytest.raises(UserError, match=r"labels\.csv:3: the image has 2 classes \(cat, dog\).*task=face_attributes"):
        read(Csv(), images)


@pytest.mark.parametrize(
    "labels",
    [
        ["['cat']", "\"['cat', 'dog']\"", "['dog']"],
        ['"[""cat""]"', '"[""cat"", ""dog""]"', '"[""dog""]"'],
        ["cat", "cat|dog", "dog"],
        ["cat", "cat;dog", "dog"],
        ["cat", '"dog, cat"', "dog"],
    ],
)
def test_several_labels_of_a_image_are_refused(images: Path, labels: list[str]) -> None:
    table(images, ["file,labels", *(f"{path},{label}" for path, label in zip(PATHS, labels, strict=False))])
    with pytest.raises(UserError, match=r"labels\.csv:3: the label is a list, .*one label an image"):
        read(Csv(), images)


def test_lists_of_one_and_names_with_commas_are_classes(images: Path) -> None:
    table(images, ["file,labels", *(f"{path},['{label}']" for path, label in zip(PATHS, LABELS, strict=True))])
    assert pairs(read(Csv(), images)) == RIGHT
    said = ["corn", "tench, Tinca tinca", "maillot", "maillot, tank suit", "crane, machine", "sunglasses, shades"]
    table(images, ["file,labels", *(f'{path},"{label}"' for path, label in zip(PATHS, said, strict=True))])
    assert set(pairs(read(Csv(), images)).values()) == set(said)


def test_rows_without_a_label_are_problems(images: Path) -> None:
    given = ["cat", "", "nan", "dog", "N/A", "cat"]
    table(images, ["file,label", *(f"{path},{label}" for path, label in zip(PATHS, given, strict=True))])
    splits = read(Csv(), images)
    assert splits.classes == ("cat", "dog")
    assert [problem.where for problem in splits.problems] == ["labels.csv:3", "labels.csv:4", "labels.csv:6"]


def test_numbers_as_pandas_writes_them_are_in_order(images: Path) -> None:
    given = ["10.0", "9.0", "100.0", "9.0", "10.0", "1.0"]
    table(images, ["file,label", *(f"{path},{label}" for path, label in zip(PATHS, given, strict=True))])
    assert read(Csv(), images).classes == ("1.0", "9.0", "10.0", "100.0")


def test_a_table_of_which_no_path_exists_names_rows_and_the_base(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(images, ["file,label", *(f"pics/gone{number}.jpg,{LABELS[number]}" for number in range(6))])
    with pytest.raises(UserError, match="no image can be used; 6 problem") as caught:
        DataModule(format=Csv(), root=str(images), workers=0, on_error="skip").setup_data()
    assert f"labels.csv:2: no file pics/gone0.jpg in {images}" in str(caught.value)
    out = tmp_path / "lists"
    with pytest.raises(UserError, match="no image can be used"):
        check_data(["task=classification", "data=auto", f"data.root={images}"], out=out)
    assert "labels.csv:7: no file pics/gone5.jpg" in capsys.readouterr().out
    assert (out / "problems.csv").read_text().count("no file pics/gone") == 6


def test_the_folder_of_images_may_be_named_from_the_root_on(images: Path) -> None:
    table(images, ["file,label", *(f"{at}.jpg,{label}" for at, label in enumerate(LABELS))])
    assert pairs(read(Csv(images="images"), images)) == RIGHT
    with pytest.raises(UserError, match=r"data\.format\.images=pics: there is no such folder"):
        read(Csv(images="pics"), images)


BOXES = ["filename,class,xmin,ymin,xmax,ymax", "images/0.jpg,cat,1,1,5,5", "images/1.jpg,dog,1,1,5,5"]


@pytest.mark.parametrize("kind", ["class", "identity", "attributes"])
@pytest.mark.parametrize("form", [Auto(), Csv()])
def test_boxes_are_no_classes(images: Path, kind: str, form: DataFormat) -> None:
    root = table(images, [*BOXES, "images/1.jpg,dog,2,2,6,6"])
    with pytest.raises(UserError, match=r"labels\.csv: these are boxes, several in one image: task=detection"):
        form.read(root=root, kind=kind, channels=3, seed=0)


def test_boxes_of_one_class_are_no_classes(images: Path) -> None:
    root = table(images, [row.replace("dog", "cat") for row in BOXES])
    with pytest.raises(UserError, match=r"these are boxes \(the format boxes_csv\): task=detection"):
        Auto().read(root=root, kind="class", channels=3, seed=0)


def test_one_box_in_each_image_says_its_class(images: Path) -> None:
    splits = read(Auto(), table(images, [*BOXES, BOXES[1]]))
    assert pairs(splits) == {"0.jpg": "cat", "1.jpg": "dog"}
    assert [problem.fix for problem in splits.problems] == ["keep one of the rows"]


WRONG_TASKS = {
    "face_attributes": (["path,Smiling,Hat", "images/0.jpg,1,0", "images/1.jpg,0,0"], "attributes"),
    "geolocalization": (["path,latitude,longitude", "images/0.jpg,1,40", "images/1.jpg,8,41"], "places"),
    "classification": (["path,label", "images/0.jpg,cat", "images/1.jpg,dog"], "classes"),
    "detection": ([*BOXES, "images/1.jpg,dog,2,2,6,6"], "boxes"),
}


@pytest.mark.parametrize("kind", ["class", "identity", "attributes", "coordinate", "boxes"])
@pytest.mark.parametrize("task", list(WRONG_TASKS))
def test_data_of_another_task_names_it(images: Path, task: str, kind: str) -> None:
    rows, what = WRONG_TASKS[task]
    read_by = {"face_attributes": "attributes", "geolocalization": "coordinate", "detection": "boxes"}
    table(images, rows)
    if kind == read_by.get(task, "class") or (task, kind) == ("classification", "identity"):
        assert Auto().read(root=images, kind=kind, channels=3, seed=0).train is not None
        return
    with pytest.raises(UserError, match=rf"these are {what}.*: task={task}\b"):
        Auto().read(root=images, kind=kind, channels=3, seed=0)


def test_a_table_of_places_beside_class_folders_is_told(save: Save, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(save, name, each=2)
    table(tmp_path, ["path,lat,lon", "cat/0.jpg,1,40", "dog/0.jpg,1,41"], name="table.csv")
    assert "(task=geolocalization learns its places)" in read(Auto(), tmp_path).notes[1]


def test_folders_of_classes_are_no_attributes(save: Save, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(save, name, each=2)
    with pytest.raises(UserError, match=r"these are classes \(a folder each\): task=classification"):
        Auto().read(root=tmp_path, kind="attributes", channels=3, seed=0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["path,Smiling,Male", "cat/0.jpg,-1,1"], "task=face_attributes learns its columns"),
        (["path,label", "cat/0.jpg,cat"], "data=csv data.root={root}/table.csv reads it"),
    ],
)
def test_a_table_beside_class_folders_is_told(save: Save, tmp_path: Path, rows: list[str], said: str) -> None:
    for name in ("cat", "dog"):
        fill(save, name, each=2)
    table(tmp_path, rows, name="table.csv")
    notes = read(Auto(), tmp_path).notes
    expected = f"not used: table.csv, beside the folders that are the classes ({said.format(root=tmp_path)})"
    assert notes[:2] == ["data=auto took the format folder", expected]


@pytest.mark.parametrize("kind", ["class", "identity", "boxes"])
def test_groups_that_would_not_be_kept_together_are_refused(images: Path, kind: str) -> None:
    rows = ["file,label,person", *(f"{path},{label},p" for path, label in zip(PATHS, LABELS, strict=True))]
    file = table(images, rows)
    with pytest.raises(UserError, match=r"data\.format\.group=person: it is for attributes and coordinates"):
        Csv(group="person").read(root=file, kind=kind, channels=3, seed=0)


def test_rows_for_plugins_are_their_files_and_cells(images: Path) -> None:
    """Files are looked up, splits and what is wrong with a row are told; cells stay as they are written."""
    rows = ["file,note,subset,x", f"{PATHS[0]},a,train,1.5", f"{PATHS[1]},b,valid, 2", "none.jpg,c,train,3"]
    table(images, [*rows, f"{PATHS[0]},d,train,4", f"{PATHS[2]},train"])
    splits = Splits()
    found = table_rows(images, splits, expected="a table", columns_of=lambda head, _: [3, head.index("note")])
    assert [(row.where, row.split, row.cells) for row in found] == [
        ("labels.csv:2", "train", ["1.5", "a"]),
        ("labels.csv:3", "val", [" 2", "b"]),
    ]
    assert os.fsdecode(found[0].path) == str(images / PATHS[0])
    said = [str(problem) for problem in splits.problems]
    assert [each.partition(": ")[0] for each in said] == ["labels.csv:4", "labels.csv:5", "labels.csv:6"]
    assert not splits.whole
    with pytest.raises(UserError, match="no table found; it should be a table"):
        table_rows(images / "images", Splits(), expected="a table", columns_of=lambda head, _: [])
