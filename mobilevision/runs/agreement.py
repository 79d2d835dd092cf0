"""How often a student says what its teacher says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from mobilevision.spec import Emits

_SURE, _OVERLAP = 0.5, 0.5


@final
class Agreement:
    """Counts over batches.

    Of classes, pictures of which both name the same; of attributes, answers that are the same; of embeddings, the mean
    cosine; of detectors, those of the teacher's detections (score from 0.5) that the student has, too (class the same,
    IoU from 0.5, any score from half of that).

    Args:
        emits: what the outputs are.
        decode: from raw outputs to predictions.
    """

    def __init__(self, emits: Emits | None, decode: Callable[[Any], dict[str, Tensor]]) -> None:
        self.emits, self.decode = emits, decode
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, student: Any, teacher: Any) -> None:
        """Raw outputs of both of a batch."""
        if self.emits == "softmax":
            same = (student.argmax(1) == teacher.argmax(1))[teacher.isfinite().all(dim=1)]
        elif self.emits == "sigmoid":
            same = ((student >= 0) == (teacher >= 0))[teacher.isfinite()]
        elif self.emits == "embedding" and student.shape == teacher.shape:
            same = functional.cosine_similarity(student.float(), teacher.float())
        elif self.emits == "detections":
            same = self._found(self.decode(student), self.decode(teacher))
        else:
            return
        self.sums += torch.tensor([float(same.sum()), float(same.numel())], dtype=torch.float64)

    def value(self, add_up: Callable[[Tensor], Tensor]) -> float | None:
        """The share, over all processes; None where nothing could be compared.

        Args:
            add_up: sums a tensor over the processes.
        """
        agreed, compared = add_up(self.sums.float()).tolist()
        return agreed / compared if compared else None

    def _found(self, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
        flags = [torch.zeros(0, dtype=torch.bool)]
        for place in range(len(teacher["scores"])):
            sure, likely = teacher["scores"][place] >= _SURE, student["scores"][place] >= _SURE / 2
            overlap = box_iou(teacher["boxes"][place][sure], student["boxes"][place][likely])
            same = teacher["labels"][place][sure][:, None] == student["labels"][place][likely]
            flags.append(((overlap >= _OVERLAP) & same).any(dim=1).cpu())
        return torch.cat(flags)
