"""What all detection heads share: how many outputs they have, and how detections are read off them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypedDict

from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.heads.head import Head
from mobilevision.ops.anchor_planning import Places, Reach, Sizes
from mobilevision.ops.candidates import DetectorOutputs, PointOutputs
from mobilevision.ops.postprocess import detections as best_detections
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Share, ShareBelowOne
from mobilevision.spec import BackboneSpec, DataSpec, Features

Shape = Annotated[Sequence[PositiveFloat], Items(2, 2)]
"""Width and height, as fractions of the input."""
Anchors = Annotated[Sequence[Annotated[Sequence[Shape], Items(min=1)]], Items(min=1)]
"""The shapes of each map."""


class DecodingOptions(TypedDict, total=False):
    """Arguments of :class:`DetectionHead` that say what becomes a detection; it says what they mean."""

    score_threshold: ShareBelowOne
    nms: Share
    per_class: PositiveInt | None
    detections: PositiveInt


class DetectionOptions(DecodingOptions, TypedDict, total=False):
    """Those of every head whose scores have background among them, too."""

    outputs: PositiveInt | None


class DetectionHead(Head, ABC):
    """Features in, class scores and box offsets of many candidate boxes out.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        outputs: class scores of a candidate, background included; None for the classes and background. More than that
            stay unused: COCO's ids have gaps, and papers count 91.
        score_threshold: only scores above it become detections.
        nms: of two boxes of one class that overlap by more than this (IoU), the better one stays.
        per_class: at most this many candidates of each class are compared with each other; None for all.
        detections: at most this many detections of an image.

    Attributes:
        losses: options of the group ``loss`` that it learns by, its own first.
        published: torchvision's names of the detectors whose weights it takes, by the side of their input.
        smallest: boxes with a side shorter than this many pixels are dropped.

    Raises:
        UserError: fewer outputs than classes.
    """

    losses: ClassVar[tuple[str, ...]] = ("multibox",)
    published: ClassVar[Mapping[int, str]] = {}
    smallest: float = 0.0

    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        outputs: int | None = None,
        score_threshold: float = 0.01,
        nms: float = 0.5,
        per_class: int | None = 400,
        detections: int = 100,
    ) -> None:
        super().__init__(backbone=backbone, data=data)
        least = len(data.classes) + 1
        if outputs is not None and outputs < least:
            raise UserError(f"head.outputs={outputs}: {least - 1} classes and background need {least}; null is that")
        self.outputs = outputs or least
        self.score_threshold, self.nms = score_threshold, nms
        self.per_class, self.detections = per_class, detections

    @property
    @abstractmethod
    def places(self) -> list[Places]:
        """Where the boxes that it starts from are centred, for each map; none where it starts from nothing."""

    @property
    def reach(self) -> list[Reach]:
        """Which boxes each map can tell, of a head without default boxes; none of others, whose boxes decide that."""
        return []

    @abstractmethod
    def forward(self, features: Features, target: Mapping[str, Tensor] | None = None) -> DetectorOutputs | PointOutputs:
        """Raw outputs.

        Args:
            features: maps at the strides that it needs.
            target: the boxes of the batch, while training: a two-stage head takes its second stage's regions among
                them too. Others have no use for it.
        """

    def load_detector(self, state: Mapping[str, Tensor], *, source: str) -> list[str]:
        """Take over what fits of the weights of a whole detector (:mod:`mobilevision.heads.torchvision_detectors`).

        Args:
            state: its tensors under torchvision's names, the body's not among them.
            source: what to call them in messages.

        Returns:
            What was taken and what was not, a fact a line.

        Raises:
            UserError: this head takes none, or nothing in it fits.
        """
        raise UserError(f"{type(self).__name__} takes no pretrained weights")

    def raw(self, outputs: Any) -> dict[str, Tensor]:
        """What :meth:`decode` starts from, for a head that has :meth:`raw_facts`."""
        return {}

    def raw_facts(self, outputs: Any) -> dict[str, Any]:
        """What whoever decodes :meth:`raw` has to know (:mod:`mobilevision.deploy.decode_raw_boxes`).

        Returns:
            Plain values.

        Raises:
            UserError: a head whose boxes do not start from the same places in every image, or of which nothing is
                suppressed.
        """
        raise UserError(
            f"--raw: {type(self).__name__} suppresses boxes between its two stages; only one-stage heads (ssd,"
            " ssdlite, picodet) can leave decoding outside"
        )

    def decode(self, outputs: Any) -> dict[str, Tensor]:
        """Detections, D of them for every image, best first.

        Returns:
            ``boxes`` float32 [B, D, 4], (left, top, right, bottom) in pixels of the input; ``scores`` float32 [B, D], 0
            where there is no detection; ``labels`` int64 [B, D], -1 there.
        """
        return best_detections(
            outputs.final,
            resolution=self.data_spec.resolution,
            score_threshold=self.score_threshold,
            iou=self.nms,
            per_class=self.per_class,
            most=self.detections,
            classes=len(self.data_spec.classes),
            smallest=self.smallest,
        )


def anchor_shapes(anchors: Anchors | None, by_rule: Callable[[], Sizes]) -> Sizes:
    """The given shapes of the anchors of each map, else those by the head's rule.

    Raises:
        UserError: scales that do not go with the number of maps.
    """
    if anchors is not None:
        return [[(float(width), float(height)) for width, height in each] for each in anchors]
    try:
        return by_rule()
    except ValueError as error:
        raise UserError(f"head.scales: {error}") from None


def rows(maps: Tensor, values: int) -> Tensor:
    """Predictions [B, K * values, h, w] of K boxes a place as [B, h * w * K, values]."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, values)
