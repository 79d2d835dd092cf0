from __future__ import annotations

from pathlib import Path

import pytest

from mobilevision.data.formats import Auto, BoxesCsv, Csv
from mobilevision.errors import UserError

from .box_files import boxes, contents, image, read

READ = {"1.jpg": [("cat", [1, 2, 11, 22]), ("dog", [4, 5, 10, 12])], "2.jpg": [("cat", [0, 0, 9, 9])]}
HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
ROWS = "1.jpg,64,48,cat,1,2,11,22\n1.jpg,64,48,dog,4,5,10,12\n2.jpg,64,48,cat,0,0,9,9\n"


def table(root: Path, text: str, name: str = "boxes.csv", images: tuple[str, ...] = ("1.jpg", "2.jpg")) -> Path:
    for each in images:
        image(root / each)
    (root / name).write_text(text)
    return root / name


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROWS,
        ROWS,
        "1.jpg,1,2,11,22,cat\n1.jpg,4,5,10,12,dog\n2.jpg,0,0,9,9,cat\n",
        "ymax;ymin;xmax;xmin;Label;Image\n22;2;11;1;cat;1.jpg\n12;5;10;4;dog;1.jpg\n9;0;9;0;cat;2.jpg\n",
        "image_id,x1,y1,x2,y2,class_name\n1.jpg,1,2,11,22,cat\n1.jpg,4,5,10,12,dog\n2.jpg,0,0,9,9,cat\n",
        "image_path\tbbox_x\tbbox_y\tbbox_width\tbbox_height\twidth\theight\tcategory\n"
        "1.jpg\t1\t2\t10\t20\t64\t48\tcat\n1.jpg\t4\t5\t6\t7\t64\t48\tdog\n2.jpg\t0\t0\t9\t9\t64\t48\tcat\n",
        "file,x,y,w,h,name\n1.jpg,1,2,10,20,cat\n1.jpg,4,5,6,7,dog\n2.jpg,0,0,9,9,cat\n",
        "file,x_center,y_center,width,height,label\n1.jpg,6,12,10,20,cat\n1.jpg,7,8.5,6,7,dog\n2.jpg,4.5,4.5,9,9,cat\n",
        '\ufeffC:\\photos\\1.jpg,1,2,11,22,cat\n"C:\\photos\\1.jpg",4,5,10,12,dog\nC:\\photos\\2.jpg,0,0,9,9,cat\n',
    ],
)
def test_columns_by_their_usual_names_in_any_order(text: str, tmp_path: Path) -> None:
    file = table(tmp_path, text)
    for form, root in ((BoxesCsv(), tmp_path), (BoxesCsv(), file), (Csv(), file), (Auto(), tmp_path)):
        splits = read(form, root)
        assert contents(splits) == {"train": READ}
        assert splits.classes == ("cat", "dog")
        assert splits.whole
        assert not splits.problems
    assert "data=auto took the format boxes_csv" in splits.notes


def test_columns_named_by_hand(tmp_path: Path) -> None:
    table(tmp_path, "what,who,a,b,c,d\ncat,1.jpg,1,2,11,22\ndog,1.jpg,4,5,10,12\ncat,2.jpg,0,0,9,9\n")
    with pytest.raises(UserError, match=r"boxes\.csv: no columns for the boxes; it has what, who, a, b, c, d: name "):
        read(BoxesCsv(), tmp_path)
    with pytest.raises(UserError, match=r"no columns for the images.*data\.format\.path=COLUMN"):
        read(BoxesCsv(box=["a", "b", "c", "d"]), tmp_path)
    with pytest.raises(UserError, match=r"data\.format\.path names the column whom, but it has what, who"):
        read(BoxesCsv(box=["a", "b", "c", "d"], path="whom"), tmp_path)
    with pytest.raises(UserError, match="must have 4 elements"):
        read(BoxesCsv(box=["a", "b"]), tmp_path)
    for path, label, box in (("who", "what", ["a", "b", "c", "d"]), (1, 0, [2, 3, 4, 5])):
        assert contents(read(BoxesCsv(path=path, label=label, box=box), tmp_path)) == {"train": READ}  # type: ignore[arg-type]


def test_tables_of_their_own_and_one_of_all_rows(tmp_path: Path) -> None:
    lines = ROWS.splitlines(keepends=True)
    root = tmp_path / "csv"
    root.mkdir()
    for name, text in (("train_labels", "".join(lines[:2])), ("test_labels", lines[2]), ("all_labels", ROWS)):
        (root / f"{name}.csv").write_text(HEAD + text)
    for name in ("1.jpg", "2.jpg"):
        image(tmp_path / "JPEGImages" / name)
    for form in (BoxesCsv(), BoxesCsv(images=str(tmp_path / "JPEGImages")), BoxesCsv(images="../JPEGImages"), Auto()):
        splits = read(form, root)
        assert contents(splits) == {"train": {"1.jpg": READ["1.jpg"]}, "test": {"2.jpg": READ["2.jpg"]}}
        assert "not used: all_labels.csv" in splits.notes
    splits = read(BoxesCsv(train="all_labels.csv"), root)
    assert contents(splits) == {"train": READ}


