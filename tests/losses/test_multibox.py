"""The loss of detectors: torchvision's numbers, both switches, crowds, and batches with nothing to find."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import box_iou, generalized_box_iou_loss

from mobilevision.losses import MultiBox
from mobilevision.losses.multibox import Assignments, assign, focal, keep_random
from mobilevision.ops.anchors import default_boxes, default_sizes
from mobilevision.ops.box_coding import SSD_WEIGHTS, decode, encode
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.spec import DataSpec

CLASSES = 5
DATA = DataSpec(kind="boxes", classes=tuple("abcde"), channels=3, resolution=(300, 300))
REFERENCES = default_boxes([(10, 10), (5, 5), (3, 3), (1, 1)], default_sizes(4, (300, 300)), (300, 300))


def truth(*counts: int, seed: int = 0, side: float = 300, least: float = 30) -> dict[str, Tensor]:
    """Random boxes of images, padded to the most."""
    generator = torch.Generator().manual_seed(seed)
    most = max(1, *counts)
    corners = torch.rand(len(counts), most, 2, generator=generator) * (side - least)
    sizes = least + torch.rand(len(counts), most, 2, generator=generator) * (side - least - corners)
    labels = torch.randint(0, CLASSES, (len(counts), most), generator=generator)
    labels[torch.arange(most) >= torch.tensor(counts)[:, None]] = -1
    boxes = torch.cat([corners, corners + sizes], dim=-1) * (labels >= 0)[..., None]
    return {"boxes": boxes, "labels": labels, "crowd": torch.zeros_like(labels, dtype=torch.bool)}


def candidates(batch: int, *, outputs: int = CLASSES + 1, own: bool = False, seed: int = 1) -> Candidates:
    """Random outputs; with ``own``, a box for every class."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, len(REFERENCES), outputs, generator=generator).requires_grad_()
    inner = (outputs, 4) if own else (4,)
    deltas = torch.randn(batch, len(REFERENCES), *inner, generator=generator).requires_grad_()
    valid = torch.ones(batch, len(REFERENCES), dtype=torch.bool)
    return Candidates(logits, deltas, REFERENCES.expand(batch, -1, -1), valid, SSD_WEIGHTS)


