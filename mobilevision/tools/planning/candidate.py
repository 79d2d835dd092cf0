"""A model that might fit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from mobilevision.tools.benchmarking.subjects import Subject
    from mobilevision.tools.planning.budget import Budget

WIDTH, SIDE = "backbone.width", "data.resolution"


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A choice of every knob, counted.

    Attributes:
        fixed: the user's overrides of one value.
        knobs: what was searched: key -> value as text.
        subject: the model, composed and counted.
        size: bytes of its exported file.
    """

    fixed: tuple[str, ...]
    knobs: Mapping[str, str]
    subject: Subject
    size: int

    @property
    def overrides(self) -> list[str]:
        """All that a training needs to be told."""
        keys = sorted(self.knobs, key=lambda key: "." in key)  # groups before keys in them
        return [*self.fixed, *(f"{key}={self.knobs[key]}" for key in keys)]

    @property
    def command(self) -> str:
        """The training, ready to be typed."""
        return shlex.join(["mobilevision", "train", *self.overrides])

    @property
    def family(self) -> tuple[str, ...]:
        """What models have in common that differ in width and side alone."""
        return tuple(f"{key}={value}" for key, value in sorted(self.knobs.items()) if key not in (WIDTH, SIDE))

    @property
    def params(self) -> int:
        """Parameters."""
        return self.subject.counted.cost.parameters

    @property
    def mult_adds(self) -> int:
        """Of one image."""
        return self.subject.counted.cost.mult_adds

    @property
    def capacity(self) -> tuple[float, int]:
        """Width, and pixels of the input: what the paper buys accuracy with."""
        height, width = self.subject.counted.resolution
        return float(self.subject.cfg.backbone.get("width") or 1.0), height * width

    def excess(self, budget: Budget) -> dict[str, float]:
        """The counted bounds that it breaks, with cost over bound."""
        return budget.excess(params=self.params, mult_adds=self.mult_adds, size=self.size)

    @property
    def name(self) -> str:
        """For a folder: ``mobilenet_v2_0.35_ssdlite_160``, and what else was searched."""
        shown = {"backbone", "head", WIDTH, SIDE, "backbone.variant"}
        more = [f"{key.rpartition('.')[2]}-{value}" for key, value in self.knobs.items() if key not in shown]
        return "_".join([self.subject.name.replace(" + ", "_").replace(" ", "_"), *more])
