"""The other models of the paper's tables, as torchvision has them, on shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

from mobilevision.cost import Cost, count

COCO_OUTPUTS = 91
DOGS = 120


class Other(NamedTuple):
    """A model to count.

    Attributes:
        make: builds it, with random weights.
        side: of its input in pixels.
    """

    make: Callable[[], nn.Module]
    side: int


@final
class SingleShot(nn.Module):
    """The network of torchvision's SSD without its first and last steps, which look at values."""

    def __init__(self) -> None:
        super().__init__()
        made = models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=COCO_OUTPUTS)
        self.backbone, self.head = made.backbone, made.head

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of images."""
        return self.head(list(self.backbone(images).values()))


@final
class TwoStage(nn.Module):
    """Faster R-CNN over VGG 16 as arXiv 1506.01497 describes it: 9 anchors, 300 regions, VGG's own two large layers."""

    regions, anchors, stride = 300, 9, 16

    def __init__(self) -> None:
        super().__init__()
        body = models.vgg16(weights=None)
        self.features = body.features[:-1]  # to stride 16
        self.proposals = RPNHead(512, self.anchors)
        self.large = body.classifier[:-1]
        self.predictor = FastRCNNPredictor(4096, COCO_OUTPUTS)

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of both stages; where the regions lie changes nothing of the cost."""
        maps = self.features(images)
        regions = maps.new_empty(self.regions, 512 * 7 * 7)
        return self.proposals([maps]), self.predictor(self.large(regions))


OTHERS = {
    "vgg16": Other(lambda: models.vgg16(weights=None), 224),
    "googlenet": Other(lambda: models.googlenet(weights=None, aux_logits=False, init_weights=False), 224),
    "squeezenet": Other(lambda: models.squeezenet1_0(weights=None), 224),
    "alexnet": Other(lambda: models.alexnet(weights=None), 224),
    "inception_v3": Other(
        lambda: models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=DOGS), 299
    ),
    "ssd300_vgg16": Other(SingleShot, 300),
    "frcnn300_vgg16": Other(TwoStage, 300),
    "frcnn600_vgg16": Other(TwoStage, 600),
}


def other_cost(name: str) -> Cost:
    """What one of ``OTHERS`` costs for one image."""
    make, side = OTHERS[name]
    with torch.device("meta"):
        model = make()
    return count(model, torch.empty(1, 3, side, side, device="meta"))
