"""How many pictures the drawn data sets take, and of what size."""

from __future__ import annotations

from typing import Annotated

from mobilevision.ranges import Range

DrawnTrain = Annotated[int, Range(min=1, max=10_000_000)]
"""Pictures (or identities) to learn from."""
DrawnCount = Annotated[int, Range(min=0, max=10_000_000)]
"""Pictures (or identities) of val or test; 0 for none."""
DrawnSide = Annotated[int, Range(min=8, max=4096)]
"""Of a drawn picture, pixels."""
