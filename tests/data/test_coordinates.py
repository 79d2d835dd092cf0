"""Places from tables, from photos' own GPS and from lists of test sets: what is read, what is refused, what is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from mobilevision.data import CellOptions, DataModule
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.formats import Auto, Csv, DataFormat, Gps, Im2Gps
from mobilevision.errors import UserError
from mobilevision.geo.cells import Cells
from mobilevision.spec import DataSpec
from tests.data.conftest import Save, photo

CITIES = ((48.85, 2.35), (40.71, -74.01), (-33.87, 151.21))


def places(count: int) -> list[tuple[float, float]]:
    """So many places around three cities, in turn."""
    rng = np.random.default_rng(0)
    return [tuple(np.round(np.array(CITIES[n % 3]) + rng.normal(0, 0.1, 2), 5).tolist()) for n in range(count)]


def table(
    save: Save, root: Path, rows: dict[int, str] | None = None, *, head: str = "file,lat,lon", n: int = 60
) -> Path:
    """A table of ``n`` photos, some of its rows replaced."""
    lines = [f"{number}.jpg,{north},{east}" for number, (north, east) in enumerate(places(n))]
    for number in range(n):
        save(f"{number}.jpg", seed=number)
    for number, line in (rows or {}).items():
        lines[number] = line
    path = root / "places.csv"
    path.write_text("\n".join([head, *lines] if head else lines) + "\n")
    return path


def module(format: DataFormat, root: Path, **options: Any) -> DataModule:
    given = {"test_fraction": 0.2, "workers": 0, "resolution": 16, "batch_size": 4, **options}
    return DataModule(format=format, root=str(root), kind="coordinate", **given)


def refusal(format: DataFormat, root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        module(format, root, **options).setup_data()
    return str(error.value)


def gps(latitude: float, longitude: float, *, sides: tuple[str, str] | None = None) -> Image.Exif:
    """EXIF as cameras write it: degrees, minutes and seconds without a sign."""

    def parts(degrees: float) -> tuple[float, float, float]:
        whole = abs(degrees)
        return float(int(whole)), float(int(whole * 60) % 60), round(whole * 3600 % 60, 4)

    north, east = sides or ("N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W")
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {1: north, 2: parts(latitude), 3: east, 4: parts(longitude)}
    return exif


def test_a_table(save: Save, tmp_path: Path) -> None:
    data = module(Csv(), table(save, tmp_path))
    spec = data.setup_data()
    cells = Cells.from_dict(spec.cells)
    assert spec.kind == "coordinate"
    assert spec.classes == tuple(spec.cells["tokens"])
    assert spec.counts == tuple(cells.counts.tolist())
    assert {name: len(records) for name, records in data.splits.items()}["test"] == 12
    batch = next(iter(data.test_dataloader()))
    target = batch["target"]
    assert target["coordinate"].dtype.itemsize == 8
    assert target["cell"].tolist() == cells.assign(*target["coordinate"].numpy().T).tolist()
    given = dict(zip([f"{n}.jpg" for n in range(60)], places(60), strict=True))
    names = [Path(data.splits.test.name(index)).name for index in batch["index"].tolist()]
    assert target["coordinate"].tolist() == [list(given[name]) for name in names]


@pytest.mark.parametrize("head", ["", "Image;Latitude (deg);Long", "img_id\tGPS_LAT\tGPS_LNG"])
def test_columns_are_found_by_their_usual_names(head: str, save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path, head=head.replace(";", ",").replace("\t", ","))
    for mark in ";\t":
        path.write_text(path.read_text().replace(",", mark) if mark in head else path.read_text())
    assert len(module(Csv(), path).setup_data().classes) >= 2


def test_columns_can_be_named(save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path, head="a,b,c")
    assert "no column for the path" in refusal(Csv(), path)
    assert "no column for the latitude" in refusal(Csv(path="a"), path)
    assert "no column for the longitude named d; it has a, b, c" in refusal(
        Csv(path="a", latitude="b", longitude="d"), path
    )
    module(Csv(path="a", latitude="b", longitude=2), path).setup_data()


def test_what_is_wrong_is_named_by_line(save: Save, tmp_path: Path) -> None:
    rows = {
        0: '0.jpg,"48,85",2.3',
        1: "1.jpg,48,85,2,3",
        2: "2.jpg,91.2,3",
        3: "3.jpg,0,0",
        4: "4.jpg,,",
        5: "5.jpg,nan,3",
        6: "missing.jpg,1,1",
        7: "8.jpg,x,2",
    }
    path = table(save, tmp_path, rows)
    data = module(Csv(), path, on_error="skip")
    data.setup_data()
    found = {problem.where.rpartition(":")[2]: str(problem) for problem in data.splits.problems}
    expected = {
        "2": "'48,85' has a decimal comma (write 48.85)",
        "3": "5 cells, the first row has 3 (decimal commas?",
        "4": "latitude 91.2 (latitudes go from -90 to 90)",
        "5": "coordinates 0, 0",
        "6": "no coordinates",
        "7": "no coordinates",
        "8": "no file missing.jpg",
        "9": "'x' is not a number of degrees",
        "10": "8.jpg stands in places.csv:9 already",
    }
    assert set(found) == set(expected)
    assert all(said in found[line] for line, said in expected.items())
    assert "9 problem(s)" in refusal(Csv(), path)


def test_swapped_columns_are_said_and_not_mended(save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path, head="file,lon,lat")
    said = refusal(Csv(), path, on_error="skip")
    assert "seem swapped: 33% of the latitudes lie beyond 90 degrees, none would the other way round" in said
    module(Csv(latitude="lon", longitude="lat"), path).setup_data()


def test_longitudes_to_360_and_decimal_commas_in_all_rows(save: Save, tmp_path: Path) -> None:
    rows = {1: "1.jpg,40.7,285.99"}
    data = module(Csv(), table(save, tmp_path, rows), test_fraction=0.0)
    data.setup_data()
    east = np.concatenate([records.targets.places[:, 1] for _, records in data.splits.items()])
    assert np.isclose(east, -74.01).any()
    path = tmp_path / "comma.csv"
    path.write_text((tmp_path / "places.csv").read_text().replace(",", ";").replace(".", ",").replace(",jpg", ".jpg"))
    assert "60 problem(s)" in refusal(Csv(), path) or "59 problem(s)" in refusal(Csv(), path)


def test_cells_are_made_of_train_alone(save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path)
    rows = [f"{line},{'test' if 'jpg,-33' in line else 'train'}" for line in path.read_text().splitlines()[1:]]
    path.write_text("\n".join(["file,lat,lon,split", *rows]))
    data = module(Csv(), path)
    spec = data.setup_data()
    cells = Cells.from_dict(spec.cells)
    assert cells.latitude.min() > 0
    assert cells.counts.sum() == len(data.splits.train)
    assert len(data.splits.test) == 20, "photos in no cell stay in test"
    assert set(data.splits.test.targets.cells.tolist()) == {-1}
    assert any("20 of 20 lie in no cell" in note for note in data.splits.notes)


def test_photos_in_dropped_cells_leave_train_and_are_counted(save: Save, tmp_path: Path) -> None:
    rows = {0: "0.jpg,-75.0,100.0", 3: "3.jpg,70.0,-40.0"}
    data = module(Csv(), table(save, tmp_path, rows), val_fraction=0.0, test_fraction=0.0, cells=CellOptions(least=5))
    data.setup_data()
    dropped = 60 - len(data.splits.train)
    assert dropped >= 2
    assert data.splits.train.targets.cells.min() >= 0
    assert f"{dropped} of 60 training photos lie in cells with too few photos" in " ".join(data.splits.notes)


def test_options_of_cells(save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path)
    spec = module(Csv(), path, cells=CellOptions(level=3)).setup_data()
    assert len(spec.classes) == 3
    file = tmp_path / "cells.json"
    file.write_text(json.dumps(spec.cells))
    again = module(Csv(), path, cells=CellOptions(file=str(file))).setup_data()
    assert again.cells == spec.cells
    assert "data.cells.file=none.json: No such file" in refusal(Csv(), path, cells=CellOptions(file="none.json"))
    file.write_text("{}")
    assert "not a file of cells" in refusal(Csv(), path, cells=CellOptions(file=str(file)))
    file.write_text("latitude,longitude")
    assert "no JSON" in refusal(Csv(), path, cells=CellOptions(file=str(file)))
    assert "data.cells: levels from 9 to 3" in refusal(Csv(), path, cells=CellOptions(coarsest=9, finest=3))
    assert "nothing to choose among" in refusal(Csv(), path, cells=CellOptions(least=500, most=1000))


def test_the_spec_carries_the_cells_as_plain_values(save: Save, tmp_path: Path) -> None:
    spec = module(Csv(), table(save, tmp_path)).setup_data()
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_photos_gps(save: Save, tmp_path: Path) -> None:
    for number, (north, east) in enumerate(places(30)):
        save(f"trip {number % 2}/{number}.jpg", seed=number, exif=gps(north, east))
    data = module(Gps(), tmp_path, test_fraction=0.0, val_fraction=0.0, cells=CellOptions(least=1))
    data.setup_data()
    read = {Path(data.splits.train.name(n)).stem: place for n, place in enumerate(data.splits.train.targets.places)}
    assert len(read) == 30
    assert all(np.allclose(read[str(n)], place, atol=1e-6) for n, place in enumerate(places(30)))
    notes = module(Auto(), tmp_path, cells=CellOptions(least=1))
    notes.setup_data()
    assert notes.splits.notes[0] == "data=auto took the format gps"
    grouped = module(Gps(group=True), tmp_path, test_fraction=0.0, val_fraction=0.5, cells=CellOptions(least=1))
    grouped.setup_data()
    assert [set(records.groups.tolist()) for _, records in grouped.splits.items()] in ([{0}, {1}], [{1}, {0}])


def test_photos_without_gps_are_counted(save: Save, tmp_path: Path) -> None:
    for number, (north, east) in enumerate(places(30)):
        save(f"{number}.jpg", seed=number, exif=gps(north, east))
    save("0.jpg")
    save("1.png", image=photo(1))
    save("2.jpg", exif=gps(0.0, 0.0))
    save("3.jpg", exif=gps(48.0, 2.0, sides=("", "E")))
    (tmp_path / "4.jpg").write_bytes(b"no image")
    save("5.jpg", exif=gps(95.0, 2.0))
    said = refusal(Gps(), tmp_path)
    assert said.startswith("6 problem(s) in the data:")
    for words in ("no GPS in its EXIF", "coordinates 0, 0", "is incomplete", "cannot be read", "latitude 95"):
        assert words in said
    data = module(Gps(), tmp_path, on_error="skip", cells=CellOptions(least=1))
    data.setup_data()
    assert sum(len(records) for _, records in data.splits.items()) == 25
    assert "2 photos: no GPS in its EXIF" in data.splits.notes


def test_a_camera_that_does_not_know_writes_not_a_number(save: Save, tmp_path: Path) -> None:
    for number, (north, east) in enumerate(places(12)):
        save(f"{number}.jpg", seed=number, exif=gps(north, east))
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (IFDRational(0, 0),) * 3, 3: "E", 4: (2.0, 0.0, 0.0)}
    save("0.jpg", exif=exif)
    assert "1 problem(s)" in refusal(Gps(), tmp_path)


def test_lists_of_test_sets(save: Save, tmp_path: Path) -> None:
    table(save, tmp_path / "", n=6, head="IMG_ID,LAT,LON").rename(tmp_path / "im2gps_places365.csv")
    (tmp_path / "photos").mkdir()
    for number in range(6):
        (tmp_path / f"{number}.jpg").rename(tmp_path / "photos" / f"{number}.jpg")
    for format in (Im2Gps(count=237), Auto()):
        splits = format.read(root=tmp_path, kind="coordinate", channels=3, seed=0)
        assert splits.train is None
        assert isinstance(splits.test.targets, CoordinateTargets)
        assert len(splits.test) == 6
    assert Im2Gps().claims(tmp_path)
    data = module(Im2Gps(count=237), tmp_path)
    spec = data.setup_data()
    assert spec.cells is None
    assert any("6 photos, the set has 237" in note for note in data.splits.notes)
    assert "several lists" not in " ".join(data.splits.notes)
    (tmp_path / "im2gps_more.csv").write_text("a")
    assert "several lists (im2gps_more.csv, im2gps_places365.csv)" in refusal(Im2Gps(), tmp_path)


def test_a_part_is_cut_off_in_every_region(save: Save, tmp_path: Path) -> None:
    data = module(Csv(), table(save, tmp_path), val_fraction=0.25, test_fraction=0.0)
    data.setup_data()
    nearest = np.array(CITIES)
    found = [np.abs(nearest - place).sum(axis=1).argmin() for place in data.splits.val.targets.places]
    assert np.bincount(found).tolist() == [5, 5, 5]


def test_whatever_lies_together_stays_together(save: Save, tmp_path: Path) -> None:
    path = table(save, tmp_path)
    lines = [f"{line},{number // 6}" for number, line in enumerate(path.read_text().splitlines()[1:])]
    path.write_text("\n".join(["file,lat,lon,author", *lines]))
    data = module(Csv(group="author"), path)
    data.setup_data()
    groups = [set(records.groups.tolist()) for _, records in data.splits.items()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_images_of_two_places_are_not_mixed(save: Save, tmp_path: Path) -> None:
    from mobilevision.data import Augment

    assert "two places in one image" in refusal(Csv(), table(save, tmp_path), augment=Augment(mixup=0.2))


def test_images_without_a_place_join_training(save: Save, tmp_path: Path) -> None:
    for number in range(3):
        save(f"more/{number}.jpg", seed=90 + number)
    data = module(Csv(), table(save, tmp_path), unlabelled=str(tmp_path / "more"))
    data.setup_data()
    batches = list(data.train_and_unlabelled_dataloader())
    cells = np.concatenate([batch["target"]["cell"].numpy() for batch in batches])
    assert cells[-3:].tolist() == [-1, -1, -1]
    assert np.isnan(batches[-1]["target"]["coordinate"].numpy()).any()
