"""Attributes from CelebA's files and from a CSV: what is read, what is refused, and who stays together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto, CelebA, Csv, DataFormat
from mobilevision.errors import UserError
from tests.data.conftest import Save

NAMES = ("Smiling", "Hat", "Male")
ROWS = {f"{number:06}.jpg": ("1 -1 1", "-1 1 -1", "-1 -1 1")[number % 3] for number in range(12)}


def celeba(save: Save, root: Path, *, rows: dict[str, str] | None = None, count: int | None = None) -> Path:
    """CelebA's files with a dozen images: 8 of four people to train, 4 of two others as val."""
    rows = ROWS if rows is None else rows
    for number, name in enumerate(ROWS):
        save(f"img_align_celeba/{name}", seed=number, image=None)
    lines = [str(len(rows) if count is None else count), " ".join(NAMES), *(f"{n}  {v}" for n, v in rows.items())]
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (root / "list_eval_partition.txt").write_text("\n".join(f"{n} {int(i > 7)}" for i, n in enumerate(ROWS)))
    (root / "identity_CelebA.txt").write_text("\n".join(f"{n} {i // 2}" for i, n in enumerate(ROWS)))
    return root


def module(format: DataFormat, root: Path, **options: Any) -> DataModule:
    return DataModule(format=format, root=str(root), kind="attributes", workers=0, resolution=16, **options)


def refusal(format: DataFormat, root: Path) -> str:
    with pytest.raises(UserError) as error:
        module(format, root).setup_data()
    return str(error.value)


def test_celebas_files(save: Save, tmp_path: Path) -> None:
    data = module(CelebA(), celeba(save, tmp_path), batch_size=4)
    spec = data.setup_data()
    assert (spec.kind, spec.classes) == ("attributes", NAMES)
    assert (spec.counts, spec.known) == ((3, 3, 5), (8, 8, 8))
    assert data.splits.test is None
    batch = next(iter(data.val_dataloader()))
    assert batch["target"].dtype.is_floating_point
    assert batch["target"].tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_people_stay_in_one_split(save: Save, tmp_path: Path) -> None:
    data = module(CelebA(val_as_test=True), celeba(save, tmp_path), val_fraction=0.25)
    data.setup_data()
    groups = {name: set(records.groups.tolist()) for name, records in data.splits.items()}
    assert {name: len(records) for name, records in data.splits.items()} == {"train": 6, "val": 2, "test": 4}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 6


def test_only_the_attributes_asked_for_in_that_order(save: Save, tmp_path: Path) -> None:
    root = celeba(save, tmp_path)
    assert module(CelebA(attributes=["Male", "Smiling"]), root).setup_data().counts == (5, 3)
    assert "has no attribute 'Glasses'; it has Smiling, Hat, Male" in refusal(CelebA(attributes=["Glasses"]), root)


@pytest.mark.parametrize(
    ("change", "count", "message"),
    [
        ({"000003.jpg": "1 -1"}, None, "list_attr_celeba.txt:6: 2 values for 3 columns"),
        ({"000003.jpg": "1 -1 1 1"}, None, "list_attr_celeba.txt:6: 4 values for 3 columns"),
        ({"000003.jpg": "1 maybe 1"}, None, "list_attr_celeba.txt:6: Hat is 'maybe'"),
        ({"lost.jpg": "1 1 1"}, None, "lost.jpg has no split in list_eval_partition"),
        ({}, 13, "list_attr_celeba.txt:1: the first line promises 13 images, 12 rows follow"),
        ({"000003.jpg": "1 0 1"}, None, "'Hat' holds -1 as well as values from 0 up"),
    ],
)
def test_bad_rows_are_named(
    save: Save, tmp_path: Path, change: dict[str, str], count: int | None, message: str
) -> None:
    assert message in refusal(CelebA(), celeba(save, tmp_path, rows={**ROWS, **change}, count=count))


def test_a_file_that_is_not_there_and_one_listed_twice(save: Save, tmp_path: Path) -> None:
    root = celeba(save, tmp_path)
    (root / "img_align_celeba" / "000005.jpg").unlink()
    table = root / "list_attr_celeba.txt"
    table.write_text(table.read_text().replace("12\n", "13\n") + "000001.jpg 1 1 1\n")
    said = refusal(CelebA(), root)
    assert "list_attr_celeba.txt:8: no file 000005.jpg" in said
    assert "list_attr_celeba.txt:15: 000001.jpg stands in list_attr_celeba.txt:4 already" in said
    skipping = module(CelebA(), root, on_error="skip")
    skipping.setup_data()
    assert sum(len(records) for _, records in skipping.splits.items()) == 11


def test_faces_are_cut_out_by_box_or_landmarks(save: Save, tmp_path: Path) -> None:
    root = celeba(save, tmp_path)
    boxes = "\n".join(f"{name} 10 8 20 30" for name in ROWS)
    (root / "list_bbox_celeba.txt").write_text(f"12\nimage_id x_1 y_1 width height\n{boxes}\n")
    points = "\n".join(f"{name} 20 20 30 20 25 25 21 30 29 30" for name in ROWS)
    (root / "list_landmarks_align_celeba.txt").write_text(f"12\nlefteye_x lefteye_y rest\n{points}\n")
    whole = module(CelebA(), root)
    boxed = module(CelebA(crop="box", margin=0.0), root)
    marked = module(CelebA(crop="landmarks", margin=0.0), root)
    for data in (whole, boxed):
        data.setup_data()
    train, part = whole.splits.train, boxed.splits.train
    assert train is not None
    assert part is not None
    assert part.shape(2) == (30, 20)
    assert np.array_equal(part.pixels(2), train.pixels(2, box=(10, 8, 20, 30)))
    inner = part.pixels(2, box=(3, 4, 10, 12), size=(6, 5), exact=True)
    assert np.array_equal(inner, train.pixels(2, box=(13, 12, 10, 12), size=(6, 5), exact=True))
    assert "values for 3 columns" in refusal(CelebA(crop="landmarks"), root)
    (root / "list_landmarks_align_celeba.txt").write_text(f"12\n{' '.join('abcdefghij')}\n{points}\n")
    marked.setup_data()
    face = marked.splits.train
    assert face is not None
    assert face.shape(0) == (22, 22)


