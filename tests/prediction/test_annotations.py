"""Pre-labelling: what labelling tools import holds what the model says, and is read back as it was written."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats import BoxesCsv, CocoJson, YoloTxt
from mobilevision.data.formats.text import is_missing
from mobilevision.deploy.answers import Attributes, Boxes, Classes, Embedding
from mobilevision.errors import UserError
from mobilevision.prediction.annotations import (
    FORMS,
    AnnotatedImage,
    check_form,
    paths_below_one_folder,
    write_annotations,
)
from mobilevision.prediction.predict import predict, set_threshold

TOP = Path("/photos/of june")
NAMES = ("cat", "dog: small")
BOXES = {
    "a/one.jpg": [("cat", 0.9, [2.0, 3.0, 20.5, 30.0]), ("dog: small", 0.6, [0.0, 0.0, 64.0, 48.0])],
    "two.jpg": [],
    "b/deep/three.jpg": [("dog: small", 0.55, [10.0, 10.5, 30.0, 40.0])],
}


def detector(**parts: Any) -> Boxes:
    return Boxes(classes=NAMES, decision={"thresholds": [0.5, 0.4]}, facts={}, **parts)


@pytest.fixture
def images(tmp_path: Path) -> list[AnnotatedImage]:
    found = []
    for place, (name, boxes) in enumerate(BOXES.items()):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (90 * place, 0, 0)).save(file)
        rows = [{"label": label, "score": score, "box": box} for label, score, box in boxes]
        found.append(AnnotatedImage(name, (48, 64), {"found": "", "detections": rows}, certainty=1 - place / 4))
    return found


def read(form: DataFormat, root: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """Image -> class and box, of every image that the annotations name."""
    splits = form.read(root=root, kind="boxes", channels=3, seed=0)
    assert splits.problems == []
    records = splits.train
    assert records is not None
    found = {}
    for index in range(len(records)):
        boxes = records.targets[index]
        rows = zip(boxes.labels.tolist(), np.round(boxes.boxes, 1).tolist(), strict=True)
        name = next(name for name in BOXES if records.name(index).endswith(name))
        found[name] = sorted((splits.classes[label], box) for label, box in rows)
    return found


EXPECTED = {name: sorted((label, box) for label, _, box in boxes) for name, boxes in BOXES.items()}
LEAST_CERTAIN_FIRST = list(reversed(BOXES))


def test_coco_is_read_back(images: list[AnnotatedImage], tmp_path: Path) -> None:
    file = write_annotations("coco", images, tmp_path / "out", answer=detector(), model="run", top=TOP)
    document = json.loads(file.read_text(encoding="utf-8"))
    assert [row["file_name"] for row in document["images"]] == LEAST_CERTAIN_FIRST
    assert {row["score"] for row in document["annotations"]} == {0.9, 0.6, 0.55}
    assert read(CocoJson(images=str(tmp_path / "images")), file) == EXPECTED


def test_yolo_is_read_back_beside_its_images(images: list[AnnotatedImage], tmp_path: Path) -> None:
    folder = write_annotations("yolo", images, tmp_path / "out", answer=detector(), model="run", top=TOP)
    assert (folder / "train.txt").read_text().split() == [f"images/train/{name}" for name in LEAST_CERTAIN_FIRST]
    shutil.copytree(tmp_path / "images", folder / "images" / "train")
    assert read(YoloTxt(), folder) == EXPECTED


def test_a_csv_is_read_back(images: list[AnnotatedImage], tmp_path: Path) -> None:
    file = write_annotations("csv", images, tmp_path / "out", answer=detector(), model="run", top=TOP)
    with file.open(newline="") as table:
        assert list(dict.fromkeys(row["path"] for row in csv.DictReader(table))) == LEAST_CERTAIN_FIRST
    assert read(BoxesCsv(images=str(tmp_path / "images")), file) == EXPECTED


def test_label_studio_gets_predictions_in_percent(images: list[AnnotatedImage], tmp_path: Path) -> None:
    file = write_annotations("label-studio", images, tmp_path / "out", answer=detector(), model="run", top=TOP)
    tasks = json.loads(file.read_text(encoding="utf-8"))
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=of%20june/{name}" for name in LEAST_CERTAIN_FIRST
    ]
    (predicted,) = tasks[-1]["predictions"]
    assert (predicted["model_version"], predicted["score"]) == ("run", 1.0)
    first = predicted["result"][0]
    assert first["value"] == {
        **{"x": 3.125, "y": 6.25, "width": 28.9062, "height": 56.25, "rotation": 0},
        "rectanglelabels": ["cat"],
    }
    assert (first["original_width"], first["original_height"], first["score"]) == (64, 48, 0.9)


def test_classes_and_attributes_become_choices_and_columns(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"classes": ("red", "blue"), "decision": {}, "facts": {}}
    one = Classes(**parts)
    image = AnnotatedImage("a.jpg", (4, 4), one.describe({"probabilities": np.array([0.3, 0.7])}), 0.4)
    file = write_annotations("label-studio", [image], tmp_path, answer=one, model="run", top=TOP)
    assert json.loads(file.read_text())[0]["predictions"][0]["result"][0]["value"] == {"choices": ["blue"]}
    assert write_annotations("csv", [image], tmp_path, answer=one, model="run", top=TOP).read_text() == (
        "path,label,score\na.jpg,blue,0.7\n"
    )
    several = Attributes(**parts)
    row = several.describe({"probabilities": np.array([0.3, 0.7]), "present": np.array([True, True])})
    image = AnnotatedImage("a.jpg", (4, 4), row, 0.4)
    assert write_annotations("csv", [image], tmp_path / "more", answer=several, model="run", top=TOP).read_text() == (
        "path,red,blue\na.jpg,1,1\n"
    )


def test_what_a_format_cannot_hold_is_refused() -> None:
    parts: dict[str, Any] = {"classes": NAMES, "decision": {}, "facts": {}}
    for form in FORMS:
        check_form(form, detector())
    with pytest.raises(UserError, match=r"--annotations yolo: .*\(classes\): there are csv, label-studio$"):
        check_form("yolo", Classes(**parts))
    with pytest.raises(UserError, match=r"\(embedding\): there is no format for it$"):
        check_form("csv", Embedding(**parts))
    with pytest.raises(UserError, match=r"--threshold 0\.3: it is for boxes and attributes"):
        set_threshold(Classes(**parts), 0.3)


def test_a_threshold_and_all_scores_of_boxes() -> None:
    answer = detector()
    prediction = {
        "boxes": np.array([[0, 0, 9, 9], [1, 1, 5, 5], [0, 0, 0, 0]], np.float32),
        "scores": np.array([0.9, 0.35, 0.0], np.float32),
        "labels": np.array([0, 1, -1]),
    }
    assert [row["label"] for row in answer.describe(prediction)["detections"]] == ["cat"]
    assert [row["label"] for row in answer.scores(prediction)["all_detections"]] == list(NAMES)
    assert answer.certainty(prediction) == pytest.approx(0.05, abs=1e-6)
    set_threshold(answer, 0.3)
    assert [row["label"] for row in answer.describe(prediction)["detections"]] == list(NAMES)
    nothing = {name: value[2:] for name, value in prediction.items()}
    assert answer.certainty(nothing) == 1.0


def test_how_sure_a_classifier_is() -> None:
    answer = Classes(classes=("a", "b", "c"), decision={}, facts={})
    assert answer.certainty({"probabilities": np.array([0.2, 0.5, 0.3])}) == pytest.approx(0.2)
    assert answer.scores({"probabilities": np.array([0.2, 0.5, 0.3])}) == {
        "probabilities": {"a": 0.2, "b": 0.5, "c": 0.3}
    }
    single = Classes(classes=("a",), decision={}, facts={})
    assert single.certainty({"probabilities": np.array([1.0])}) == 1.0


def test_predict_writes_what_a_table_of_labels_is_read_from(
    finished_run: Path, coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rows = predict(
        finished_run, [coloured / "test"], out=out, pictures=False, scores="all", annotations="csv", batch_size=4
    )
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4) for row in rows)
    assert all(row["probabilities"][row["label"]] == pytest.approx(row["score"], abs=2e-6) for row in rows)
    with (out / "annotations" / "labels.csv").open(newline="") as table:
        written = list(csv.DictReader(table))
    top, _ = paths_below_one_folder([os.fsencode(row["file"]) for row in rows], "csv")
    assert {str(top / row["path"]): row["label"] for row in written} == {row["file"]: row["label"] for row in rows}
    least, most = (next(row for row in rows if row["file"].endswith(written[at]["path"])) for at in (0, -1))
    assert least["score"] <= most["score"]
    assert (
        f"annotations in {out / 'annotations' / 'labels.csv'}, of images in {top}"
        in capsys.readouterr().out.replace("\n", "")
    )


def test_boxes_end_with_their_image(tmp_path: Path) -> None:
    rows = [
        {"label": "cat", "score": 0.9, "box": box} for box in ([-10.0, 4, 90, 20], [70.0, 0, 80, 9], [3.0, 3, 3, 9])
    ]
    image = AnnotatedImage("a.jpg", (48, 64), {"detections": rows}, 0.1)
    file = write_annotations("coco", [image], tmp_path, answer=detector(), model="run", top=TOP)
    assert [row["bbox"] for row in json.loads(file.read_text())["annotations"]] == [[0.0, 4, 64.0, 16]]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_stays_as_people_corrected_it(form: str, images: list[AnnotatedImage], tmp_path: Path) -> None:
    written = write_annotations(form, images, tmp_path, answer=detector(), model="run", top=TOP)
    (tmp_path / "yolo" / "images").mkdir(parents=True, exist_ok=True)
    (tmp_path / "yolo" / "images" / "mine.jpg").write_bytes(b"mine")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=f"--annotations {form}: {written} is there already, perhaps with corrections"):
        write_annotations(form, images[:1], tmp_path, answer=detector(), model="run", top=TOP)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_link_is_not_written_through(images: list[AnnotatedImage], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "yolo").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is there already"):
        write_annotations("yolo", images, tmp_path, answer=detector(), model="run", top=TOP)


@pytest.mark.parametrize("name", ["nan", "NULL", "n/a", "#N/A", "<NA>", "None", "none"])
def test_names_that_readers_of_tables_take_for_nothing_are_refused(name: str) -> None:
    assert is_missing(name) or name == "none"
    with pytest.raises(UserError, match="--annotations csv: a class is called"):
        check_form("csv", Boxes(classes=("cat", name), decision={}, facts={}))


@pytest.mark.parametrize(("name", "forms"), [("null", ("csv",)), (" lead", ("csv", "yolo")), ("a\nb", ("yolo",))])
def test_a_class_whose_name_would_be_lost_is_refused(name: str, forms: tuple[str, ...]) -> None:
    answer = Boxes(classes=("cat", name), decision={}, facts={})
    for form in FORMS:
        if form in forms:
            with pytest.raises(UserError, match=f"--annotations {form}: a class is called"):
                check_form(form, answer)
        else:
            check_form(form, answer)


@pytest.mark.parametrize(
    ("names", "form", "said"),
    [
        (["a.jpg", "a.png"], "yolo", r"a\.jpg and a\.png would share one label file"),
        (["x/images/a.jpg", "b.jpg"], "yolo", "takes a folder called images for its own"),
        (["a\nb.jpg"], "csv", r"a\\+nb\.jpg'?: annotations cannot hold this name"),
        (["\udcff.jpg"], "coco", r"\\xff\.jpg'?: annotations cannot hold this name"),
        (["back\\slash.jpg"], "coco", r"back\\+slash\.jpg'?: annotations cannot hold this name"),
        ([" lead.jpg"], "csv", r"' lead\.jpg': annotations cannot hold this name"),
    ],
)
def test_names_that_cannot_be_kept_are_refused_before_anything_is_predicted(
    names: list[str], form: str, said: str, tmp_path: Path
) -> None:
    files = [os.fsencode(tmp_path / name) for name in names]
    with pytest.raises(UserError, match=said):
        paths_below_one_folder(files, form)
    if form == "yolo":
        assert paths_below_one_folder(files, "coco") == (tmp_path, names)


def test_labels_like_formulas_stay_what_they_are(tmp_path: Path) -> None:
    answer = Classes(classes=("+1", "-1"), decision={}, facts={})
    image = AnnotatedImage("-x.jpg", (4, 4), answer.describe({"probabilities": np.array([0.3, 0.7])}), 0.4)
    file = write_annotations("csv", [image], tmp_path, answer=answer, model="run", top=TOP)
    assert file.read_text() == "path,label,score\n-x.jpg,-1,0.7\n"
