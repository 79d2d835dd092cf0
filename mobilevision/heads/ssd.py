"""SSD and SSDLite: boxes read off the maps of a backbone and of a few layers more (arXiv 1512.02325)."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Unpack, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.heads import torchvision_detectors
from mobilevision.heads.detection import Anchors, DetectionHead, DetectionOptions, anchor_shapes, rows
from mobilevision.heads.head import draw_small
from mobilevision.heads.torchvision_detectors import Layout, Rows, check_layout
from mobilevision.ops.anchor_planning import Places
from mobilevision.ops.anchors import RATIOS, SCALES, default_boxes, default_sizes
from mobilevision.ops.box_coding import LARGEST, SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Inside, Needs

# Convolutions with batch norm, as detection heads stack them.

Activation = Literal["relu", "relu6"]
ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6}
MakeLayer = Callable[[int, int], nn.Module]
"""Makes a layer of so many channels in and out."""


class Norm(NamedTuple):
    """Settings of a batch norm, by default torch's own."""

    eps: float = 1e-5
    momentum: float = 0.1


PLAIN_NORM = Norm()


@final
class ConvNorm(nn.Module):
    """A convolution without bias, batch norm, and an activation.

    A map of one place in a batch of one image has no variance; there the running statistics serve in training, too.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: its side; the padding keeps the map's side, divided by the stride and rounded up.
        stride: of the convolution.
        groups: of channels that do not see each other; ``inputs`` of them for a depthwise convolution.
        activation: ``relu`` or ``relu6``.
        norm: epsilon and momentum of the batch norm.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation,
        norm: Norm = PLAIN_NORM,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=norm.eps, momentum=norm.momentum)
        self.act = ACTIVATIONS[activation](inplace=True)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Float maps [B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        x = self.conv(x)
        norm = self.norm
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            x = norm(x)
        result: Tensor = self.act(x)
        return result


PRIOR = 0.01
"""Share of objects that an untrained head expects; anything near a half and the first steps are spent on background."""
NARROWEST = 16


class Pyramid(NamedTuple):
    """The maps that boxes are read off, from fine to coarse.

    Attributes:
        strides: those that come from the backbone.
        channels: of every map.
        grids: (rows, columns) of every map.
    """

    strides: tuple[int, ...]
    channels: tuple[int, ...]
    grids: tuple[tuple[int, int], ...]


def pyramid(
    own: Mapping[int, int],
    resolution: tuple[int, int],
    *,
    strides: Sequence[int],
    extras: Sequence[int],
    width: float,
) -> Pyramid:
    """Plan the maps: the backbone's, then extra ones of half the side each until there is one place only.

    Args:
        own: the backbone's maps: stride -> channels.
        resolution: (height, width) of the input in pixels.
        strides: of the backbone's maps.
        extras: channels of the extra maps, at most.
        width: factor on ``extras``.

    Raises:
        UserError: no strides, or one that the backbone does not have.
    """
    if not strides or not set(strides) <= set(own):
        have = ", ".join(map(str, own)) or "none"
        raise UserError(f"head.strides={list(strides)}: the backbone has maps at strides {have}")
    wanted = tuple(sorted(set(strides)))
    height, wide = resolution
    channels = [own[stride] for stride in wanted]
    grids = [(math.ceil(height / stride), math.ceil(wide / stride)) for stride in wanted]
    for more in extras:
        rows, columns = grids[-1]
        if rows == columns == 1:
            break
        channels.append(max(NARROWEST, int(more * width)))
        grids.append((math.ceil(rows / 2), math.ceil(columns / 2)))
    return Pyramid(wanted, tuple(channels), tuple(grids))


@final
class SingleShotOptions(DetectionOptions, total=False):
    """Arguments of :class:`SingleShotHead` that both heads take; it says what they mean."""

    strides: Annotated[Sequence[PositiveInt], Items(min=1)]
    extras: Sequence[PositiveInt]
    width: Annotated[float, Range(above=0, max=16)]
    scales: Annotated[Sequence[PositiveFloat], Items(min=1)]
    ratios: Annotated[Sequence[PositiveFloat], Items(min=1)]
    clip: bool
    anchors: Anchors | None


class SingleShotHead(DetectionHead, ABC):
    """A class predictor and a box predictor on each map of a pyramid; a constructor ends with :meth:`grow`.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; its resolution fixes the default boxes.
        reduced: three default boxes instead of all on the first map.
        strides: of the backbone's maps; with 8 among them, smaller objects are found.
        extras: channels of the further maps; those after a map of one place are not built.
        width: factor on ``extras``.
        scales: of the default boxes, over the input's shorter side: of the first and the last map, or of each.
        ratios: width over height of the default boxes.
        clip: no default box longer than the input.
        anchors: (width, height) of the default boxes of each map, as fractions of the input, instead of what
            ``scales``, ``ratios``, ``reduced`` and ``clip`` describe.
        expanded: the stride at whose first block the map of half that stride is read, where it is expanded; None
            reads the maps that the backbone ends its strides with.
        **options: of :class:`DetectionHead`.

    Attributes:
        maps: the pyramid.
        anchor_shapes: (width, height) of the default boxes at each place of each map, as fractions of the input.
        anchors: float32 [A, 4], the default boxes as (left, top, right, bottom) in pixels of the input.

    Raises:
        UserError: strides that the backbone does not have; scales or anchors for another number of maps; too few
            outputs.
    """

    anchors: Tensor

    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        reduced: bool,
        strides: Sequence[int] = (16, 32),
        extras: Sequence[int] = (512, 256, 256, 128),
        width: float = 1.0,
        scales: Sequence[float] = SCALES,
        ratios: Sequence[float] = RATIOS,
        clip: bool = True,
        anchors: Anchors | None = None,
        expanded: int | None = None,
        **options: Unpack[DetectionOptions],
    ) -> None:
        super().__init__(backbone=backbone, data=data, **options)
        own = dict(backbone.strides)
        if expanded is not None:
            own[expanded // 2] = backbone.entries[expanded].expanded
        self.expanded = expanded
        self.maps = pyramid(own, data.resolution, strides=strides, extras=extras, width=width)
        self.needs = Needs(strides=self.maps.strides)
        if expanded is not None:
            others = tuple(stride for stride in self.maps.strides if stride != expanded // 2)
            self.needs = Needs(strides=others, entries=(expanded,))
        count, side = len(self.maps.grids), data.resolution
        if anchors is not None and len(anchors) != count:
            raise UserError(f"head.anchors: {len(anchors)} lists for {count} maps at {side[0]}x{side[1]} pixels")
        self.anchor_shapes = anchor_shapes(
            anchors, lambda: default_sizes(count, side, scales=scales, ratios=ratios, reduced=reduced, clip=clip)
        )

    def grow(self, extra: MakeLayer, predictor: MakeLayer) -> None:
        """Make the layers; called once, by the constructor.

        Args:
            extra: makes a layer from one map to the next, of half the side.
            predictor: makes a layer that reads values off a map; its last module is a convolution with bias.
        """
        channels, counts = self.maps.channels, [len(sizes) for sizes in self.anchor_shapes]
        chain = pairwise(channels[len(self.maps.strides) - 1 :])
        self.extras = nn.ModuleList(extra(before, after) for before, after in chain)
        self.classifiers, self.regressors = nn.ModuleList(), nn.ModuleList()
        for wide, count in zip(channels, counts, strict=True):
            self.classifiers.append(predictor(wide, count * self.outputs))
            self.regressors.append(predictor(wide, count * 4))
        for layer in self.classifiers:
            expect_background(layer, self.outputs)
        boxes = default_boxes(self.maps.grids, self.anchor_shapes, self.data_spec.resolution)
        self.register_buffer("anchors", boxes, persistent=False)

    @property
    def places(self) -> list[Places]:
        """The middles of the cells of each map."""
        return [Places((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h) for h, w in self.maps.grids]

    def forward(self, features: Features, target: Mapping[str, Tensor] | None = None) -> DetectorOutputs:
        """Raw outputs; ``target`` is not used."""
        maps = [self._map(features, stride) for stride in self.maps.strides]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        logits = torch.cat([rows(layer(x), self.outputs) for layer, x in zip(self.classifiers, maps, strict=True)], 1)
        deltas = torch.cat([rows(layer(x), 4) for layer, x in zip(self.regressors, maps, strict=True)], 1)
        anchors = self._anchors(maps).expand(logits.shape[0], -1, -1)
        valid = torch.ones((1, 1), dtype=torch.bool, device=logits.device).expand(anchors.shape[:2])
        return DetectorOutputs(Candidates(logits, deltas, anchors, valid, SSD_WEIGHTS))

    def raw(self, outputs: DetectorOutputs) -> dict[str, Tensor]:
        """As in :class:`DetectionHead`: ``logits`` [B, A, O] and ``deltas`` [B, A, 4]."""
        return {"logits": outputs.final.logits, "deltas": outputs.final.deltas}

    def raw_facts(self, outputs: DetectorOutputs) -> dict[str, Any]:
        """As in :class:`DetectionHead`; ``outputs`` are those of any image."""
        height, width = self.data_spec.resolution
        anchors = outputs.final.anchors[0].cpu().numpy()
        return {
            "anchors": [[float(str(side)) for side in box] for box in anchors],  # the shortest that float32 reads back
            **{"coding": "offsets", "coding_weights": list(outputs.final.weights), "largest_log_scale": LARGEST},
            **{"background": 0, "classes": len(self.data_spec.classes), "clip": [width, height]},
            **{"score_threshold": self.score_threshold, "nms_iou": self.nms, "per_class": self.per_class},
            "detections": self.detections,
        }

    def _map(self, features: Features, stride: int) -> Tensor:
        if self.expanded is None or stride != self.expanded // 2:
            return features.maps[stride]
        return features.maps[Inside(self.expanded, "expanded")]

    def _anchors(self, maps: Sequence[Tensor]) -> Tensor:
        """The default boxes; others where a backbone rounds the sides of its maps down."""
        grids = tuple((x.shape[2], x.shape[3]) for x in maps)
        if grids == self.maps.grids:
            return self.anchors
        return default_boxes(grids, self.anchor_shapes, self.data_spec.resolution).to(self.anchors.device)


def expect_background(predictor: nn.Module, outputs: int) -> None:
    """Set the last biases of a class predictor so that all classes together begin at a probability of ``PRIOR``."""
    *_, last = (layer for layer in predictor.modules() if isinstance(layer, nn.Conv2d))
    assert last.bias is not None
    with torch.no_grad():
        last.bias.zero_()
        last.bias[::outputs] = math.log((outputs - 1) * (1 - PRIOR) / PRIOR)


def reading(inputs: int, outputs: int, kernel: int = 1) -> nn.Conv2d:
    """The convolution that reads values off a map: small weights, no bias yet."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    draw_small(layer)
    return layer


