"""Tables whose columns, names or encoding can be taken for something that they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilevision.data import DataModule, Splits
from mobilevision.data.formats import Auto, BoxesCsv, CocoJson, Csv, Identities
from mobilevision.errors import UserError

from .box_files import coco, contents, image, messages, read

HEAD = "filename,class,xmin,ymin,xmax,ymax"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(6):
        image(tmp_path / f"{number}.jpg", 100, 80)
    return tmp_path


def table(root: Path, *rows: str, encoding: str = "utf-8") -> Path:
    (root / "labels.csv").write_bytes("".join(f"{row}\n" for row in rows).encode(encoding))
    return root


def labels(root: Path, *names: str, encoding: str = "utf-8") -> Path:
    return table(root, "image;label", *(f"{i}.jpg;{name}" for i, name in enumerate(names)), encoding=encoding)


# Boxes.


@pytest.mark.parametrize("first", [0, 1])
def test_the_box_around_the_points_of_a_quadrilateral(root: Path, first: int) -> None:
    head = ",".join(f"x{number},y{number}" for number in range(first, first + 4))
    table(root, f"filename,class,{head}", "0.jpg,cat,10,10,50,15,45,60,8,50", "1.jpg,cat,10,10,50,15,45,60,,")
    splits = read(BoxesCsv(), root)
    assert contents(splits)["train"] == {"0.jpg": [("cat", [8, 10, 50, 60])], "1.jpg": [("cat", [10, 10, 50, 60])]}
    assert "labels.csv: the box around 4 points a row is taken" in splits.notes
    table(root, f"filename,class,{head}", "0.jpg,cat,10,10,50,15,45,60,8,50", "1.jpg,cat,10,10,50,15,,,,")
    assert "not the x and y of three points" in messages(read(BoxesCsv(), root))[0]


@pytest.mark.parametrize("column", ["angle", "rotation", "theta", "bbox_angle"])
def test_boxes_turned_by_an_unknown_rule_are_refused(root: Path, column: str) -> None:
    head = f"filename,class,x,y,w,h,{column}"
    table(root, head, "0.jpg,cat,10,30,60,10,0", "1.jpg,cat,10,30,60,10,45")
    with pytest.raises(UserError, match=rf"labels\.csv:3: {column} is 45, so that the box is turned"):
        read(BoxesCsv(), root)
    for none in ("0", "0.0", "", "side"):
        splits = read(BoxesCsv(), table(root, head, f"0.jpg,cat,10,30,60,10,{none}"))
        assert contents(splits)["train"] == {"0.jpg": [("cat", [10, 30, 70, 40])]}
    table(root, f"filename,class,xmin,ymin,xmax,ymax,{column}", "0.jpg,cat,10,30,60,40,45")
    splits = read(BoxesCsv(box=["xmin", "ymin", "xmax", "ymax"]), root)  # said by the user
    assert contents(splits)["train"] == {"0.jpg": [("cat", [10, 30, 60, 40])]}


def test_the_order_of_columns_without_a_header_is_said(root: Path) -> None:
    splits = read(BoxesCsv(), table(root, "0.jpg,10,20,50,60,3", "1.jpg,10,20,50,60,1"))
    assert contents(splits)["train"]["0.jpg"] == [("3", [10, 20, 50, 60])]
    assert any("no header: its columns are taken for image, left, top, right, bottom, class" in n for n in splits.notes)
    splits = read(BoxesCsv(), table(root, "0.jpg,100,80,1,10,20,30,40"))
    assert any("taken for image, width, height, class, left, top, right, bottom" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["{},0,10,20,50,60", "{},1,10,20,50,60"], "may be the bottom of a box whose class stands in front"),
        (["{},10,50,20,60,cat", "{},30,50,20,60,cat"], "1 of 2 boxes .* may be xmin, xmax, ymin, ymax"),
        (
            ["{},50,40,20,10,cat", "{},10,10,20,30,cat", "{},50,40,9,9,cat"],
            "2 of 3 boxes .* may be x, y, width, height",
        ),
    ],
)
def test_columns_without_a_header_in_another_order_are_refused(root: Path, rows: list[str], said: str) -> None:
    table(root, *(row.format(f"{i}.jpg") for i, row in enumerate(rows)))
    with pytest.raises(UserError, match=rf"labels\.csv: no header; .*{said}: add a header, say filename"):
        read(BoxesCsv(), root)


def test_one_box_with_swapped_sides_is_a_problem_of_its_own(root: Path) -> None:
    table(root, "0.jpg,10,20,50,60,cat", "1.jpg,50,20,10,60,cat", "2.jpg,10,5,50,60,cat")
    assert "labels.csv:2: box (50, 20, 10, 60) has its corners swapped" in messages(read(BoxesCsv(), root))[0]


def test_several_classes_of_a_box_are_refused(root: Path) -> None:
    table(root, HEAD, "0.jpg,cat,1,1,9,9", "1.jpg,dog,1,1,9,9", "2.jpg,cat|dog,1,1,9,9")
    with pytest.raises(UserError, match=r"labels\.csv:4: the label is a list, cat\|dog; a box has one class"):
        read(BoxesCsv(), root)
    table(root, HEAD, "0.jpg,['cat'],1,1,9,9", "1.jpg,cat,1,1,9,9")
    assert read(BoxesCsv(), root).classes == ("cat",)


def test_a_box_in_fractions_among_boxes_in_pixels_is_a_problem(root: Path) -> None:
    rows = ["0.jpg,cat,10,10,50,50", "1.jpg,cat,0.1,0.1,0.5,0.6", "2.jpg,cat,0,0,1,1"]
    splits = read(BoxesCsv(), table(root, HEAD, *rows))
    [line] = messages(splits)
    assert line.startswith("labels.csv:3: box (0.1, 0.1, 0.5, 0.6) seems to be in fractions of the image")
    assert contents(splits)["train"]["2.jpg"] == [("cat", [0, 0, 1, 1])]
    assert not read(BoxesCsv(units="pixels"), root).problems
    given = [{"image_id": i, "category_id": 3, "bbox": [10 / i**9, 10 / i**9, 0.5, 40]} for i in (1, 2)]
    coco(root / "c.json", ["0.jpg", "1.jpg"], given, width=100, height=80)
    assert not read(CocoJson(), root).problems  # thin, not small


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("image,label,xc,yc,w,h", "0.jpg,cat,30,40,20,40"),
        ("image,label,XC,YC,width,height", "0.jpg,cat,30,40,20,40"),
        ("image,label,row_min,col_min,row_max,col_max", "0.jpg,cat,20,20,60,40"),
        ("image,label,min_row,min_col,max_row,max_col", "0.jpg,cat,20,20,60,40"),
        ("image,label,xtl,ytl,xbr,ybr", "0.jpg,cat,20,20,40,60"),
        ("image,label,bbox_xyxy", '0.jpg,cat,"[20, 20, 40, 60]"'),
        ("image,label,bbox_xywh", '0.jpg,cat,"[20, 20, 20, 40]"'),
        ("image,label,bbox", "0.jpg,cat,20 20 20 40"),
        ("image,label,bbox_cxcywh", '0.jpg,cat,"(30, 40, 20, 40)"'),
    ],
)
def test_columns_that_name_their_sides_are_read(root: Path, head: str, row: str) -> None:
    splits = Auto().read(root=table(root, head, row), kind="boxes", channels=3, seed=0)
    assert contents(splits)["train"] == {"0.jpg": [("cat", [20, 20, 40, 60])]}


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("image,label,x,y,radius", "0.jpg,cat,30,40,20", "it has image, label, x, y, radius: name them with data=box"),
        ("image,label,a,b,c,d", "0.jpg,cat,10,20,30,40", "it has image, label, a, b, c, d: name them with data=box"),
        ("image,label,where", '0.jpg,cat,"[10, 20, 30, 40]"', "it has image, label, where: name them with data=box"),
        ("ImageId,PredictionString", "0.jpg,cat 10 10 30 30", "several in the cells of PredictionString are not read"),
        ("image_id,annotations", "0.jpg,[{'x': 1}]", "several in the cells of annotations are not read"),
        (
            "annotation_id,annotator,id,image,label",
            '1,1,2,0.jpg,"[{""x"":10}]"',
            "this is Label Studio's CSV, of which",
        ),
    ],
)
def test_boxes_in_unknown_columns_are_not_called_classes(root: Path, head: str, row: str, said: str) -> None:
    table(root, head, row)
    for form in (Auto(), BoxesCsv()):
        with pytest.raises(UserError, match=said):
            form.read(root=root, kind="boxes", channels=3, seed=0)


def test_eight_columns_without_a_header_may_end_in_the_size(root: Path) -> None:
    splits = read(BoxesCsv(), table(root, "0.jpg,10,20,30,40,object,100,80", "1.jpg,1,2,3,4,object,100,80"))
    assert contents(splits)["train"]["0.jpg"] == [("object", [10, 20, 30, 40])]
    order = "image, left, top, right, bottom, class, width, height"
    assert f"labels.csv has no header: its columns are taken for {order}" in splits.notes
    table(root, "0.jpg,10,20,30,40,3,100,80", "1.jpg,10,20,30,40,1,100,80")
    with pytest.raises(UserError, match=rf"no box would lie in its image, so that it may be {order}: add a header"):
        read(BoxesCsv(), root)


def test_the_order_that_was_assumed_is_named_where_a_number_is_none(root: Path) -> None:
    table(root, "0.jpg,10,20,50,60,cat", "1.jpg,dog,20,50,60,7")
    [problem] = messages(read(BoxesCsv(), root))
    assert problem.endswith(
        "(mend or remove the row; without a header, its columns are taken for image, left, top, right, bottom, class)"
    )


# Classes.


@pytest.mark.parametrize(
    "names",
    [
        ["cat,dog", "dog,dog", "bird,dog"],
        ["cat, dog", "dog, dog", "bird, dog"],
        ["cat", "dog", "cat, dog", "bird, big", "fish, small", "horse, brown"],
        ["cat", "dog", "dog|cat", "a|b"],
    ],
)
def test_lists_of_classes_are_refused(root: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match=r"the label is a list, .*task=face_attributes"):
        read_classes(labels(root, *names))


def test_names_with_a_comma_are_said_to_be_names(root: Path) -> None:
    names = ["Pepper,_bell___healthy", "Pepper,_bell___spot", "Tomato", "elephant, African", "elephant"]
    splits = read_classes(labels(root, *names))
    assert set(splits.classes) == set(names)
    assert any("names with ',' are taken for one class each (3, such as" in note for note in splits.notes)
    assert not any("names with" in note for note in read_classes(labels(root, "cat", "dog")).notes)


@pytest.mark.parametrize("form", [Csv(), BoxesCsv()], ids=["classes", "boxes"])
def test_what_programs_write_for_nothing_is_no_class(root: Path, form: Csv | BoxesCsv) -> None:
    names = ["None", "nan", "NULL", "", "cat", "dog"]
    if isinstance(form, Csv):
        splits = read_classes(labels(root, *names))
    else:
        splits = read(form, table(root, HEAD, *(f"{i}.jpg,{name},1,1,9,9" for i, name in enumerate(names))))
    assert splits.classes == ("cat", "dog")
    assert len(splits.problems) == 4


def read_classes(root: Path) -> Splits:
    return Csv().read(root=root, kind="class", channels=3, seed=0)


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["猫", "狗", "鸟"], "gb2312"),
        (["猫", "犬", "鳥"], "shift_jis"),
        (["кошка", "dog", "bird"], "cp1251"),
        (["żółw", "dog", "bird"], "cp1250"),
    ],
)
def test_names_in_an_unknown_encoding_are_refused(root: Path, names: list[str], encoding: str) -> None:
    with pytest.raises(UserError, match=r"labels\.csv:\d: the name is not UTF-8 .*: save the table as UTF-8"):
        read_classes(labels(root, *names, encoding=encoding))
    row = ",".join(["image", *names])
    table(root, row, *(f"{i}.jpg,1,0,1" for i in range(6)), encoding=encoding)
    with pytest.raises(UserError, match="the name is not UTF-8"):
        Csv().read(root=root, kind="attributes", channels=3, seed=0)


def test_western_names_are_read_and_said(root: Path) -> None:
    splits = read_classes(labels(root, "Küken", "œuf", "dog", encoding="cp1252"))
    assert splits.classes == ("Küken", "dog", "œuf")
    assert any("not UTF-8, names are read as Windows-1252: Küken, œuf" in note for note in splits.notes)


@pytest.mark.parametrize("boxes", [False, True])
def test_chinese_that_happens_to_be_utf8_is_said(root: Path, boxes: bool) -> None:
    if boxes:
        table(root, HEAD, "0.jpg,猫,1,1,9,9", encoding="gb2312")
        splits = read(BoxesCsv(), root)
    else:
        splits = read_classes(labels(root, "猫", "dog", encoding="gb2312"))
    assert "è" in splits.classes
    assert any("classes called è: if that is not their name, the table is not UTF-8" in note for note in splits.notes)


# Which column is the class.

ROWS = ["0.jpg,p2,happy", "1.jpg,p2,sad", "2.jpg,p1,happy", "3.jpg,p1,sad"]


def of_images(splits: Splits) -> dict[str, str]:
    assert splits.train is not None
    targets = splits.train.targets.tolist()
    return {Path(splits.train.name(at)).name: splits.classes[target] for at, target in enumerate(targets)}


HAPPY = {"0.jpg": "happy", "1.jpg": "sad", "2.jpg": "happy", "3.jpg": "sad"}


@pytest.mark.parametrize("other", ["subject", "person", "identity", "patient_id"])
@pytest.mark.parametrize("name", ["classname", "ClassName", "label", "class_label", "diagnosis"])
def test_whom_an_image_shows_is_not_its_class(root: Path, other: str, name: str) -> None:
    splits = read_classes(table(root, f"img,{other},{name}", *ROWS))
    assert of_images(splits) == HAPPY
    said = f"labels.csv: the class is the column {name} (it also has {other})"
    assert any(said in note for note in splits.notes) == (other != "patient_id")


@pytest.mark.parametrize("other", ["subject", "person", "driver"])
def test_a_class_that_may_be_one_of_two_columns_is_asked_for(root: Path, other: str) -> None:
    table(root, f"image,{other},emotion", *ROWS)
    with pytest.raises(UserError, match=rf"no column for the label; it has image, {other}, emotion: name one with"):
        Auto().read(root=root, kind="class", channels=3, seed=0)
    assert of_images(Csv(label="emotion").read(root=root, kind="class", channels=3, seed=0)) == HAPPY


def test_people_are_the_classes_where_they_are_what_is_learnt(root: Path) -> None:
    table(root, "image,person,label", *ROWS)
    for form in (Csv(), Identities()):
        assert form.read(root=root, kind="identity", channels=3, seed=0).classes == ("p1", "p2")
    table(root, "image,person", "0.jpg,p1", "1.jpg,p2")
    assert read_classes(root).classes == ("p1", "p2")  # nothing else is there


def test_people_do_not_overrule_the_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("c0", "c0", "c1", "c1")):
        image(tmp_path / "imgs" / "train" / name / f"{number}.jpg", 20, 20)
    rows = ["p2,c0,0.jpg", "p12,c0,1.jpg", "p2,c1,2.jpg", "p12,c1,3.jpg"]
    table(tmp_path, "subject,classname,img", *rows)
    splits = Auto().read(root=tmp_path, kind="class", channels=3, seed=0)
    assert of_images(splits) == {"0.jpg": "c0", "1.jpg": "c0", "2.jpg": "c1", "3.jpg": "c1"}


def test_two_columns_of_boxes_that_may_be_the_class_are_said(root: Path) -> None:
    rows = ["0.jpg,p1,cat,1,1,9,9", "1.jpg,p2,dog,1,1,9,9"]
    splits = read(BoxesCsv(), table(root, "filename,subject,classname,xmin,ymin,xmax,ymax", *rows))
    assert splits.classes == ("cat", "dog")
    assert any("the class is the column classname (it also has subject)" in note for note in splits.notes)


@pytest.mark.parametrize("head", ["path,coarse_label,fine_label", "id,gender,articleType"])
def test_several_columns_of_words_are_no_attributes(root: Path, head: str) -> None:
    table(root, head, "0.jpg,x,cat", "1.jpg,x,dog", "2.jpg,y,cow")
    with pytest.raises(UserError, match=rf"it has {head.replace(',', ', ')}: name one with data=csv data\.format\.lab"):
        Auto().read(root=root, kind="class", channels=3, seed=0)


# Rows with more cells than there are columns.


def test_an_unquoted_comma_is_a_problem(root: Path) -> None:
    table(root, "path,label", "0.jpg,Pepper, bell", "1.jpg,Pepper, hot", "2.jpg,cat", "3.jpg,dog,", "4.jpg,cat,,")
    splits = read_classes(root)
    assert splits.classes == ("cat", "dog")
    assert [str(each) for each in splits.problems] == [
        f"labels.csv:{line}: 3 cells where 2 are expected, the last ones 'Pepper', '{kind}' (put quotes around a text"
        " that has the separator in it, or complete the header)"
        for line, kind in ((2, "bell"), (3, "hot"))
    ]
    table(root, '0.jpg,"Pepper, bell"', "1.jpg,Pepper, hot", "2.jpg,cat")  # without a header
    assert [each.where for each in read_classes(root).problems] == ["labels.csv:2"]


def test_an_unquoted_comma_in_a_box_table_is_a_problem(root: Path) -> None:
    table(root, "xmin,ymin,xmax,ymax,filename,class", "1,1,9,9,0.jpg,cat, striped", "1,1,9,9,1.jpg,dog,")
    splits = read(BoxesCsv(), root)
    assert contents(splits)["train"] == {"1.jpg": [("dog", [1, 1, 9, 9])]}
    assert messages(splits)[0].startswith("labels.csv:2: 7 cells where 6 are expected, the last ones 'cat', 'striped'")


def test_an_empty_cell_at_the_end_of_attributes_is_harmless(root: Path) -> None:
    splits = Csv().read(root=table(root, "path,a,b", "0.jpg,1,0,", "1.jpg,0,1"), kind="attributes", channels=3, seed=0)
    assert splits.train is not None
    assert len(splits.train) == 2
    assert not splits.problems


# Lists with blanks between the labels.

PLANET = ["clear primary", "haze primary", "clear", "haze water", "clear primary water", "haze primary water"]


@pytest.mark.parametrize(
    "names",
    [
        ["1 5 16", "1", "5", "16"],
        ["14 3", "7 2"],
        ["0.5 1", "2"],
        ["1|5", "2"],
        ["cat dog", "cat", "dog"],
        [*PLANET, "water", "haze", "primary", "haze primary clear", "haze clear water primary"],
    ],
)
def test_lists_with_blanks_are_refused(root: Path, names: list[str]) -> None:
    for at in range(6, len(names)):
        image(root / f"{at}.jpg", 20, 20)
    table(root, "image,tags", *(f"{at}.jpg,{name}" for at, name in enumerate(names)))
    with pytest.raises(UserError, match=r"labels\.csv:\d+: the label is a list, .*task=face_attributes"):
        read_classes(root)


@pytest.mark.parametrize("cell", ["cat 10 10 30 30", "cat 10 10 30 30 dog 1 1 5 5", '"[{""x"": 10, ""y"": 10}]"'])
def test_boxes_in_the_cell_of_a_label_are_refused(root: Path, cell: str) -> None:
    table(root, "image_id,PredictionString", f"0.jpg,{cell}", "1.jpg,dog")
    with pytest.raises(UserError, match=r"labels\.csv:2: the label .* is no name but holds boxes: for task=detection"):
        read_classes(root)


def test_names_with_blanks_are_classes(root: Path) -> None:
    names = ["golden retriever", "Audi A4 2012", "red car", "retriever", "Boeing 737"]
    splits = read_classes(labels(root, *names))
    assert set(splits.classes) == set(names)
    assert any("names with ' ' are taken for one class each (1, such as 'golden retriever')" in n for n in splits.notes)
    assert not any("names with" in note for note in read_classes(labels(root, "golden retriever", "Audi A4")).notes)


def test_names_of_boxes_with_blanks_are_classes(root: Path) -> None:
    names = ["street light", "street", "light", "train track"]
    table(root, HEAD, *(f"{at}.jpg,{name},1,1,9,9" for at, name in enumerate(names)))
    splits = read(BoxesCsv(), root)
    assert set(splits.classes) == set(names)
    assert any("names with ' ' are taken for one class each (1, such as 'street light')" in n for n in splits.notes)


def test_decimal_commas_are_no_lists(root: Path) -> None:
    assert read_classes(labels(root, "1,0", "2,0", "10,0")).classes == ("1,0", "10,0", "2,0")


def test_columns_that_are_not_among_those_of_classes_are_said(root: Path) -> None:
    splits = read_classes(table(root, "image,age,cat,dog", "0.jpg,30,1,0", "1.jpg,40,0,1"))
    assert splits.classes == ("cat", "dog")
    assert "labels.csv: a column a class, 2 classes; not of 0 and 1, so not used: age" in splits.notes


# Names that are nearly the same.


@pytest.mark.parametrize("kind", ["class", "boxes", "folder"])
def test_names_that_differ_in_case_or_blanks_only_are_said(root: Path, kind: str) -> None:
    names = ["Cat", "cat", "sea lion", "Sealion", "dog", "dog"]
    if kind == "class":
        labels(root, *names)
    elif kind == "boxes":
        table(root, HEAD, *(f"{at}.jpg,{name},1,1,9,9" for at, name in enumerate(names)))
    for at, name in enumerate(names if kind == "folder" else []):
        image(root / name / f"{at}.jpg", 20, 20)
    data = DataModule(
        format=Auto(), root=str(root), kind="boxes" if kind == "boxes" else "class", workers=0, val_fraction=0.0
    )
    data.setup_data()
    said = [note for note in data.splits.notes if "differ in case or blanks only" in note]
    assert [note.partition(" differ")[0] for note in said] == [
        "classes 'Cat' and 'cat'",
        "classes 'Sealion' and 'sea lion'",
    ]
