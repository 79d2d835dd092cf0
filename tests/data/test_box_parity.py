"""The draws have the distributions of torchvision's transforms for SSD, and colours come close to its colours."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from mobilevision.data import BoxAugment
from mobilevision.data import box_augment as colours
from mobilevision.data.box_augment import Photometric, overlapping, zoomed_out
from mobilevision.data.boxes import boxes_of
from mobilevision.data.view import View

from .conftest import photo
from .test_box_augment import Spied

HEIGHT, WIDTH = 120, 160
CORNERS = (
    np.array([[10, 20, 90, 120], [100, 30, 300, 220], [200, 10, 230, 40], [40, 150, 120, 230.0], [0, 0, 8, 8]]) / 2
)
OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
DRAWS = 1200


def theirs() -> dict[str, object]:
    """A blank image with boxes as torchvision takes them."""
    boxes = tv_tensors.BoundingBoxes(  # type: ignore[call-arg]
        torch.tensor(CORNERS), format="XYXY", canvas_size=(HEIGHT, WIDTH)
    )
    return {"image": tv_tensors.Image(torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)), "boxes": boxes}


def alike(mine: np.ndarray, other: np.ndarray) -> None:
    """The distribution functions of two samples, column by column, are nowhere further apart than 0.07."""
    for first, second in zip(mine.round(2).T, other.round(2).T, strict=True):
        at = np.concatenate([first, second])
        below = [np.searchsorted(np.sort(each), at, side="right") / len(each) for each in (first, second)]
        assert np.abs(below[0] - below[1]).max() < 0.07


def test_crops_are_drawn_as_torchvision_draws_them() -> None:
    rng, window = np.random.default_rng(0), (0.0, 0.0, float(WIDTH), float(HEIGHT))
    limits = {"overlaps": OVERLAPS, "scale": (0.3, 1.0), "ratio": (0.5, 2.0)}
    ours = [overlapping(rng, window, CORNERS, **limits) for _ in range(DRAWS)]  # type: ignore[arg-type]
    torch.manual_seed(0)
    transform, flat = v2.RandomIoUCrop(), list(theirs().values())
    params = [transform.make_params(flat) for _ in range(DRAWS // 2)]
    cropped = [each for each in params if each]
    assert abs(sum(each is None for each in ours) / DRAWS - 1 + len(cropped) / len(params)) < 0.04
    mine = np.array([each for each in ours if each is not None])
    other = np.array([[each[key] for key in ("left", "top", "width", "height")] for each in cropped], dtype=float)
    alike(mine, other)
    alike(kept(mine)[:, None], np.array([float(each["is_within_crop_area"].sum()) for each in cropped])[:, None])


def kept(parts: np.ndarray) -> np.ndarray:
    """How many boxes have their centre in each part (x, y, width, height)."""
    centre, low = (CORNERS[:, :2] + CORNERS[:, 2:]) / 2, parts[:, None, :2]
    inside: np.ndarray = ((low < centre) & (centre < low + parts[:, None, 2:])).all(-1)
    return inside.sum(1).astype(float)


def test_a_larger_ground_is_drawn_as_torchvision_draws_it() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([zoomed_out(rng, (0.0, 0.0, float(WIDTH), float(HEIGHT)), 4.0) for _ in range(DRAWS)])
    torch.manual_seed(0)
    transform, flat = v2.RandomZoomOut(), list(theirs().values())
    padding = np.array([transform.make_params(flat)["padding"] for _ in range(DRAWS)], dtype=float)
    sides = np.stack([padding[:, 0] + WIDTH + padding[:, 2], padding[:, 1] + HEIGHT + padding[:, 3]], axis=1)
    alike(drawn[:, 2:], sides)
    alike(-drawn[:, :2], padding[:, :2])


def test_boxes_that_reach_the_model_have_the_sizes_that_torchvision_gives() -> None:
    size = (256, 256)
    # Without the clamp, boxes at the edge of the crop come to lie 1e-5 pixels outside by rounding and are removed.
    last = [v2.Resize(size), v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(labels_getter=None)]
    whole = v2.Compose([v2.RandomZoomOut(fill=127), v2.RandomIoUCrop(), *last])
    torch.manual_seed(0)
    other = [whole(theirs())["boxes"].numpy() for _ in range(DRAWS // 4)]
    records = Spied([boxes_of(CORNERS, np.arange(5))], (HEIGHT, WIDTH))
    view, augment = View(records, channels=3, resolution=size, fit="stretch"), BoxAugment(photometric=0.0, flip=0.0)
    targets = [augment.sample(view, 0, np.random.default_rng(seed)).target for seed in range(DRAWS)]
    mine = [each.inputs for each in targets if each is not None]
    assert abs(np.mean([len(each) for each in mine]) - np.mean([len(each) for each in other])) < 0.3
    alike(sides_of(mine), sides_of(other))


def sides_of(boxes: list[np.ndarray]) -> np.ndarray:
    """Width and height of all boxes of all images."""
    together = np.concatenate(boxes)
    sides: np.ndarray = together[:, 2:] - together[:, :2]
    return sides


def close(matrix: np.ndarray, pixels: np.ndarray, wanted: torch.Tensor, most: float, mean: float) -> None:
    """The changed image differs from torchvision's by at most these levels."""
    got = colours.applied(matrix, pixels).astype(int)
    difference = np.abs(got - wanted.permute(1, 2, 0).numpy().astype(int))
    assert difference.max() <= most
    assert difference.mean() <= mean


