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
        UserError: a head that takes a stage away from the backbone that another one needs.
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
        resolutions = {name: head.data_spec.resolution for name, head in parts.items()}
        self.sides = {name: side for name, side in resolutions.items() if side != data.resolution}

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
