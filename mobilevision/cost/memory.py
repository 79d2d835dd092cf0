"""How much memory activations take at their peak, from what each operation of a forward pass read and made.

Counted as a runtime that plans its memory needs it: a tensor lives from the operation that makes it to the last one
that reads it; a view is no tensor of its own; an element-wise operation, and batch norm, write into an input that
nobody reads afterwards; what nobody reads is not made. The image is an activation too, weights are not. What an
operation needs for itself while it runs (an unfolded image, say) is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

Place = int
"""One buffer of memory that operations read and write, by number."""


class Buffer(NamedTuple):
    """How much a buffer holds.

    Attributes:
        numbers: how many there are in it.
        bytes: of each, as it was traced.
        floating: whether they are floating point, so that precision decides their bytes.
    """

    numbers: int
    bytes: int
    floating: bool

    def size(self, floating: int) -> int:
        """Bytes, where a floating number takes ``floating``."""
        return self.numbers * (floating if self.floating else self.bytes)


class Operation(NamedTuple):
    """One step of a forward pass.

    Attributes:
        module: which module was at work.
        reads: the buffers it takes.
        makes: the new ones it gives.
        in_place: whether it could write its first result into an input of the same size.
        padded: numbers in the padded copy of its input that a microcontroller makes first; 0 where it makes none.
        pads: whether it is TensorFlow's padding, which a convolution there does by itself.
    """

    module: str
    reads: tuple[Place, ...]
    makes: tuple[Place, ...]
    in_place: bool
    padded: int = 0
    pads: bool = False


@final
class Plan:
    """Which buffers are alive at each operation.

    Args:
        operations: in their order.
        buffers: of every place that they name.
        inputs: places that are there from the start.
        outputs: places that have to be there at the end.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        buffers: Sequence[Buffer],
        *,
        inputs: Sequence[Place],
        outputs: Sequence[Place],
    ) -> None:
        self._operations, self._buffers = operations, buffers
        self._last = {place: 0 for place in inputs}
        for step, operation in enumerate(operations):
            self._last.update(dict.fromkeys(operation.reads, step))
        self._last.update(dict.fromkeys(outputs, len(operations)))
        self._first = dict.fromkeys(inputs, 0)
        self._lay_out()

    def alive(self, floating: int = 4) -> list[int]:
        """Bytes alive at each operation, where a floating number takes ``floating`` bytes."""
        changes = [0] * (len(self._operations) + 2)
        for place, first in self._first.items():
            size = self._buffers[place].size(floating)
            changes[first] += size
            changes[self._last[place] + 1] -= size
        found, total = [], 0
        for change in changes[: len(self._operations)]:
            total += change
            found.append(total)
        return found

    def peak_on_board(self) -> int:
        """Most bytes alive at a time in int8 on a microcontroller, where a padded input is a tensor of its own."""
        peak, images = 0, dict[Place, Place]()  # of a padded copy that is not made, what it would be a copy of
        for step, (operation, alive) in enumerate(zip(self._operations, self.alive(1), strict=True)):
            if operation.pads:
                images.update(dict.fromkeys(operation.makes, operation.reads[0]))
                continue
            for place in set(operation.reads) & images.keys():
                copied, image = (self._buffers[each].size(1) for each in (place, images[place]))
                alive += (image if self._last[images[place]] < step else 0) - copied
            sizes = {place: self._buffers[place].size(1) for place in (*operation.reads, *operation.makes)}
            made = sum(sizes[place] for place in operation.makes if place in self._last)
            ended = sum(sizes[place] for place in set(operation.reads) if self._last.get(place) == step)
            padded = (alive - made + operation.padded, alive - ended + operation.padded) if operation.padded else ()
            peak = max(peak, alive, *padded)
        return peak

    def _lay_out(self) -> None:
        """When each buffer begins; one that is written into another prolongs that one's life instead."""
        within: dict[Place, Place] = {}
        for step, operation in enumerate(self._operations):
            made = [place for place in operation.makes if place in self._last]
            if operation.in_place and made:
                reads = [within.get(place, place) for place in operation.reads]
                if (free := self._free(reads, made[0], step)) is not None:
                    within[made[0]] = free
                    self._last[free] = self._last[made.pop(0)]
            self._first.update(dict.fromkeys(made, step))

    def _free(self, reads: Sequence[Place], made: Place, step: int) -> Place | None:
        """A buffer of the size of ``made`` that nobody reads after this step."""
        wanted = self._buffers[made]
        fitting = (place for place in reads if place in self._first and self._buffers[place] == wanted)
        return next((place for place in fitting if self._last[place] == step), None)
