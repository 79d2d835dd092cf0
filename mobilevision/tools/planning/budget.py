"""What a model may cost: bounds, and what breaks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from mobilevision.errors import UserError
from mobilevision.io.quantities import KINDS, option, quantity, written


@final
@dataclass(frozen=True)
class Budget:
    """What a model may cost; None is no bound.

    Attributes:
        params: parameters.
        mult_adds: of one image.
        latency: seconds an image.
        size: bytes of the exported file.
        arena: bytes of a microcontroller's RAM for tensors.
        flash: bytes of its flash for the model.
    """

    params: float | None = None
    mult_adds: float | None = None
    latency: float | None = None
    size: float | None = None
    arena: float | None = None
    flash: float | None = None

    @property
    def of_board(self) -> bool:
        """Whether anything is bounded that a microcontroller has."""
        return self.arena is not None or self.flash is not None

    @classmethod
    def read(cls, given: Mapping[str, str | None]) -> Budget:
        """From what was typed, name -> text.

        Raises:
            UserError: every text that is not a quantity, or no bound at all.
        """
        errors, values = [], {}
        for name, text in given.items():
            if text is None:
                continue
            try:
                values[name] = quantity(name, text)
            except UserError as error:
                errors.append(str(error))
        if errors:
            raise UserError("; ".join(errors))
        if not values:
            raise UserError("name a bound or several: --max-params 2M --max-mult-adds 300M --max-latency 15ms")
        return cls(**values)

    def excess(self, **costs: float) -> dict[str, float]:
        """Each bound that these costs break, with cost over bound.

        Args:
            **costs: by the names of the attributes; what is not given is not looked at.
        """
        bounds = {name: getattr(self, name) for name in costs}
        return {name: costs[name] / most for name, most in bounds.items() if most is not None and costs[name] > most}

    def __str__(self) -> str:
        return " · ".join(f"{option(name)} {written(name, most)}" for name in KINDS if (most := getattr(self, name)))
