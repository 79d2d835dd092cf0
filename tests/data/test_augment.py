from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mobilevision.data import Augment
from mobilevision.errors import UserError
from mobilevision.images.framing import centre_box

SIDES = st.integers(1, 2000)


@given(height=SIDES, width=SIDES, seed=st.integers(0, 2**32), aspect=st.sampled_from([0.5, 1.0, 16 / 9]))
def test_a_crop_lies_within_the_image_in_whole_pixels(height: int, width: int, seed: int, aspect: float) -> None:
    box, _ = Augment(crop_scale=[0.08, 1.0]).draw(np.random.default_rng(seed), height, width, aspect)
    assert box is not None
    x, y, w, h = box
    assert all(edge == int(edge) for edge in box)
    assert x >= 0
    assert y >= 0
    assert w >= 1
    assert h >= 1
    assert x + w <= width
    assert y + h <= height


@pytest.mark.parametrize("side", [300, 1024])
def test_the_crop_has_the_distribution_of_torchvision(side: int) -> None:
    from torchvision.transforms import v2

    scale, ratio = (0.08, 1.0), (3 / 4, 4 / 3)
    ours = Augment(crop_scale=scale, crop_ratio=ratio)
    rng = np.random.default_rng(0)
    drawn = np.array([ours.draw(rng, side, side * 3 // 2)[0] for _ in range(3000)])
    torch.manual_seed(0)
    theirs = v2.RandomResizedCrop(8, scale=scale, ratio=ratio)
    blank = torch.zeros(3, side, side * 3 // 2)
    params = [theirs.make_params([blank]) for _ in range(3000)]
    boxes = np.array([[p["left"], p["top"], p["width"], p["height"]] for p in params])
    for quantile in (0.1, 0.5, 0.9):
        mine, other = np.quantile(drawn, quantile, axis=0), np.quantile(boxes, quantile, axis=0)
        assert np.abs(mine - other).max() < 0.05 * side


def test_flip_and_centre() -> None:
    rng = np.random.default_rng(0)
    plain = Augment(crop_scale=None, flip=0.25)
    draws = [plain.draw(rng, 10, 20) for _ in range(2000)]
    assert all(box is None for box, _ in draws)
    assert 0.2 < np.mean([flip for _, flip in draws]) < 0.3


@pytest.mark.parametrize(
    "options",
    [
        {"crop_scale": [0.0, 1.0]},
        {"crop_scale": [0.5]},
        {"crop_scale": [0.5, 1.5]},
        {"crop_ratio": [2.0, 1.0]},
        {"flip": 1.5},
        {"erasing": -0.1},
        {"rand_augment": 31},
    ],
)
def test_senseless_settings_are_named(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"augment\.{next(iter(options))}"):
        Augment(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{"color_jitter": 0.4}, {"rand_augment": 9}, {"erasing": 1.0}])
def test_changes_of_pixels_follow_the_generator(options: dict[str, float], channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 40, channels), dtype=np.uint8)
    before = pixels.copy()
    augment = Augment(**options)  # type: ignore[arg-type]

    def changed(seed: int) -> np.ndarray:
        return augment.pixels(pixels, np.random.default_rng(seed))

    assert changed(1).shape == pixels.shape
    assert changed(1).dtype == np.uint8
    assert np.array_equal(changed(1), changed(1))
    assert any(not np.array_equal(changed(seed), changed(1)) for seed in range(2, 8))
    assert np.array_equal(pixels, before), "the image handed over stays as it is"


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 1.0), (0.2, 1.0)])
def test_mixing_keeps_the_sum_of_targets_and_follows_the_generator(mixup: float, cutmix: float) -> None:
    images = torch.arange(6, dtype=torch.uint8).mul(40)[:, None, None, None].expand(6, 3, 16, 16).contiguous()
    targets = torch.arange(6) % 4
    augment = Augment(mixup=mixup, cutmix=cutmix)
    assert augment.mixes
    state = torch.get_rng_state()
    for seed in range(5):
        mixed, soft = augment.mix(images, targets, 4, torch.Generator().manual_seed(seed))
        again, _ = augment.mix(images, targets, 4, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed, again)
        assert mixed.shape == images.shape
        assert soft.shape == (6, 4)
        assert torch.allclose(soft.sum(1), torch.ones(6))
        assert mixed.min() >= 0
        assert mixed.max() <= 255
    assert torch.equal(torch.get_rng_state(), state)
    assert Augment().mix(images, targets, 4)[0] is images


@given(
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    resolution=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    crop=st.floats(0.1, 1.0),
)
def test_the_evaluation_box_is_centred_and_has_the_models_aspect(
    shape: tuple[int, int], resolution: tuple[int, int], crop: float
) -> None:
    x, y, w, h = centre_box(shape, resolution, crop)
    assert math.isclose(w / h, resolution[1] / resolution[0], rel_tol=1e-6)
    assert math.isclose(2 * x + w, shape[1], rel_tol=1e-6)
    assert math.isclose(2 * y + h, shape[0], rel_tol=1e-6)
    assert math.isclose(max(w / shape[1], h / shape[0]), crop, rel_tol=1e-6)


def test_the_evaluation_box_is_the_usual_resize_and_centre_crop() -> None:
    x, y, w, h = centre_box((375, 500), (224, 224), 0.875)
    assert w == h == 375 * 0.875
    assert (x, y) == ((500 - w) / 2, (375 - h) / 2)
