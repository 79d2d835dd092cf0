"""Where in an image a model's answer comes from: LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from mobilevision.images.framing import Affine
from mobilevision.images.pixels import Pixels
from mobilevision.spec import Needs, PartFeatures

if TYPE_CHECKING:
    from mobilevision.tasks.base import Task

_OPACITY = 0.55  # of the colours over the image where the map is highest
_COLOURS = "turbo"


def activation_map(task: Task, image: torch.Tensor) -> NDArray[np.float32] | None:
    """How much each place of the input adds to what the model says.

    Of each feature map that the head reads (of the deepest one where it reads the pooled vector), activations are
    weighted place by place with the positive gradients of the answer's score and summed over channels; maps of several
    strides are joined by their maximum.

    Args:
        task: in evaluation mode; what it explains is its :meth:`~mobilevision.tasks.base.Task.explained`.
        image: the model's input, uint8 [C, H, W].

    Returns:
        Float32 [H, W] from 0 to 1; None where the task has no score to explain, or nothing adds to it.
    """
    needs = task.head.needs
    strides = needs.strides or (max(task.backbone.spec.strides),)
    with torch.inference_mode(False), torch.enable_grad():
        pixels = image.clone()[None].to(task.device).float().requires_grad_()
        features = task.head.extract(task.backbone, pixels, Needs(strides=strides))
        score = task.explained(task.head(features))
        if score is None or not score.requires_grad:
            return None
        seen = [features.shared, *features.at.values()] if isinstance(features, PartFeatures) else [features]
        maps = [each.maps[stride] for each in seen for stride in strides if stride in each.maps]
        gradients = torch.autograd.grad(score.sum(), maps, allow_unused=True)
        weighted = [
            (layer * gradient.clamp(min=0)).sum(dim=1, keepdim=True).clamp(min=0)
            for layer, gradient in zip(maps, gradients, strict=True)
            if gradient is not None
        ]
        side = tuple(image.shape[-2:])
        scaled = [
            functional.interpolate(each / each.max(), side, mode="bilinear") for each in weighted if each.max() > 0
        ]
    if not scaled:
        return None
    joined = torch.cat(scaled).amax(dim=0)[0].detach()
    found: NDArray[np.float32] = (joined / joined.max()).cpu().numpy()
    return found


def draw_activation(pixels: Pixels, shown: Affine, activation: NDArray[np.float32]) -> Image.Image:
    """An activation map in colours over what the model looked at.

    Args:
        pixels: uint8 [h, w, C].
        shown: from pixels of the model's input to these.
        activation: float [H, W] of the input.
    """
    from matplotlib import colormaps

    from mobilevision.visualization.draw import to_image

    height, width = pixels.shape[:2]
    left, top, right, bottom = shown.inverse.boxes(np.array([[0.0, 0.0, width, height]]))[0].tolist()
    part = Image.fromarray(activation).resize(
        (width, height), Image.Resampling.BILINEAR, box=_inside(activation, left, top, right, bottom)
    )
    values = np.asarray(part).clip(0, 1)[..., None]
    colours = 255 * colormaps[_COLOURS](values[..., 0])[..., :3]
    image = np.asarray(to_image(pixels, at_least=0).convert("RGB"), dtype=np.float32)
    opacity = _OPACITY * values
    return Image.fromarray(((1 - opacity) * image + opacity * colours).round().astype(np.uint8))


def _inside(
    activation: NDArray[Any], left: float, top: float, right: float, bottom: float
) -> tuple[float, float, float, float]:
    height, width = activation.shape
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
