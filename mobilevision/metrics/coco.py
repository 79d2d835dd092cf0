"""COCO's precision and recall of detections, by pycocotools or, equal and faster, by faster-coco-eval."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError
from mobilevision.metrics.scenes import Pairs, Scenes, pairs
from mobilevision.ops.boxes import area

Engine = Literal["auto", "faster", "pycocotools"]
_AREAS = ("all", "small", "medium", "large")
_MOST = (1, 10, 100)
_FASTER = (1, 8)  # the first whose every step was compared; older ones lack `append_ref`


class Accumulated(NamedTuple):
    """What COCO's evaluation comes to; -1 where a class has no true box of a size.

    Attributes:
        precision: float64 [10 overlaps, 101 recalls, K, 4 sizes, 3 numbers of detections].
        recall: float64 [10 overlaps, K, 4 sizes, 3 numbers of detections].
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def _truth(scenes: Scenes) -> Iterator[dict[str, Any]]:
    """True boxes as both libraries read them. An ignored one says crowd, so that it can be found more than once."""
    truth = scenes.truth
    columns = (*_places(scenes, truth.group), truth.area.tolist(), truth.ignored.astype(int).tolist())
    for number, (image, label, size, ignored) in enumerate(zip(*columns, strict=True), 1):
        yield {
            "id": number,
            "image_id": image,
            "category_id": label,
            "area": size,
            "iscrowd": ignored,
            "ignore": ignored,
        }


def _detected(scenes: Scenes) -> Iterator[dict[str, Any]]:
    """Detections, likewise."""
    detected = scenes.detected
    columns = (*_places(scenes, detected.group), area(detected.boxes).tolist(), detected.scores.tolist())
    for number, (image, label, size, score) in enumerate(zip(*columns, strict=True), 1):
        yield {"id": number, "image_id": image, "category_id": label, "area": size, "score": score}


def _places(scenes: Scenes, group: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    return scenes.image(group).tolist(), scenes.label(group).tolist()


def _matrices(scenes: Scenes, candidates: Pairs) -> dict[tuple[int, int], NDArray[np.float64]]:
    """(image, class) -> overlaps [detections, true boxes], where there are both."""
    group = scenes.truth.group[candidates.truth]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    if not len(starts):
        return {}
    first = candidates.truth[starts]
    boxes = np.searchsorted(scenes.truth.group, group[starts], side="right") - first
    blocks = np.split(candidates.overlap, starts[1:])
    places = zip(*_places(scenes, group[starts]), strict=True)
    return {place: block.reshape(-1, width) for place, block, width in zip(places, blocks, boxes.tolist(), strict=True)}


def accumulate(scenes: Scenes, *, engine: Engine = "auto") -> Accumulated:
    """Evaluate as COCO does; nothing is printed.

    Args:
        scenes: what is evaluated.
        engine: ``auto`` takes faster-coco-eval where it is installed, else pycocotools; their numbers are equal.

    Raises:
        UserError: ``faster`` is asked for and not installed.
    """
    if scenes.images == 0:
        none = -np.ones((10, 101, scenes.classes, len(_AREAS), len(_MOST)))
        return Accumulated(none, none[:, 0])
    evaluation = _evaluation(scenes, engine)
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation.evaluate()
        evaluation.accumulate()
    found = evaluation.eval
    return Accumulated(np.asarray(found["precision"]), np.asarray(found["recall"]))


def _evaluation(scenes: Scenes, engine: Engine) -> Any:
    """COCO's evaluation as published (pycocotools) or in C++ (faster-coco-eval), fed with arrays instead of json."""
    usable = faster_is_usable()
    if engine == "faster" and not usable:
        raise UserError("engine=faster needs faster-coco-eval 1.8 or newer: pip install 'mobilevision[fast]'")
    faster = usable and engine != "pycocotools"
    if faster:
        from faster_coco_eval.core.faster_eval_api import COCOeval_faster as COCOeval
    else:
        from pycocotools.cocoeval import COCOeval

    overlaps = _matrices(scenes, pairs(scenes.detected, scenes.truth))

    @final
    class Evaluation(COCOeval):  # type: ignore[misc]
        """Over annotations whose overlaps are known."""

        def _prepare(self) -> None:
            datasets = (self.gt_dataset, self.dt_dataset) if faster else (self._gts, self._dts)
            for kept, boxes in zip(datasets, (_truth(scenes), _detected(scenes)), strict=True):
                for box in boxes:
                    if faster:
                        kept.append_ref(box["image_id"], box["category_id"], box)
                    else:
                        kept[box["image_id"], box["category_id"]].append(box)

        def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803 - the libraries' own names
            return overlaps.get((imgId, catId), [])

    evaluation = Evaluation(None, None, "bbox", **({"print_function": lambda *_: None} if faster else {}))
    if faster:
        evaluation._nonempty_iou_pairs = overlaps.keys()
    evaluation.params.imgIds, evaluation.params.catIds = list(range(scenes.images)), list(range(scenes.classes))
    return evaluation


def faster_is_usable() -> bool:
    """Whether faster-coco-eval is installed, and new enough for its parts that are used here."""
    try:
        major, minor = version("faster-coco-eval").split(".")[:2]
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= _FASTER


def summary(result: Accumulated) -> dict[str, float]:
    """COCO's twelve numbers, AP at an overlap of one half first.

    A size of which no true box is evaluated is left out. Without any true box, what is over all sizes is 0.

    Args:
        result: of :func:`accumulate`.
    """
    precision, recall = result.precision[..., -1], result.recall
    values = {"map_50": precision[0, :, :, 0], "map": precision[..., 0], "map_75": precision[5, :, :, 0]}
    values |= {f"map_{name}": precision[..., place] for place, name in enumerate(_AREAS) if place}
    values |= {f"mar_{most}": recall[:, :, 0, place] for place, most in enumerate(_MOST)}
    values |= {f"mar_{name}": recall[:, :, place, -1] for place, name in enumerate(_AREAS) if place}
    means = {name: _mean(value) for name, value in values.items()}
    return {
        name: 0.0 if mean is None else mean
        for name, mean in means.items()
        if mean is not None or not name.endswith(_AREAS)
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    """Mean of what is measured, or None."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else None
