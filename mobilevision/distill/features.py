"""Imitate feature maps: hint layers (Romero et al., "FitNets", arXiv 1412.6550)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

from torch import Tensor, nn
from torch.nn import functional

from mobilevision.distill.objective import Objective
from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.ranges import Items, PositiveInt, check_ranges
from mobilevision.spec import Emits, Needs


@final
class FeatureMaps(Objective):
    """Mean squared difference of feature maps at some strides.

    A 1x1 convolution takes the student's channels to the teacher's; it is learnt along and left behind when the
    student is used. Where the two look at other sides, the teacher's map is averaged or stretched to the student's
    places. A map's scale is the teacher's own: differences are measured in its standard deviations.

    Args:
        emits: as in :class:`Objective`.
        strides: of the maps.

    Raises:
        UserError: no strides.
    """

    by_class = False
    reaches_head = False

    @check_ranges("distill")
    def __init__(self, *, emits: Emits | None, strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (16,)) -> None:
        super().__init__(emits=emits)
        self.needs = Needs(strides=tuple(sorted(set(strides))))
        self.projections = nn.ModuleDict()

    def prepare(self, student: Seen, teacher: Seen) -> None:
        """See :class:`Objective`."""
        if teacher.features is None or student.features is None:
            raise UserError("distill=features: the teacher has outputs only; take a run or a timm model")
        for stride in self.needs.strides:
            own, aim = (seen.features.maps[stride].shape[1] for seen in (student, teacher) if seen.features)
            self.projections[str(stride)] = nn.Conv2d(own, aim, 1)

    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """See :class:`Objective`."""
        assert student.features is not None
        assert teacher.features is not None
        total = student.features.maps[self.needs.strides[0]].new_zeros(())
        for stride, projection in zip(self.needs.strides, self.projections.values(), strict=True):
            own, aim = projection(student.features.maps[stride]), teacher.features.maps[stride]
            if own.shape[2:] != aim.shape[2:]:
                aim = functional.interpolate(aim, own.shape[2:], mode="bilinear", antialias=True)
            spread = aim.float().var().clamp(min=1e-6)
            total = total + (own.float() - aim.float()).square().mean() / spread
        return {"features": total / len(self.needs.strides)}
