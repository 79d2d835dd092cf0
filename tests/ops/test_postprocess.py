"""Post-processing: torchvision's detections, at every load, and the edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import ssd

from mobilevision.ops.anchors import default_boxes, default_sizes
from mobilevision.ops.box_coding import SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.postprocess import _WHOLE_IN_FLOAT32, _whole_part, detections

GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
REFERENCES = default_boxes(GRIDS, default_sizes(6, (300, 300)), (300, 300))
OPTIONS = {"resolution": (300, 300), "score_threshold": 0.01, "iou": 0.5, "per_class": 400, "most": 100}


def candidates(batch: int, outputs: int, *, sharp: float, background: float, seed: int = 0) -> Candidates:
    """Random ones; ``background`` is added to its logit."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharp * torch.randn(batch, len(REFERENCES), outputs, generator=generator)
    logits[..., 0] += background
    deltas = torch.randn(batch, len(REFERENCES), 4, generator=generator)
    references = REFERENCES.expand(batch, -1, -1)
    return Candidates(logits, deltas, references, torch.ones(logits.shape[:2], dtype=torch.bool), SSD_WEIGHTS)


def theirs(given: Candidates, **options: float) -> list[dict[str, Tensor]]:
    """What torchvision makes of the same."""
    names = {"score_threshold": "score_thresh", "iou": "nms_thresh", "per_class": "topk_candidates"}
    options = OPTIONS | options
    model = ssd.SSD.__new__(ssd.SSD)
    torch.nn.Module.__init__(model)
    model.box_coder = ssd.det_utils.BoxCoder(given.weights)
    for name, value in options.items():
        setattr(model, names.get(name, name), value)
    model.detections_per_img = options["most"]
    outputs = {"bbox_regression": given.deltas, "cls_logits": given.logits}
    shapes = [options["resolution"]] * len(given.logits)
    result: list[dict[str, Tensor]] = model.postprocess_detections(outputs, list(given.anchors), shapes)
    return result


@pytest.mark.parametrize(
    ("sharp", "background", "options"),
    [
        (3.0, 12.0, {}),  # trained: few candidates
        (1.0, 0.0, {}),  # random: more than any cap lets through
        (1.0, 0.0, {"per_class": 20, "most": 300}),
        (3.0, 6.0, {"iou": 0.1, "most": 400}),  # more has to be looked at than at first
        (1.0, 30.0, {}),  # nothing
    ],
)
def test_equals_torchvision(sharp: float, background: float, options: dict[str, float]) -> None:
    given = candidates(3, 21, sharp=sharp, background=background)
    ours = detections(given, **{**OPTIONS, **options})  # type: ignore[arg-type]
    for row, expected in enumerate(theirs(given, **options)):
        count = len(expected["scores"])
        assert int((ours["scores"][row] > 0).sum()) == count
        torch.testing.assert_close(ours["scores"][row, :count], expected["scores"])
        torch.testing.assert_close(ours["labels"][row, :count], expected["labels"] - 1)
        torch.testing.assert_close(ours["boxes"][row, :count], expected["boxes"], atol=1e-3, rtol=0)
        assert (ours["labels"][row, count:] == -1).all()


def test_places_that_fill_up_and_outputs_without_a_class_are_left_out() -> None:
    given = candidates(2, 6, sharp=2.0, background=0.0)
    given.valid[1] = False
    found = detections(given, **OPTIONS, classes=3)
    assert found["labels"].max() == 2
    assert (found["labels"][1] == -1).all()
    assert (found["scores"][1] == 0).all()


def test_every_class_may_have_a_box_of_its_own() -> None:
    given = candidates(2, 5, sharp=3.0, background=2.0)
    same = given._replace(deltas=given.deltas[:, :, None].expand(-1, -1, 5, -1).contiguous())
    for ours, expected in zip(detections(same, **OPTIONS).values(), detections(given, **OPTIONS).values(), strict=True):
        torch.testing.assert_close(ours, expected)
    other = same.deltas.clone()
    other[:, :, 0] = 100.0  # background's own box says nothing
    torch.testing.assert_close(detections(same._replace(deltas=other), **OPTIONS), detections(given, **OPTIONS))


def test_not_a_number_is_no_detection() -> None:
    given = candidates(1, 4, sharp=1.0, background=0.0)
    given.logits[:, :50] = float("nan")
    found = detections(given, **OPTIONS)
    assert all(each.isfinite().all() for each in found.values())


def test_shapes_on_meta_tensors() -> None:
    given = candidates(2, 4, sharp=1.0, background=0.0)
    on_meta = Candidates(*(each.to("meta") for each in given[:4]), given.weights)
    found = detections(on_meta, **OPTIONS)
    assert {name: tuple(each.shape) for name, each in found.items()} == {
        "boxes": (2, 100, 4),
        "scores": (2, 100),
        "labels": (2, 100),
    }


@pytest.mark.parametrize("each", [1, 3, 80, 365, 1203])
def test_whole_parts_of_indices_are_exact(each: int) -> None:
    """In float32 the last of 1,203 classes was the class before the first, of the next point."""
    for most in (_WHOLE_IN_FLOAT32, 3 * _WHOLE_IN_FLOAT32):
        order = torch.arange(most - 300_000, most)
        assert torch.equal(_whole_part(order, each, most), order // each)
