"""What a detector says before anything is decided: class scores and boxes of many candidates."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mobilevision.ops.box_coding import Weights, decode


class Decodable(Protocol):
    """Candidates whose scores and boxes can be had, whatever they start from."""

    @property
    def valid(self) -> Tensor:
        """Bool [B, A]; False for places that only fill up the batch."""

    def probabilities(self) -> Tensor:
        """Float32 [B, A, K], of each class; background has none."""

    def boxes_of(self, row: int, places: Tensor, labels: Tensor) -> Tensor:
        """Float32 [N, 4] of candidates of one image, (left, top, right, bottom) in pixels of the input.

        Args:
            row: the image.
            places: int64 [N], which candidates.
            labels: int64 [N], the class that is seen in each.
        """

    def boxes_by_class(self, places: Tensor) -> Tensor:
        """Float32 [B, K, N, 4]: the boxes of the candidates ``places``, int64 [B, K, N], as of class k."""


class Candidates(NamedTuple):
    """A class and a box for each of many anchors; batch first.

    Attributes:
        logits: float [B, A, O]; output 0 is background, output k + 1 is class k.
        deltas: float [B, A, 4], or [B, A, O, 4] where every class has a box of its own: (dx, dy, dw, dh) relative to
            the anchor, times ``weights`` (see :mod:`mobilevision.ops.box_coding`).
        anchors: float [B, A, 4], anchors or proposals, as (left, top, right, bottom) in pixels of the input.
        valid: bool [B, A]; False for places that only fill up the batch.
        weights: factors on (dx, dy, dw, dh).
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    valid: Tensor
    weights: Weights

    def probabilities(self) -> Tensor:
        """See :class:`Decodable`; with background they sum to 1."""
        return self.logits.float().softmax(dim=-1)[..., 1:]

    def boxes_of(self, row: int, places: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Decodable`."""
        deltas = self.deltas[row]
        chosen = deltas[places] if deltas.ndim == 2 else deltas[places, labels + 1]
        return decode(chosen, self.anchors[row][places], self.weights)

    def boxes_by_class(self, places: Tensor) -> Tensor:
        """See :class:`Decodable`."""
        if self.deltas.ndim == 3:
            boxes = decode(self.deltas, self.anchors, self.weights)
            return boxes.gather(1, places.flatten(1)[..., None].expand(-1, -1, 4)).view(*places.shape, 4)
        deltas = self.deltas[:, :, 1 : places.shape[1] + 1]
        by_class = decode(deltas, self.anchors[:, :, None], self.weights).transpose(1, 2)
        return by_class.gather(2, places[..., None].expand(-1, -1, -1, 4))


class PointCandidates(NamedTuple):
    """A score for each class and a box for each of many points; batch first.

    A side's distance from the point is the mean of a distribution over whole strides (generalised focal loss,
    arXiv 2006.04388, section 3.2).

    Attributes:
        logits: float [B, A, K], each class by itself: a sigmoid makes it a score.
        sides: float [B, A, 4, bins], logits of the distance of (left, top, right, bottom), in strides.
        points: float [B, A, 2], (x, y) in pixels of the input.
        strides: float [B, A], in pixels.
    """

    logits: Tensor
    sides: Tensor
    points: Tensor
    strides: Tensor

    @property
    def valid(self) -> Tensor:
        """See :class:`Decodable`: all."""
        return torch.ones((1, 1), dtype=torch.bool, device=self.logits.device).expand(self.logits.shape[:2])

    def probabilities(self) -> Tensor:
        """See :class:`Decodable`."""
        return self.logits.float().sigmoid()

    def boxes(self) -> Tensor:
        """Float32 [B, A, 4], (left, top, right, bottom) in pixels of the input."""
        return distances_to_boxes(self.points, expected_values(self.sides) * self.strides[..., None])

    def boxes_of(self, row: int, places: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Decodable`; ``labels`` do not matter."""
        distances = expected_values(self.sides[row, places]) * self.strides[row, places, None]
        return distances_to_boxes(self.points[row, places], distances)

    def boxes_by_class(self, places: Tensor) -> Tensor:
        """See :class:`Decodable`."""
        boxes = self.boxes().gather(1, places.flatten(1)[..., None].expand(-1, -1, 4))
        return boxes.view(*places.shape, 4)


def expected_values(sides: Tensor) -> Tensor:
    """The mean of distributions over 0, 1, 2 ...: float32 [...] of logits [..., bins]."""
    steps = torch.arange(sides.shape[-1], dtype=torch.float32, device=sides.device)
    return (sides.float().softmax(dim=-1) * steps).sum(dim=-1)


def distances_to_boxes(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes [..., 4] by how far their (left, top, right, bottom) lie from points [..., 2]."""
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)


class DetectorOutputs(NamedTuple):
    """Raw outputs of a detection head that starts from anchors.

    Attributes:
        final: what becomes detections.
        proposals: the first stage of a two-stage detector (its outputs are background and object); None for one-stage.
    """

    final: Candidates
    proposals: Candidates | None = None


class PointOutputs(NamedTuple):
    """Raw outputs of a detection head that starts from points.

    Attributes:
        final: what becomes detections.
        one_to_one: whether one candidate alone is to find an object, so that nothing is left to be suppressed.
        one_to_many: in training, a second reading of the same features, of which several candidates may find one
            object; None where ``final`` is that, or where only detections are wanted.
    """

    final: PointCandidates
    one_to_one: bool = False
    one_to_many: PointCandidates | None = None
