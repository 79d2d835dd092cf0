"""pycocotools' evaluation, fed with arrays instead of json."""

from __future__ import annotations

from typing import Any, final

from pycocotools.cocoeval import COCOeval

from mobilevision.metrics.coco_engine import Annotations


@final
class PlainEvaluation(COCOeval):  # type: ignore[misc]
    """COCO's evaluation as published, over prepared annotations.

    Args:
        annotations: what to evaluate, with the overlaps.
    """

    def __init__(self, annotations: Annotations) -> None:
        super().__init__(None, None, "bbox")
        self._annotations = annotations
        self.params.imgIds, self.params.catIds = annotations.pictures, annotations.classes

    def _prepare(self) -> None:
        for annotation in self._annotations.truth():
            self._gts[annotation["image_id"], annotation["category_id"]].append(annotation)
        for annotation in self._annotations.found():
            self._dts[annotation["image_id"], annotation["category_id"]].append(annotation)

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803 - pycocotools' own names
        """Overlaps that were computed before."""
        return self._annotations.overlaps.get((imgId, catId), [])
