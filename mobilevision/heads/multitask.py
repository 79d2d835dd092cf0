"""The heads of several tasks over one backbone pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.heads.head import Head
from mobilevision.spec import BackboneSpec, DataSpec, FeatureExtractor, Features, Needs, PartFeatures, PartOutputs


@final
class MultitaskHead(Head):
    """A head a part, fed with the same features, or, of parts that see images at a side of their own, with others.

    Args:
        backbone: as of :class:`Head`.
        data: of all parts.
        parts: the heads by part; one whose data has another resolution than ``data`` gets a backbone pass at that.

    Attributes:
        sides: (height, width) of the parts that see images at another side than the others.

    Raises:
        UserError: a head that takes a stage away from the backbone that another one needs, or wants it dilated.
    """

    def __init__(self, *, backbone: BackboneSpec, data: DataSpec, parts: Mapping[str, Head]) -> None:
        super().__init__(backbone=backbone, data=data)
        self.parts = nn.ModuleDict(dict(parts))
        for name, head in parts.items():
            if head.needs.tail:
                raise UserError(
                    f"parts.{name}.head takes the backbone's last stage for itself, which the other parts share: take"
                    f" parts.{name}.head=faster_rcnn_fpn, ssd or picodet"
                )
        self.needs = reduce(Needs.__or__, (head.needs for head in parts.values()))
        self._check_output_stride(parts)
        resolutions = {name: head.data_spec.resolution for name, head in parts.items()}
        self.sides = {name: side for name, side in resolutions.items() if side != data.resolution}

    def _check_output_stride(self, parts: Mapping[str, Head]) -> None:
        """Dilated stages are other stages for whoever looks at them, so all such heads have to want the same."""
        dilated = self.needs.output_stride
        for name, head in parts.items():
            looks = head.needs.pooled or max(head.needs.strides, default=0) > (dilated or 0)
            if dilated is not None and looks and head.needs.output_stride != dilated:
                raise UserError(
                    f"parts.{name}.head takes the last stages of the backbone as they are, another part's head has them"
                    f" dilated to stride {dilated}: give that one head.output_stride={max(self.backbone_spec.strides)}"
                )

    @property
    def passes(self) -> dict[tuple[int, int] | None, list[str]]:
        """The parts of each backbone pass, by the size that it sees images at; None: the shared one."""
        found: dict[tuple[int, int] | None, list[str]] = {}
        for name in self.parts:
            found.setdefault(self.sides.get(name), []).append(name)
        return found

    def extract(self, backbone: FeatureExtractor, images: Tensor, more: Needs | None = None) -> Features | PartFeatures:
        """See :class:`Head`; of several passes where parts have sides of their own."""
        seen = {side: self.extract_at_side(side, backbone, images, more) for side in self.passes}
        others = {side: features for side, features in seen.items() if side is not None}
        shared = seen.get(None) or Features({}, None)
        return PartFeatures(shared, others) if others else shared

    def extract_at_side(
        self, side: tuple[int, int] | None, backbone: FeatureExtractor, images: Tensor, more: Needs | None = None
    ) -> Features:
        """Features for the parts of one of the ``passes``; arguments as of :meth:`extract`."""
        wanted: list[Any] = [self.parts[name].needs for name in self.passes[side]]
        needs = reduce(Needs.__or__, wanted, more or Needs())
        return backbone(images if side is None else shrunk(images, side), needs)

    def forward(self, features: Features | PartFeatures) -> dict[str, PartOutputs]:
        """Raw outputs by part, of every image."""
        return {name: PartOutputs(head(at_side(features, self.sides.get(name)))) for name, head in self.parts.items()}


def at_side(features: Features | PartFeatures, side: tuple[int, int] | None) -> Features:
    """Those of one pass; None: the shared one."""
    return features.of(side) if isinstance(features, PartFeatures) else features


def shrunk(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at a smaller size, in operators that every format and runtime has.

    Bilinear to the smallest multiple of ``size`` that skips no pixel, then averages: much like an antialiased resize,
    which few runtimes know.

    Args:
        images: [B, C, H, W], 0..255.
        size: (height, width) of the result, no larger than the images.

    Returns:
        Float, 0..255.
    """
    down, across = (max(1, have // want) for have, want in zip(images.shape[2:], size, strict=True))
    larger = functional.interpolate(
        images.float(), (size[0] * down, size[1] * across), mode="bilinear", align_corners=False
    )
    return larger if down == across == 1 else functional.avg_pool2d(larger, (down, across))