@pytest.fixture
def image() -> np.ndarray:
    return (np.asarray(photo(3, 60, 80)) * 0.6 + 40).astype(np.uint8)


@pytest.mark.parametrize("factor", [0.875, 1.125])
def test_brightness(image: np.ndarray, factor: float) -> None:
    wanted = functional.adjust_brightness(torch.from_numpy(image).permute(2, 0, 1), factor)
    close(colours.IDENTITY * factor, image, wanted, 1, 0.6)


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_contrast(image: np.ndarray, factor: float) -> None:
    wanted = functional.adjust_contrast(torch.from_numpy(image).permute(2, 0, 1), factor)
    mean = image.reshape(-1, 3).mean(0)
    assert np.abs(colours.means(image) - mean).max() < 3
    close(colours.contrasted(colours.IDENTITY, factor, mean), image, wanted, 2, 1.2)


@pytest.mark.parametrize("factor", [0.5, 1.4])
def test_saturation(image: np.ndarray, factor: float) -> None:
    wanted = functional.adjust_saturation(torch.from_numpy(image).permute(2, 0, 1), factor)
    close(colours.saturated(factor) @ colours.IDENTITY, image, wanted, 2, 1.0)


@pytest.mark.parametrize("share", [-0.05, 0.02, 0.05])
def test_hue_turns_as_far_on_the_whole_and_leaves_brightness_and_grey_alone(share: float) -> None:
    turn = np.linspace(0, 1, 60, endpoint=False)
    vivid = np.array([[colorsys.hsv_to_rgb(hue, 0.4, 0.6) for hue in turn]]) * 255
    turned = vivid @ colours.turned(share).T
    moved = np.array([colorsys.rgb_to_hsv(*colour / 255)[0] for colour in turned[0]]) - turn
    moved = (moved + 0.5) % 1 - 0.5
    assert abs(moved.mean() - share) < 0.1 * abs(share)
    assert (np.sign(moved) == np.sign(share)).all()
    assert np.abs((turned - vivid) @ colours.LUMA).max() < 0.5
    assert np.allclose(colours.turned(share) @ np.full(3, 90.0), 90.0, atol=0.1)


def test_colours_scatter_as_torchvisions_do(image: np.ndarray) -> None:
    rng, change = np.random.default_rng(0), Photometric()
    ours = np.array([change(image, rng).reshape(-1, 3).mean(0) for _ in range(600)])
    torch.manual_seed(0)
    transform, tensor = v2.RandomPhotometricDistort(), torch.from_numpy(image).permute(2, 0, 1)
    other = np.array([transform(tensor).float().mean((1, 2)).numpy() for _ in range(600)])
    assert np.abs(ours.mean(0) - other.mean(0)).max() < 2.5
    assert np.abs(ours.std(0) - other.std(0)).max() < 2.5
    same = np.mean([np.array_equal(change(image, rng), image) for _ in range(600)])
    assert abs(same - 0.5**5 * (1 + 1 / 6)) < 0.03


def test_nothing_is_drawn_where_no_crop_can_meet_the_overlaps() -> None:
    rng, window = np.random.default_rng(0), (0.0, 0.0, 100.0, 100.0)
    tiny = np.array([[5.0, 5.0, 6.0, 6.0]])
    assert overlapping(rng, window, tiny, overlaps=(0.9,), scale=(0.3, 1.0), ratio=(0.5, 2.0)) is None
    assert overlapping(rng, window, tiny[:0], overlaps=(0.0,), scale=(0.3, 1.0), ratio=(0.5, 2.0)) is None