@final
class SSDHead(SingleShotHead):
    """SSD as the MobileNet paper counts it (arXiv 1704.04861, Table 13).

    Two maps of the backbone and four more, each from a 1x1 and a 3x3 convolution; 1917 default boxes at 300 pixels.

    Args:
        backbone: as in :class:`SingleShotHead`.
        data: as in :class:`SingleShotHead`.
        kernel: side of the predictors' convolutions; the paper's cost is that of 1, SSD's own is 3.
        activation: of the extra layers.
        reduced: as in :class:`SingleShotHead`.
        **options: :class:`SingleShotHead`'s.

    Raises:
        UserError: as in :class:`SingleShotHead`.
    """

    side = 300

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        kernel: Literal[1, 3, 5, 7] = 1,
        activation: Activation = "relu",
        reduced: bool = True,
        **options: Unpack[SingleShotOptions],
    ) -> None:
        super().__init__(backbone=backbone, data=data, reduced=reduced, **options)

        def extra(inputs: int, outputs: int) -> nn.Module:
            """To half the channels to come, then to half the side."""
            return nn.Sequential(
                ConvNorm(inputs, outputs // 2, activation=activation),
                ConvNorm(outputs // 2, outputs, 3, stride=2, activation=activation),
            )

        self.grow(extra, partial(reading, kernel=kernel))


@final
class SSDLiteHead(SingleShotHead):
    """SSD whose own layers are depthwise separable (MobileNet V2, arXiv 1801.04381, section 6.2).

    A 3x3 depthwise convolution stands before every prediction and within every further map's layer.

    Args:
        backbone: as in :class:`SingleShotHead`.
        data: as in :class:`SingleShotHead`.
        activation: of the extra layers and within the predictors.
        reduced: as in :class:`SingleShotHead`; torchvision's SSDLite has all default boxes on the first map, too.
        layout: ``torchvision``: the layers of torchvision's ``ssdlite320_mobilenet_v3_large``: the map of stride 16 is
            read where the first block of stride 32 expands it (arXiv 1905.02244, section 6.3), batch norms have
            epsilon 1e-3, and the default boxes stand in torchvision's order; ``own``: none of this.
        weights: pretrained weights of the whole detector, which whoever builds the head loads into backbone and head;
            they need ``layout=torchvision``.
        **options: :class:`SingleShotHead`'s.

    Raises:
        UserError: a backbone whose blocks expand nothing, or other strides, for torchvision's layout; see also
            :class:`SingleShotHead`.
    """

    side = 320
    published: ClassVar[Mapping[int, str]] = {320: "ssdlite320_mobilenet_v3_large"}

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        activation: Activation = "relu6",
        reduced: bool = False,
        layout: Layout = "own",
        weights: str | None = None,
        **options: Unpack[SingleShotOptions],
    ) -> None:
        check_layout(layout, weights)
        norm, expanded = PLAIN_NORM, None
        if layout == "torchvision":
            norm, expanded = Norm(eps=1e-3, momentum=0.03), 32
            strides = tuple(options.get("strides", (16, 32)))
            if strides != (16, 32) or reduced:
                raise UserError("head.layout=torchvision: has maps of strides [16,32] with six default boxes a place")
            if expanded not in backbone.entries:
                raise UserError(
                    "head.layout=torchvision: this backbone's blocks expand nothing: take mobilenet_v2 or v3"
                )
        super().__init__(backbone=backbone, data=data, reduced=reduced, expanded=expanded, **options)
        if layout == "torchvision" and options.get("anchors") is None:
            self.anchor_shapes = [[first, last, *others] for first, *others, last in self.anchor_shapes]

        def extra(inputs: int, outputs: int) -> nn.Module:
            """To half the channels to come, to half the side, to all channels."""
            middle = outputs // 2
            return nn.Sequential(
                ConvNorm(inputs, middle, activation=activation, norm=norm),
                ConvNorm(middle, middle, 3, stride=2, groups=middle, activation=activation, norm=norm),
                ConvNorm(middle, outputs, activation=activation, norm=norm),
            )

        def predictor(inputs: int, outputs: int) -> nn.Module:
            """A depthwise and a pointwise convolution."""
            return nn.Sequential(
                ConvNorm(inputs, inputs, 3, groups=inputs, activation=activation, norm=norm), reading(inputs, outputs)
            )

        self.grow(extra, predictor)

    def load_detector(self, state: Mapping[str, Tensor], *, source: str) -> list[str]:
        """See :meth:`DetectionHead.load_detector`."""
        return torchvision_detectors.load(
            self,
            state,
            source=source,
            names=torchvision_detectors.SSDLITE,
            rows={f"classifiers.{number}.1": Rows(len(each)) for number, each in enumerate(self.anchor_shapes)},
        )
