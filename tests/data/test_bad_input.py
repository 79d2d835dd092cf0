from __future__ import annotations

from pathlib import Path

import pytest

from mobilevision.data import Augment, DataModule
from mobilevision.data.formats import Csv, ImageFolder
from mobilevision.data.loader import Batch
from mobilevision.data.skipped import SkipLog
from mobilevision.errors import UserError

from .conftest import Save
from .test_formats import fill


def spoil(save: Save, tmp_path: Path) -> list[str]:
    """A set with three unreadable files, and their names."""
    fill(save, "train/a", "train/b", "val/a", "val/b", each=4)
    (tmp_path / "train/a/empty.jpg").write_bytes(b"")
    (tmp_path / "train/a/text.jpg").write_text("no image")
    whole = save("train/b/cut.jpg", seed=99).read_bytes()
    (tmp_path / "train/b/cut.jpg").write_bytes(whole[: len(whole) // 2])
    return ["empty.jpg", "text.jpg", "cut.jpg"]


def module(root: Path, run_dir: Path | None = None, **options: object) -> DataModule:
    given = {"workers": 0, "resolution": 16, "batch_size": 4, "augment": Augment(), "drop_last": False, **options}
    made = DataModule(format=ImageFolder(), root=str(root), **given)  # type: ignore[arg-type]
    made.setup_data(run_dir=run_dir)
    return made


@pytest.mark.parametrize("workers", [0, 2])
def test_raise_names_the_file(save: Save, tmp_path: Path, workers: int) -> None:
    spoil(save, tmp_path)
    with pytest.raises(UserError, match=r"train/(a/empty|a/text|b/cut)\.jpg: .*data\.on_error=skip") as caught:
        list(module(tmp_path, workers=workers).train_dataloader())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_leaves_them_out_and_lists_them_once(save: Save, tmp_path: Path, workers: int) -> None:
    bad = spoil(save, tmp_path)
    data = module(tmp_path, tmp_path, workers=workers, on_error="skip")
    batches: list[Batch] = []
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.epochs.set_epoch(epoch)
        batches += list(loader)
    assert sum(len(batch["target"]) for batch in batches) == 16
    assert all(len(b["image"]) == len(b["target"]) == len(b["index"]) for b in batches)
    listed = SkipLog(tmp_path / "skipped.csv").read()
    assert sorted(Path(file).name for file in listed) == sorted(bad)
    assert "truncated" in next(reason for file, reason in listed.items() if "cut" in file)


def test_a_batch_of_nothing_but_bad_files_is_an_error(save: Save, tmp_path: Path) -> None:
    fill(save, "train/a", "train/b", "val/a", "val/b")
    for path in (tmp_path / "train").rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="every image of a batch is unreadable"):
        next(iter(module(tmp_path, on_error="skip").train_dataloader()))


def test_an_empty_class_folder(save: Save, tmp_path: Path) -> None:
    fill(save, "train/a", "train/b", "val/a", "val/b")
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(UserError, match=r"train/empty/: class folder without images \(fill it or delete it\)"):
        module(tmp_path)
    assert module(tmp_path, tmp_path, on_error="skip").spec.classes == ("a", "b")
    assert "train/empty/" in SkipLog(tmp_path / "skipped.csv").read()


def test_a_class_that_train_lacks(save: Save, tmp_path: Path) -> None:
    fill(save, "train/a", "train/c", "val/a", "val/b", "val/c")
    with pytest.raises(UserError, match=r"val: class 'b' \(2 images\) has none in train"):
        module(tmp_path)
    data = module(tmp_path, on_error="skip")
    assert data.spec.classes == ("a", "c")
    assert data.splits.val is not None
    assert data.splits.val.targets.tolist() == [0, 0, 1, 1]
    assert "/val/c/" in data.splits.val.name(3)


def test_many_problems_are_listed_in_part_and_counted(save: Save, tmp_path: Path) -> None:
    fill(save, "p", each=4)
    rows = [f"p/{i}.jpg,{'ab'[i % 2]}" for i in range(4)] + [f"p/gone{i}.jpg,a" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    data = DataModule(format=Csv(), root=str(tmp_path / "t.csv"), workers=0)
    with pytest.raises(UserError) as caught:
        data.setup_data()
    text = str(caught.value)
    assert text.startswith("20 problem(s)")
    assert "t.csv:6: no file p/gone0.jpg" in text
    assert "and 12 more" in text
    skipping = DataModule(format=Csv(), root=str(tmp_path / "t.csv"), workers=0, on_error="skip")
    skipping.setup_data(run_dir=tmp_path)
    assert len(SkipLog(tmp_path / "skipped.csv").read()) == 20


def test_one_class_is_not_enough(save: Save, tmp_path: Path) -> None:
    fill(save, "train/a", "val/a")
    with pytest.raises(UserError, match=r"found 1 class \(a\)"):
        module(tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_error": "ignore"}, "must be raise or skip"),
        ({"val_fraction": 1.5}, r"data\.val_fraction=1\.5"),
        ({"resolution": [1, 2, 3]}, r"data\.resolution"),
        ({"batch_size": 0}, r"data\.batch_size"),
        ({"kind": "boxes"}, "gives class, identity, but the task learns from boxes"),
        ({"channels": 4, "augment": Augment(rand_augment=3)}, "work on 1 or 3"),
    ],
)
def test_senseless_arguments_are_named(save: Save, tmp_path: Path, options: dict[str, object], says: str) -> None:
    fill(save, "train/a", "train/b", "val/a", "val/b")
    with pytest.raises(UserError, match=says):
        module(tmp_path, **options)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_mixed_modes_in_one_set(save: Save, tmp_path: Path, channels: int) -> None:
    from .conftest import photo

    for number, mode in enumerate(("L", "RGB", "RGBA", "LA", "I;16")):
        for label in "ab":
            image = (
                photo(number).convert("L").convert("I").convert(mode) if mode == "I;16" else photo(number).convert(mode)
            )
            save(f"{label}/{number}.png", image=image)
    save("a/cmyk.jpg", image=photo(8).convert("CMYK"))
    data = module(tmp_path, channels=channels, val_fraction=0.2)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert all(batch["image"].shape[1] == channels for batch in loader)
