"""Which part of a picture is looked at in evaluation."""

from __future__ import annotations

from mobilevision.data.records import Box


def centre_box(shape: tuple[int, int], resolution: tuple[int, int], crop: float) -> Box:
    """The centred box that has the model's aspect and ``crop`` times the largest size that fits.

    Resizing it to ``resolution`` is the usual "resize the shorter side to S / crop, take the centre S x S" in one step
    and without rounding.

    Args:
        shape: (height, width) of the picture in pixels.
        resolution: (height, width) of the model's input in pixels.
        crop: side of the box over the largest that fits, in (0, 1].

    Returns:
        (x, y, width, height) in pixels.
    """
    scale = crop * min(shape[0] / resolution[0], shape[1] / resolution[1])
    height, width = resolution[0] * scale, resolution[1] * scale
    return (shape[1] - width) / 2, (shape[0] - height) / 2, width, height
