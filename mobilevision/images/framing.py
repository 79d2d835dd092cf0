"""Where an image lies in a model's input during evaluation and prediction, where nothing is drawn at random.

Plain numbers, so that an exported model is fed alike without torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mobilevision.errors import UserError

CropBox = tuple[float, float, float, float]
"""(x, y, width, height) in upright pixels, x and y of the left upper corner."""

FITS = ("crop", "stretch", "letterbox")


class Affine(NamedTuple):
    """From one pixel grid to another along both axes: x -> x * scale_x + shift_x, and y likewise."""

    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float

    def boxes(self, boxes: Any) -> Any:
        """Map boxes (left, top, right, bottom), [..., 4], a NumPy array or a tensor; the type stays."""
        mapped = boxes + 0
        mapped[..., 0::2] = boxes[..., 0::2] * self.scale_x + self.shift_x
        mapped[..., 1::2] = boxes[..., 1::2] * self.scale_y + self.shift_y
        return mapped

    def points(self, points: Any) -> Any:
        """Map points (x, y), [..., 2], a NumPy array or a tensor of floats; the type stays."""
        mapped = points + 0
        mapped[..., 0] = points[..., 0] * self.scale_x + self.shift_x
        mapped[..., 1] = points[..., 1] * self.scale_y + self.shift_y
        return mapped

    def then(self, other: Affine) -> Affine:
        """This mapping, and ``other`` after it."""
        return Affine(
            self.scale_x * other.scale_x,
            self.scale_y * other.scale_y,
            self.shift_x * other.scale_x + other.shift_x,
            self.shift_y * other.scale_y + other.shift_y,
        )

    @property
    def inverse(self) -> Affine:
        """The mapping back."""
        x, y, dx, dy = self
        return Affine(1 / x, 1 / y, -dx / x, -dy / y)


class Frame(NamedTuple):
    """How an image lies in the model's input: a part of it, resized, at a place; what stays free is grey.

    Attributes:
        box: the part, (x, y, width, height) in upright pixels of the image.
        size: (height, width) to which the part is resized.
        place: (top, left) of it in the input.
    """

    box: CropBox
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)

    @property
    def to_input(self) -> Affine:
        """From pixels of the image to pixels of the input."""
        x, y, width, height = self.box
        scale_x, scale_y = self.size[1] / width, self.size[0] / height
        return Affine(scale_x, scale_y, self.place[1] - x * scale_x, self.place[0] - y * scale_y)


def frame(shape: tuple[int, int], resolution: tuple[int, int], *, fit: str, crop: float = 1.0) -> Frame:
    """Where evaluation puts an image.

    Args:
        shape: (height, width) of the image in pixels.
        resolution: (height, width) of the model's input in pixels.
        fit: ``crop`` the centre, ``stretch`` all of it, or ``letterbox`` all of it with its aspect kept.
        crop: for ``crop``, side of the box over the largest that fits, in (0, 1].

    Raises:
        UserError: another fit.
    """
    if fit == "crop":
        return Frame(centre_box(shape, resolution, crop), resolution)
    whole = (0.0, 0.0, float(shape[1]), float(shape[0]))
    if fit == "stretch":
        return Frame(whole, resolution)
    if fit != "letterbox":
        raise UserError(f"data.fit={fit}: there are {', '.join(FITS)}")
    return Frame(whole, *fitted(shape, resolution))


def fitted(shape: tuple[float, float], resolution: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size and place of something of ``shape`` in the middle of the input, as large as it fits, its aspect kept."""
    scale = min(resolution[0] / shape[0], resolution[1] / shape[1])
    size = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
    return size, ((resolution[0] - size[0]) // 2, (resolution[1] - size[1]) // 2)


def centre_box(shape: tuple[int, int], resolution: tuple[int, int], crop: float) -> CropBox:
    """The centred box that has the model's aspect and ``crop`` times the largest size that fits.

    Resizing it to ``resolution`` is the usual "resize the shorter side to S / crop, take the centre S x S" in one step
    and without rounding.

    Args:
        shape: (height, width) of the image in pixels.
        resolution: (height, width) of the model's input in pixels.
        crop: side of the box over the largest that fits, in (0, 1].

    Returns:
        (x, y, width, height) in pixels.
    """
    scale = crop * min(shape[0] / resolution[0], shape[1] / resolution[1])
    height, width = resolution[0] * scale, resolution[1] * scale
    return (shape[1] - width) / 2, (shape[0] - height) / 2, width, height
