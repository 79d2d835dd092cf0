"""What class is every pixel of?"""

from __future__ import annotations

from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mobilevision.api import Metric, OutputKind, Task
from mobilevision_segmentation.metric import SegmentationMetrics


@final
class Segmentation(Task):
    """Logits of a map, enlarged to the input, whose largest is the class of a pixel."""

    kind: ClassVar[str] = "mask"
    primary: ClassVar[str] = "miou"
    output_kind: ClassVar[OutputKind | None] = "softmax"
    answers: ClassVar[str] = "mask"
    raw_answers: ClassVar[str | None] = "mask_logits"

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """``mask``: uint8 [B, H, W] at the input's size, from logits [B, K, h, w]."""
        larger = interpolate(outputs.float(), self.data_spec.resolution, mode="bilinear", align_corners=False)
        return {"mask": larger.argmax(dim=1).to(torch.uint8)}

    def configure_metrics(self) -> Metric:
        """As in :class:`Task`."""
        return SegmentationMetrics(classes=self.data_spec.classes)

    def raw(self, outputs: Tensor) -> dict[str, Tensor]:
        """``logits``: as the head gives them."""
        return {"logits": outputs.float()}

    def raw_facts(self, outputs: Tensor) -> dict[str, Any]:
        """``resolution``: the size that logits are enlarged to."""
        del outputs
        return {"resolution": list(self.data_spec.resolution)}
