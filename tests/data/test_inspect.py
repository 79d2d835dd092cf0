from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobilevision.data import DataModule, Placement, Splits, Targets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats import ImageFolder
from mobilevision.data.inspect import inspect, near_pairs, perceptual
from mobilevision.data.sheet import worst
from mobilevision.errors import UnreadableImageError

from .conftest import Save, photo

HASHES = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1)), max_size=30)


@given(hashes=HASHES, within=st.integers(0, 5), block=st.integers(1, 40))
def test_near_pairs_are_those_of_the_plain_comparison(hashes: list[int], within: int, block: int) -> None:
    plain = {
        (a, b, (hashes[a] ^ hashes[b]).bit_count())
        for b in range(len(hashes))
        for a in range(b)
        if (hashes[a] ^ hashes[b]).bit_count() <= within
    }
    found = list(near_pairs(np.array(hashes, dtype=np.uint64), within, block))
    assert len(found) == len(set(found))
    assert set(found) == plain


def test_a_perceptual_hash_outlives_resizing_and_compression() -> None:
    def hashed(image: Image.Image) -> int:
        return perceptual(np.asarray(image.resize((9, 8), Image.Resampling.BILINEAR)))

    image = photo(1, 200, 300)
    assert (hashed(image) ^ hashed(image.resize((150, 100)))).bit_count() <= 3
    assert (hashed(image) ^ hashed(image.point(lambda value: value * 0.8))).bit_count() <= 3
    assert (hashed(image) ^ hashed(photo(2, 200, 300))).bit_count() > 12


def spoilt(save: Save, tmp_path: Path) -> DataModule:
    for i in range(6):
        save(f"train/{'ab'[i % 2]}/{i}.png", seed=i)
    for i in range(4):
        save(f"val/{'ab'[i % 2]}/{i}.jpg", seed=10 + i)
    save("train/a/more.png", seed=20)
    (tmp_path / "val/a/copy.png").write_bytes((tmp_path / "train/a/2.png").read_bytes())
    save("train/b/again.jpg", image=photo(4).resize((96, 72)), quality=70)  # 4.png lies in class a
    save("train/a/plain1.png", image=Image.new("RGB", (40, 40), "white"))
    save("train/a/plain2.png", image=Image.new("RGB", (40, 40), "black"))
    (tmp_path / "train/b/bad.jpg").write_bytes(b"")
    module = DataModule(format=ImageFolder(), root=str(tmp_path), workers=0)
    module.setup_data()
    return module


def test_everything_wrong_is_found(save: Save, tmp_path: Path) -> None:
    splits = spoilt(save, tmp_path).splits
    steps: list[tuple[int, int]] = []
    findings = inspect(splits, resolution=(48, 48), progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (findings.looked_at, findings.looked_at) == (16, 16)
    assert [Path(problem.where).name for problem in findings.bad] == ["bad.jpg"]
    assert findings.bad[0].what == "empty file (0 bytes)"
    assert findings.counts == {"train": (6, 5), "val": (3, 2)}
    assert findings.imbalance == pytest.approx(1.2)
    pairs = [(Path(p.first.name).name, Path(p.second.name).name, p.across, p.labels) for p in findings.duplicates]
    assert pairs == [("2.png", "copy.png", True, False), ("4.png", "again.jpg", False, True)]
    assert [pair.bits for pair in findings.leaks] == [-1]
    assert findings.sizes is not None
    assert findings.sizes.height == (40, 48, 72)
    assert findings.sizes.small == 2
    sheet = worst(splits, findings)
    assert sheet is not None
    assert sheet.width > 4 * 200


def test_a_clean_set_has_no_findings(save: Save, tmp_path: Path) -> None:
    for i in range(8):
        save(f"{'ab'[i % 2]}/{i}.jpg", seed=i)
    module = DataModule(format=ImageFolder(), root=str(tmp_path), workers=0)
    module.setup_data()
    findings = inspect(module.splits)
    assert not findings.bad
    assert not findings.duplicates
    assert findings.imbalance == 1.0
    assert worst(module.splits, findings) is None


class Masks(Targets):
    """Of which the second cannot be read."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> Any:
        return np.zeros(2)

    def placed(self, index: int, placement: Placement) -> Any:
        if index == 1:
            raise UnreadableImageError("1_mask.png: not an image")
        assert placement.resolution == placement.shape
        return self[index]


def test_targets_in_files_of_their_own_are_read_too(save: Save, tmp_path: Path) -> None:
    for i in range(3):
        save(f"{i}.jpg", seed=i)
    paths = [f"{i}.jpg" for i in range(3)]
    records = FileRecords(paths=paths, root=tmp_path, targets=Masks(), channels=3)
    (problem,) = inspect(Splits(records, classes=("a",))).bad
    assert Path(problem.where).name == "1.jpg"
    assert "1_mask.png: not an image" in problem.what