def table(root: Path, text: str) -> Path:
    path = root / "table.csv"
    path.write_text(text)
    return path


def images(save: Save, *names: str) -> None:
    for number, name in enumerate(names):
        save(name, seed=number)


def test_a_csv_with_words_probabilities_and_gaps(save: Save, tmp_path: Path) -> None:
    images(save, "a.jpg", "b.jpg", "c.jpg")
    rows = "path,split,Smiling,Hat\na.jpg,train,TRUE,0.7\nb.jpg,train,no,\nc.jpg,dev,1,0\n"
    data = module(Csv(), table(tmp_path, rows))
    assert data.setup_data().known == (2, 1)
    train, val = data.splits.train, data.splits.val
    assert train is not None
    assert val is not None
    assert np.allclose(train.targets, [[1, 0.7], [0, np.nan]], equal_nan=True)
    assert val.targets.tolist() == [[1, 0]]
    assert any("train has a single value of 1 attributes" in note for note in data.splits.notes)


def test_a_csv_keeps_groups_together(save: Save, tmp_path: Path) -> None:
    names = [f"{person}/{number}.jpg" for person in "abcde" for number in range(3)]
    images(save, *names)
    rows = "path,who,x\n" + "".join(f"{name},{name[0]},{i % 2}\n" for i, name in enumerate(names))
    for format in (Csv(group="who"), Csv(group="folder", attributes=["x"])):
        data = module(format, table(tmp_path, rows), val_fraction=0.3, test_fraction=0.2)
        data.setup_data()
        groups = [set(records.groups.tolist()) for _, records in data.splits.items()]
        assert [len(group) for group in groups] == [3, 1, 1]
        assert len(set.union(*groups)) == 5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,x\na.jpg,2\na.jpg,1\n", "table.csv:2: x is '2' (write 0 or 1, -1 or 1"),
        ("path,x,y\na.jpg,1\n", "table.csv:2: 2 cells, the header has 3"),
        ("path,x\na.jpg,1\na.jpg,0\n", "table.csv:3: a.jpg stands in table.csv:2 already"),
        ("path,x\nb.jpg,1\n", "table.csv:2: no file b.jpg"),
        ("path,x\n,1\n", "table.csv:2: the path is missing"),
        ("path,split,x\na.jpg,later,1\n", "table.csv:2: unknown split 'later'"),
        ("path,who,x\na.jpg,Bob,1\n", "the column 'who' holds no attribute but words such as 'Bob'"),
        ("path,x,x\na.jpg,1,1\n", "the column 'x' stands there twice"),
        ("path\na.jpg\n", "no columns besides the path"),
    ],
)
def test_bad_tables_are_named(save: Save, tmp_path: Path, rows: str, message: str) -> None:
    images(save, "a.jpg")
    assert message in refusal(Csv(), table(tmp_path, rows))


def test_tables_with_different_attributes_are_refused(save: Save, tmp_path: Path) -> None:
    images(save, "a.jpg", "b.jpg")
    (tmp_path / "train.csv").write_text("path,x\na.jpg,1\n")
    (tmp_path / "val.csv").write_text("path,y\nb.jpg,1\n")
    assert "its attributes are y, those of the first table x" in refusal(Csv(), tmp_path)


def test_auto_finds_both(save: Save, tmp_path: Path) -> None:
    data = module(Auto(), celeba(save, tmp_path))
    data.setup_data()
    assert data.splits.notes[0] == "data=auto took the format celeba"
    data = module(Auto(), table(tmp_path / "img_align_celeba", "path,x\n000001.jpg,1\n000002.jpg,0\n"))
    data.setup_data()
    assert data.splits.notes[0] == "data=auto took the format csv"


def test_a_cut_gives_rare_attributes_to_both_parts(save: Save, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(40)]
    images(save, *names)
    rows = "path,rare,usual\n" + "".join(f"{n},{int(i % 10 == 0)},{int(i % 2)}\n" for i, n in enumerate(names))
    data = module(Csv(), table(tmp_path, rows), val_fraction=0.25, test_fraction=0.25)
    data.setup_data()
    assert all(records.targets[:, 0].sum() >= 1 for _, records in data.splits.items())


def test_real_faces(shared_data: Path) -> None:
    data = module(CelebA(val_as_test=True), shared_data / "faces")
    spec = data.setup_data()
    sizes = {name: len(records) for name, records in data.splits.items()}
    assert sizes["test"] == 79
    assert sizes["train"] + sizes["val"] == 545
    assert len(spec.classes) == 40
    people = [set(records.groups.tolist()) for _, records in data.splits.items()]
    assert sum(map(len, people)) == len(set.union(*people)) == 80
    soft = module(CelebA(table="teacher_probabilities.csv", val_as_test=True), shared_data / "faces")
    soft.setup_data()
    for (_, one), (_, other) in zip(data.splits.items(), soft.splits.items(), strict=True):
        assert (one.targets != (other.targets >= 0.5)).sum() <= 1  # one value is 0.5 to the digit
