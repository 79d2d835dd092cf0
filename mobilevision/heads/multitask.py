"""The heads of several tasks over one backbone pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import final

from torch import nn

from mobilevision.errors import UserError
from mobilevision.heads.head import Head
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs, PartOutputs


@final
class MultitaskHead(Head):
    """A head a part, all fed with the same features.

    Args:
        backbone: as of :class:`Head`.
        data: of all parts.
        parts: the heads by part.

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

    def forward(self, features: Features) -> dict[str, PartOutputs]:
        """Raw outputs by part, of every image."""
        return {name: PartOutputs(head(features)) for name, head in self.parts.items()}