def loss_of(given: Candidates, target: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
    return MultiBox(data=DATA, **options)(DetectorOutputs(given), {"target": target})


def theirs(given: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
    """What torchvision's SSD makes of the same."""
    model = ssd.SSD.__new__(ssd.SSD)
    nn.Module.__init__(model)
    model.box_coder = ssd.det_utils.BoxCoder(given.weights)
    model.neg_to_pos_ratio = 3.0
    kept = [labels >= 0 for labels in target["labels"]]
    rows = zip(target["boxes"], target["labels"], kept, strict=True)
    targets = [{"boxes": boxes[keep], "labels": labels[keep] + 1} for boxes, labels, keep in rows]
    matcher = ssd.det_utils.SSDMatcher(0.5)
    matched = [matcher(box_iou(each["boxes"], REFERENCES)) for each in targets]
    outputs = {"bbox_regression": given.deltas, "cls_logits": given.logits}
    result: dict[str, Tensor] = model.compute_loss(targets, outputs, list(given.anchors), matched)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_equals_torchvisions_ssd(seed: int) -> None:
    given, target = candidates(4, seed=seed), truth(3, 1, 7, 2, seed=seed)
    ours, expected = loss_of(given, target), theirs(given, target)
    torch.testing.assert_close(ours["class"], expected["classification"])
    torch.testing.assert_close(ours["box"], expected["bbox_regression"])
    gradients = torch.autograd.grad(sum(ours.values()), [given.logits, given.deltas])
    torch.testing.assert_close(gradients, torch.autograd.grad(sum(expected.values()), [given.logits, given.deltas]))


def test_second_stage_equals_torchvisions() -> None:
    given, target = candidates(2, own=True), truth(3, 2)
    aims = assign(given, target, positive=0.5, negative=0.5, force=False)
    offsets = encode(aims.boxes, given.anchors, given.weights)
    expected = fastrcnn_loss(
        given.logits.flatten(0, 1), given.deltas.flatten(0, 1).flatten(1), list(aims.classes), list(offsets)
    )
    outputs = DetectorOutputs(given, candidates(2, outputs=2))
    ours = MultiBox(data=DATA)(outputs, {"target": target})
    assert list(ours) == ["rpn_class", "rpn_box", "class", "box"]
    torch.testing.assert_close((ours["class"], ours["box"]), expected)
    assert all(part.isfinite() for part in ours.values())


def test_first_stage_samples_as_many_as_it_may_half_of_them_objects() -> None:
    classes = torch.zeros(3, 400, dtype=torch.int64)
    classes[0, :300], classes[1, :10], classes[2] = 1, 1, -1
    aims = keep_random(Assignments(classes, torch.zeros(3, 400, 4)), most=256, positive=0.5)
    assert aims.positive.sum(dim=1).tolist() == [128, 10, 0]
    assert aims.background.sum(dim=1).tolist() == [100, 246, 0]
    assert (aims.classes[classes == -1] == -1).all()
    again = keep_random(Assignments(classes, torch.zeros(3, 400, 4)), most=256, positive=0.5)
    assert not torch.equal(again.classes, aims.classes)


def test_first_stage_knows_only_objects() -> None:
    target = truth(4, 2)
    loss = MultiBox(data=DATA, sampled=100_000)
    outputs = DetectorOutputs(candidates(2, own=True), candidates(2, outputs=2, seed=5))
    one_class = {**target, "labels": target["labels"].clamp(max=0)}
    for name in ("rpn_class", "rpn_box"):
        torch.testing.assert_close(loss(outputs, {"target": target})[name], loss(outputs, {"target": one_class})[name])


def test_giou_is_torchvisions_on_the_decoded_boxes() -> None:
    given, target = candidates(2), truth(3, 2)
    aims = assign(given, target, positive=0.5, negative=0.5, force=True)
    found = decode(given.deltas, given.anchors, given.weights)[aims.positive]
    expected = generalized_box_iou_loss(found, aims.boxes[aims.positive], reduction="mean")
    torch.testing.assert_close(loss_of(given, target, box="giou")["box"], expected)
    torch.testing.assert_close(loss_of(given, target, box="giou", box_weight=2.0)["box"], 2 * expected)


def test_focal_without_focus_is_a_weighted_cross_entropy() -> None:
    given = candidates(2)
    aims = assign(given, truth(3, 2), positive=0.5, negative=0.5, force=True)
    plain = nn.functional.cross_entropy(given.logits.flatten(0, 1), aims.classes.flatten(), reduction="none")
    weights = torch.where(aims.positive, 0.3, 0.7).flatten()
    torch.testing.assert_close(focal(given.logits, aims, alpha=0.3, gamma=0.0), (weights * plain).sum())


def test_focal_turns_down_what_is_easy() -> None:
    aims = Assignments(torch.tensor([[0]]), torch.zeros(1, 1, 4))
    logits = torch.tensor([[[math.log(9.0), 0.0]]])  # background at 0.9
    expected = 0.75 * 0.1**2 * -math.log(0.9)
    assert focal(logits, aims, alpha=0.25, gamma=2.0).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("classification", ["mining", "focal"])
@pytest.mark.parametrize("box", ["smooth_l1", "giou"])
@pytest.mark.parametrize("two_stages", [False, True])
def test_odd_batches_have_finite_losses_and_gradients(classification: str, box: str, two_stages: bool) -> None:
    tiny = truth(1, 1)
    tiny["boxes"][:, 0] = torch.tensor([50.0, 50, 51, 51])
    flat = truth(1, 1)
    flat["boxes"][:, 0, 2] = flat["boxes"][:, 0, 0]
    crowded = truth(2, 1)
    crowded["crowd"][:] = True
    for target in (truth(0, 0), truth(0, 3), tiny, flat, crowded, truth(1000, 0, least=1)):
        given = candidates(2, own=two_stages)
        proposals = candidates(2, outputs=2) if two_stages else None
        loss = MultiBox(data=DATA, classification=classification, box=box)  # type: ignore[arg-type]
        total = sum(loss(DetectorOutputs(given, proposals), {"target": target}).values())
        total.backward()  # type: ignore[union-attr]
        for part in (given, proposals or given):
            assert part.logits.grad is not None
            assert part.deltas.grad is not None
            assert part.logits.grad.isfinite().all()
            assert part.deltas.grad.isfinite().all()


def test_images_without_boxes_teach_background() -> None:
    given = candidates(1)
    loss_of(given, truth(0), least_negatives=3)["class"].backward()
    assert given.logits.grad is not None
    assert (given.logits.grad.abs().sum(dim=-1) > 0).sum() == 3


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    target = truth(2)
    target["crowd"][0, 0], target["boxes"][0, 0] = True, torch.tensor([0.0, 0, 160, 300])
    given = candidates(1)
    within = (REFERENCES[:, 0] > 0) & (REFERENCES[:, 2] < 150)
    loss_of(given, target, negatives=1e6)["class"].backward()
    assert given.logits.grad is not None
    aims = assign(given, target, positive=0.5, negative=0.5, force=True)
    silent = given.logits.grad[0].abs().sum(dim=-1) == 0
    assert within.any()
    assert torch.equal(silent, aims.classes[0] == -1)
    assert (silent | (aims.classes[0] > 0))[within].all()


def test_places_that_fill_up_count_neither_way() -> None:
    given, target = candidates(2), truth(3, 2)
    half = len(REFERENCES) // 2
    given.valid[:, half:] = False
    kept = Candidates(*(each[:, :half] for each in given[:4]), given.weights)
    first = {"rpn_class", "rpn_box"}
    ours, expected = (
        MultiBox(data=DATA)(DetectorOutputs(each, candidates(2, outputs=2)), {"target": target})
        for each in (given, kept)
    )
    for name in set(ours) - first:
        torch.testing.assert_close(ours[name], expected[name])


def test_difficult_boxes_are_learnt() -> None:
    target = truth(2, 2)
    plain = loss_of(candidates(2), target)
    target["difficult"] = torch.ones_like(target["crowd"])
    torch.testing.assert_close(loss_of(candidates(2), target), plain)


def test_mixed_precision_changes_nothing() -> None:
    given, target = candidates(2), truth(3, 2)
    plain = loss_of(given, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss_of(given, target), plain)
    half = given._replace(logits=given.logits.to(torch.bfloat16), deltas=given.deltas.to(torch.bfloat16))
    assert all(part.dtype == torch.float32 for part in loss_of(half, target).values())