def test_a_folder_a_split_and_a_split_column(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / "a" / split).mkdir(parents=True)
        table(tmp_path / "a" / split, HEAD + ROWS, "_annotations.csv")
    assert contents(read(Auto(), tmp_path / "a")) == {"train": READ, "val": READ}
    rows = (
        "1.jpg,Train,cat,1,2,11,22\n1.jpg,Train,dog,4,5,10,12\n2.jpg,validation,cat,0,0,9,9\n2.jpg,later,cat,1,1,2,2\n"
    )
    (tmp_path / "b").mkdir()
    table(tmp_path / "b", "path,subset,class,xmin,ymin,xmax,ymax\n" + rows)
    splits = read(BoxesCsv(), tmp_path / "b")
    assert contents(splits) == {"train": {"1.jpg": READ["1.jpg"]}, "val": {"2.jpg": READ["2.jpg"]}}
    assert not splits.whole
    assert [str(each) for each in splits.problems] == ["boxes.csv:5: unknown split 'later' (write train, val or test)"]


def test_fractions_names_without_endings_and_crowds(tmp_path: Path) -> None:
    text = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n1,cat,0.25,0.5,0.5,1,0\n2,cat,0,1,0,1,1\n"
    (tmp_path / "train").mkdir()
    table(tmp_path, text, "train-annotations-bbox.csv", ("train/1.jpg", "train/2.jpg"))
    splits = read(BoxesCsv(), tmp_path)
    assert contents(splits) == {"train": {"1.jpg": [("cat", [16, 24, 32, 48])], "2.jpg": [("cat", [0, 0, 64, 48])]}}
    assert boxes(splits.train, 1).crowd.tolist() == [True]
    assert "the boxes are in fractions of the images" in splits.notes


def test_negatives_and_a_table_without_classes(tmp_path: Path) -> None:
    for text in (
        HEAD + "1.jpg,64,48,,,,,\n2.jpg,64,48,cat,1,1,5,5\n",
        "1.jpg,,,,,\n2.jpg,1,1,5,5,cat\n",
        HEAD + "1.jpg,64,48,,0,0,0,0\n2.jpg,64,48,cat,1,1,5,5\n",
    ):
        table(tmp_path, text)
        splits = read(BoxesCsv(), tmp_path)
        assert contents(splits) == {"train": {"1.jpg": [], "2.jpg": [("cat", [1, 1, 5, 5])]}}
        assert not splits.problems
    table(tmp_path, "path,xmin,ymin,xmax,ymax\n1.jpg,,,,\n2.jpg,1,1,5,5\n")
    assert contents(read(BoxesCsv(), tmp_path)) == {"train": {"1.jpg": [], "2.jpg": [("object", [1, 1, 5, 5])]}}


def test_what_is_wrong_is_named_by_file_and_line(tmp_path: Path) -> None:
    rows = [
        "1.jpg,64,48,cat,1,2,11,22",
        "1.jpg,64,48,cat,9,9,9,20",
        "1.jpg,64,48,cat,20,5,10,9",
        "1.jpg,64,48,cat,nan,5,10,9",
        "1.jpg,64,48,cat,a,5,10,9",
        "1.jpg,64,48,,5,5,10,9",
        "1.jpg,64,48,cat,,,,",
        "1.jpg,64,48",
        ",64,48,cat,1,2,3,4",
        "1.jpg,64,48,cat,-5,2,3,4",
        "1.jpg,64,48,cat,-5,2,-3,4",
        "1.jpg,64,48,cat,1,2,11,22",
        "gone.jpg,64,48,cat,1,2,11,22",
        "2.jpg,128,96,cat,1,2,11,22",
    ]
    table(tmp_path, HEAD + "\n".join(rows))
    splits = read(BoxesCsv(), tmp_path)
    found = {int(problem.where.removeprefix("boxes.csv:")): problem for problem in splits.problems}
    assert {where: problem.what for where, problem in found.items()} == {
        3: "box (9, 9, 9, 20) has no area",
        4: "box (20, 5, 10, 9) has its corners swapped, or a negative size",
        5: "box (nan, 5, 10, 9) is not of finite numbers",
        6: "the box is 'a', '5', '10', '9', not four numbers",
        7: "a box without a class",
        8: "the box is '', '', '', '', not four numbers",
        9: "3 cells where 8 are needed, or no image named",
        10: "8 cells where 8 are needed, or no image named",
        11: "box (-5, 2, 3, 4) reaches 5 pixels beyond the image of 64 x 48 pixels",
        12: "box (-5, 2, -3, 4) lies outside the image of 64 x 48 pixels",
        13: "box (1, 2, 11, 22) of class 'cat' repeats boxes.csv:2",
        14: f"no image {tmp_path / 'gone.jpg'}, of 1 box",
        15: f"annotated as 128 x 96 pixels, but {tmp_path / '2.jpg'} has 64 x 48",
    }
    assert contents(splits) == {"train": {"1.jpg": [("cat", [1, 2, 11, 22]), ("cat", [0, 2, 3, 4])]}}


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table in it; it should be a CSV with the columns filename"):
        read(BoxesCsv(), tmp_path)
    table(tmp_path, "")
    with pytest.raises(UserError, match=r"boxes\.csv: the table is empty"):
        read(BoxesCsv(), tmp_path)
    table(tmp_path, "1.jpg,2,3\n")
    with pytest.raises(UserError, match=r"3 columns and no header: add one"):
        read(BoxesCsv(), tmp_path)
    table(tmp_path, HEAD)
    with pytest.raises(UserError, match="no usable box"):
        read(BoxesCsv(), tmp_path)
