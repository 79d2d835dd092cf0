"""faster-coco-eval's evaluation, the same in C++, fed with arrays instead of json."""

from __future__ import annotations

from typing import Any, final

from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from mobilevision.metrics.coco_engine import Annotations


@final
class FastEvaluation(COCOeval_faster):  # type: ignore[misc]
    """COCO's evaluation in C++, over prepared annotations.

    Args:
        annotations: what to evaluate, with the overlaps.
    """

    def __init__(self, annotations: Annotations) -> None:
        super().__init__(None, None, "bbox", print_function=lambda *_: None)
        self._annotations = annotations
        self._nonempty_iou_pairs = annotations.overlaps.keys()
        self.params.imgIds, self.params.catIds = annotations.pictures, annotations.classes

    def _prepare(self) -> None:
        for annotation in self._annotations.truth():
            self.gt_dataset.append_ref(annotation["image_id"], annotation["category_id"], annotation)
        for annotation in self._annotations.found():
            self.dt_dataset.append_ref(annotation["image_id"], annotation["category_id"], annotation)

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803 - the library's own names
        """Overlaps that were computed before."""
        return self._annotations.overlaps.get((imgId, catId), [])
