"""torchvision's detectors with random weights and statistics, read into ours: the same detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
    ssdlite320_mobilenet_v3_large,
)

from mobilevision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3
from mobilevision.backbones.detector_weights import load_body, read_detector
from mobilevision.config.compose import compose
from mobilevision.engine.build import build_backbone, build_task, default_side
from mobilevision.errors import UserError
from mobilevision.heads.torchvision_detectors import coco_classes, coco_names, coco_output
from mobilevision.spec import DataSpec, Inside, Needs

SSDLITE = ("head=ssdlite", "backbone=mobilenet_v3")
FASTER = ("head=faster_rcnn_fpn", "backbone=mobilenet_v3")
WITHOUT_BODY: dict[str, Any] = {"weights": None, "weights_backbone": None}


def randomized(model: nn.Module, predictors: dict[str, float]) -> nn.Module:
    """Statistics and weights under which features differ from place to place; last layers as large as they are told."""
    torch.manual_seed(0)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.8, 1.2)
            nn.init.normal_(layer.bias, 0, 0.1)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            for part, spread in predictors.items():
                if part in name:
                    nn.init.normal_(layer.weight, std=spread)
    return model.eval()


def ssdlite(path: Path | None = None, classes: int = 91) -> Any:
    """torchvision's SSDLite, its state dict in a file."""
    model = ssdlite320_mobilenet_v3_large(
        **WITHOUT_BODY, num_classes=classes, detections_per_img=100_000, score_thresh=0.1
    )
    last = {"classification_head": 0.015, "regression_head": 0.002}
    randomized(model, {f"{part}.module_list.{map_}.1": std for part, std in last.items() for map_ in range(6)})
    if path is not None:
        torch.save(model.state_dict(), path)
    return model


_LAST = {
    **{"fpn": 0.001, "rpn.head": 0.01, "rpn.head.cls_logits": 0.2, "rpn.head.bbox_pred": 0.02},
    **{"box_head": 0.01, "cls_score": 0.3, "box_predictor.bbox_pred": 0.03},
}


def faster_rcnn(path: Path, *, large: bool = False, side: int = 320) -> Any:
    """torchvision's Faster R-CNN, its state dict in a file."""
    make: Any = fasterrcnn_mobilenet_v3_large_fpn if large else fasterrcnn_mobilenet_v3_large_320_fpn
    model = make(**WITHOUT_BODY, min_size=side, box_detections_per_img=100_000, box_score_thresh=0.2)
    randomized(model, _LAST)
    torch.save(model.state_dict(), path)
    return model


def task_of(*overrides: str, size: tuple[int, int], classes: tuple[str, ...] | None = None) -> Any:
    """Our detector of COCO's classes, or of others."""
    cfg = compose(["task=detection", *overrides])
    backbone = build_backbone(cfg)
    return build_task(cfg, DataSpec("boxes", classes or coco_classes(), 3, size), backbone).eval()


def assert_same_detections(theirs: Any, ours: Any, images: Tensor, fewest: int) -> None:
    """Each of torchvision's detections of a class has its own among ours: box to 1e-3 pixels, score to 1e-4.

    In float64, since layers of random weights make much of a rounding.
    """
    ours.head.detections = 100_000
    theirs.double(), ours.double()
    with torch.no_grad():
        wanted, found = theirs(list(images.double() / 255)), ours.decode(ours.outputs({"image": images}))
    ids = torch.tensor([coco_names().index(name) for name in coco_classes()])
    for image, each in enumerate(wanted):
        real = torch.isin(each["labels"], ids)  # ours has no names for the gaps
        boxes, scores, labels = each["boxes"][real], each["scores"][real], each["labels"][real]
        ours_there = found["scores"][image] > 0
        assert int(ours_there.sum()) == len(scores) >= fewest
        off = (boxes[:, None] - found["boxes"][image][ours_there]).abs().amax(dim=2)
        off = off.masked_fill(labels[:, None] != ids[found["labels"][image][ours_there]], torch.inf)
        off = off.masked_fill((scores[:, None] - found["scores"][image][ours_there]).abs() > 1e-4, torch.inf)
        assert off.amin(dim=1).max() < 1e-3
        assert off.amin(dim=0).max() < 1e-3


def pictures(height: int, width: int) -> Tensor:
    """Two images with large and small structure, uint8 [2, 3, height, width]."""
    torch.manual_seed(1)
    rough = nn.functional.interpolate(torch.rand(2, 3, 7, 9), size=(height, width), mode="bilinear")
    return ((rough * 0.8 + torch.rand(2, 3, height, width) * 0.2) * 255).to(torch.uint8)


def test_ssdlite_finds_the_same(tmp_path: Path) -> None:
    theirs = ssdlite(tmp_path / "ssdlite.pth")
    ours = task_of(
        *SSDLITE, f"head.weights={tmp_path}/ssdlite.pth", "head.outputs=91", "head.score_threshold=0.1", size=(320, 320)
    )
    report = ours.backbone.report
    assert report.complete
    assert "head: 144 of 144 tensors matched" in report.notes
    assert "80 of 80 classes are COCO's and keep their outputs" in report.notes
    assert ours.backbone.preset.mean == (0.5, 0.5, 0.5)
    assert_same_detections(theirs, ours, pictures(320, 320), fewest=100)


@pytest.mark.parametrize(("large", "size"), [(False, (320, 416)), (True, (416, 416))])
def test_faster_rcnn_finds_the_same(large: bool, size: tuple[int, int], tmp_path: Path) -> None:
    """416 pixels are 13 places at stride 32 and 7 at 64: torchvision lays them 59 pixels apart."""
    file = tmp_path / ("fasterrcnn_mobilenet_v3_large_fpn-1.pth" if large else "faster.pth")
    theirs = faster_rcnn(file, large=large, side=size[0])
    ours = task_of(*FASTER, f"head.weights={file}", "head.outputs=91", "head.score_threshold=0.2", size=size)
    assert ours.backbone.report.complete
    assert "head: 22 of 22 tensors matched" in ours.backbone.report.notes
    assert ours.backbone.preset.side == (800 if large else 320)
    assert ours.head.candidates == (1000 if large else 150)
    assert_same_detections(theirs, ours, pictures(*size), fewest=20)


def test_files_with_the_former_names(tmp_path: Path) -> None:
    """As torchvision called the layers of pyramid and proposals before version 0.13."""
    state = faster_rcnn(tmp_path / "new.pth").state_dict()
    for name in list(state):
        former = name.replace("rpn.head.conv.0.0", "rpn.head.conv")
        former = former.replace("_blocks.0.0", "_blocks.0").replace("_blocks.1.0", "_blocks.1")
        state[former] = state.pop(name)
    torch.save(dict(state), tmp_path / "former.pth")
    new, former = (
        task_of(*FASTER, f"head.weights={tmp_path}/{each}.pth", size=(320, 320)) for each in ("new", "former")
    )
    torch.testing.assert_close(dict(new.head.state_dict()), dict(former.head.state_dict()), atol=0, rtol=0)


def test_other_classes_keep_what_fits(tmp_path: Path) -> None:
    theirs = ssdlite(tmp_path / "ssdlite.pth").head.classification_head.module_list[2][1]
    ours = task_of(
        *SSDLITE, f"head.weights={tmp_path}/ssdlite.pth", size=(320, 320), classes=("Dog", "raccoon", "aeroplane")
    )
    assert "2 of 3 classes are COCO's and keep their outputs; new: raccoon" in ours.backbone.report.notes
    assert "head: 144 of 144 tensors matched" in ours.backbone.report.notes
    assert ours.head.outputs == 4
    layer = ours.head.classifiers[2][1]
    rows, biases = layer.weight.view(6, 4, 512), layer.bias.view(6, 4)
    wanted, wanted_biases = theirs.weight.view(6, 91, 512), theirs.bias.view(6, 91)
    names = coco_names()
    for place, output in ((0, 0), (1, names.index("dog")), (3, names.index("airplane"))):
        torch.testing.assert_close(rows[:, place], wanted[:, output])
        torch.testing.assert_close(biases[:, place], wanted_biases[:, output])
    assert not any(torch.equal(rows[0, 2], row) for row in wanted[0])
    torch.testing.assert_close(biases[:, 2], wanted_biases[:, 1:].mean(dim=1))


def test_regions_of_other_classes_keep_what_fits(tmp_path: Path) -> None:
    theirs = faster_rcnn(tmp_path / "faster.pth").roi_heads.box_predictor
    ours = task_of(*FASTER, f"head.weights={tmp_path}/faster.pth", size=(320, 320), classes=("thing", "zebra"))
    zebra = coco_names().index("zebra")
    torch.testing.assert_close(ours.head.classifier.weight[2], theirs.cls_score.weight[zebra])
    torch.testing.assert_close(ours.head.regressor.weight[4:8], theirs.bbox_pred.weight[4 * zebra : 4 * zebra + 4])
    assert "1 of 2 classes are COCO's and keep their outputs; new: thing" in ours.backbone.report.notes


def test_a_detector_of_other_classes_than_cocos(tmp_path: Path) -> None:
    """As many as the data's: in their order; another number: all but the classes is kept."""
    theirs = ssdlite(tmp_path / "own.pth", classes=4)
    same, fewer = (
        task_of(*SSDLITE, f"head.weights={tmp_path}/own.pth", size=(320, 320), classes=classes)
        for classes in (("a", "b", "c"), ("a", "b"))
    )
    assert "its 3 classes are taken for the data's in their order" in same.backbone.report.notes
    last = theirs.head.classification_head.module_list[5][1].weight
    torch.testing.assert_close(same.head.classifiers[5][1].weight, last)
    assert any("its 3 classes are not the data's" in note for note in fewer.backbone.report.notes)
    torch.testing.assert_close(fewer.head.classifiers[5][1].weight.view(6, 3, -1)[:, 0], last.view(6, 4, -1)[:, 0])


def test_one_channel_and_another_side(tmp_path: Path) -> None:
    """160 pixels have five maps; the layers of the sixth stay over."""
    ssdlite(tmp_path / "ssdlite.pth")
    cfg = compose(
        ["task=detection", *SSDLITE, f"head.weights={tmp_path}/ssdlite.pth", "data.resolution=160", "data.channels=1"]
    )
    backbone = build_backbone(cfg)
    task = build_task(cfg, DataSpec("boxes", ("cat",), 1, (160, 160)), backbone).eval()
    found = task.decode(task.outputs({"image": torch.zeros(1, 1, 160, 160, dtype=torch.uint8)}))
    assert found["boxes"].shape == (1, 300, 4)
    assert any("adapted to 1" in note for note in backbone.report.notes)  # type: ignore[union-attr]


def test_settings_that_were_set_stay() -> None:
    cfg = compose(["task=detection", *FASTER, "head.weights=torchvision", "head.nms=0.3", "data.resolution=[608,800]"])
    assert (cfg.head.nms, cfg.head.score_threshold, cfg.head.candidates, cfg.head.width) == (0.3, 0.05, 1000, 256)
    cfg = compose(["task=detection", *SSDLITE, "head.weights=torchvision"])
    assert (cfg.head.layout, cfg.backbone.reduced_tail, list(cfg.head.strides)) == ("torchvision", True, [16, 32])
    assert compose(["task=detection", *SSDLITE]).head.layout == "own"


def test_the_layout_from_scratch() -> None:
    """Without weights, and on another backbone of inverted residuals."""
    cfg = compose(["task=detection", "head=ssdlite", "backbone=mobilenet_v2", "head.layout=torchvision"])
    backbone = build_backbone(cfg)
    assert default_side(cfg, backbone) == 320
    task = build_task(cfg, DataSpec("boxes", ("cat",), 3, (320, 320)), backbone)
    assert task.head.maps.channels[:2] == (576, 320)
    loss = task.outputs({"image": torch.zeros(2, 3, 320, 320, dtype=torch.uint8)}).final.logits.sum()
    loss.backward()
    assert backbone.model.conv_stem.weight.grad is not None  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [mobilenet_v2, mobilenet_v3, lambda: mobilenet_v3(size="small", reduced_tail=True)])
def test_first_blocks_are_looked_into(make: Any) -> None:
    """The other maps are as without; what lies inside has the shapes that the backbone states."""
    torch.manual_seed(0)
    backbone = make().eval()
    images = torch.randint(0, 256, (1, 3, 96, 64), dtype=torch.uint8)
    strides = tuple(backbone.spec.strides)
    inside = tuple(backbone.spec.entries)
    with torch.no_grad():
        plain = backbone(images, Needs(strides=strides)).maps
        found = backbone(images, Needs(strides=strides, entries=inside))
    assert {8, 16, 32} <= set(inside)
    for stride in strides:
        torch.testing.assert_close(found.maps[stride], plain[stride])
    for stride, channels in backbone.spec.entries.items():
        expanded, output = (found.maps[Inside(stride, part)] for part in ("expanded", "output"))
        assert expanded.shape == (1, channels.expanded, 2 * 96 // stride, 2 * 64 // stride)
        assert output.shape == (1, channels.output, 96 // stride, 64 // stride)


def test_what_cannot_be_looked_into_is_said() -> None:
    with pytest.raises(UserError, match="can be looked into at strides none"):
        mobilenet_v1()(torch.zeros(1, 3, 64, 64), Needs(strides=(32,), entries=(32,)))
    for head in ("ssdlite", "faster_rcnn_fpn"):
        with pytest.raises(UserError, match=r"head\.layout=torchvision: this backbone's blocks expand nothing"):
            task_of(f"head={head}", "backbone=mobilenet_v1", "head.layout=torchvision", size=(320, 320))


def test_names_of_classes() -> None:
    named = ("person", "Traffic Light", "traffic_light", "tvmonitor", "diningtable")
    assert [coco_names()[coco_output(name) or 0] for name in named] == [
        *("person", "traffic light", "traffic light", "tv", "dining table")
    ]
    assert [coco_output(name) for name in ("raccoon", "N/A", "__background__", "")] == [None] * 4
    assert len(coco_classes()) == 80


def test_weights_that_do_not_belong_are_said_in_one_line(tmp_path: Path) -> None:
    state = ssdlite(tmp_path / "ssdlite.pth").state_dict()
    faster_rcnn(tmp_path / "faster.pth")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save(
        {**state, "head.regression_head.module_list.0.1.bias": torch.full((24,), torch.nan)}, tmp_path / "nan.pth"
    )
    torch.save(
        {**state, "head.regression_head.module_list.0.0.1.running_var": torch.full((672,), -1.0)}, tmp_path / "var.pth"
    )
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    (tmp_path / "damaged.pth").write_bytes((tmp_path / "ssdlite.pth").read_bytes()[:1000])
    named = "not torchvision's ssdlite320_mobilenet_v3_large"
    for overrides, message in (
        ((*SSDLITE, "other.pth"), rf"head\.weights=.*other\.pth: {named}: it holds layer\.weight"),
        ((*SSDLITE, "faster.pth"), rf"head\.weights=.*faster\.pth: {named}: a fasterrcnn"),
        ((*FASTER, "ssdlite.pth"), r"head\.weights=.*ssdlite\.pth: not torchvision's fasterrcnn_.*: a ssdlite"),
        ((*SSDLITE, "none.pth"), r"head\.weights=.*none\.pth: no such file"),
        ((*SSDLITE, "nan.pth"), r"head\.weights: nan\.pth: regressors\.0\.1\.bias holds NaN"),
        ((*SSDLITE, "var.pth"), r"head\.weights: var\.pth: .*running_var holds variances below 0"),
        ((*SSDLITE, "damaged.pth"), r"damaged\.pth: "),
        ((*SSDLITE, "notes.txt"), rf"head\.weights=.*notes\.txt: {named}: holds text, and no weights"),
        ((*SSDLITE, ""), r"head\.weights=.*: a folder; of a run of ours, backbone\.weights=.* takes the backbone"),
        ((*SSDLITE, "head.strides=[8,16,32]", "ssdlite.pth"), r"has maps of strides \[16,32\]"),
    ):
        *options, file = overrides
        with pytest.raises(UserError, match=message) as caught:
            task_of(*options, f"head.weights={tmp_path}/{file}", size=(320, 320))
        assert len(str(caught.value).splitlines()) == 1
    detector = read_detector(f"{tmp_path}/ssdlite.pth", published={320: "ssdlite320_mobilenet_v3_large"}, side=320)
    with pytest.raises(UserError, match=r"not mobilenet_v1_0.25: set backbone=mobilenet_v3 backbone\.width=1"):
        load_body(mobilenet_v1(width=0.25), detector)  # a plugin's, of which the config knows nothing
    with pytest.raises(UserError, match=r"for this head there are torchvision-320, torchvision-800"):
        task_of(*FASTER, "head.weights=torchvision-640", size=(320, 320))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["backbone=mobilenet_v1"],
            r"stand on MobileNet V3 large at width 1: set backbone=mobilenet_v3 backbone\.width=1",
        ),
        (["backbone=mobilenet_v3_small"], r"set backbone=mobilenet_v3 backbone\.width=1"),
        (["backbone=timm", "backbone.name=resnet18"], r"set backbone=mobilenet_v3 backbone\.width=1"),
        (["backbone=mobilenet_v3", "backbone.width=0.5"], r"at width 1: set backbone\.width=1$"),
        (["backbone=mobilenet_v3", "backbone.weights=timm"], r"leave backbone\.weights out"),
        (["backbone=mobilenet_v3", "head.layout=own"], r"leave head\.layout out"),
        (
            ["backbone=mobilenet_v3", "head.weights=torchvison"],
            r"head\.weights=torchvison: no such .*mean torchvision\?",
        ),
    ],
)
def test_weights_that_cannot_be_loaded_are_not_fetched(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compose(["task=detection", "head=ssdlite", "head.weights=torchvision", *overrides])
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_odd_in_a_file_stays_out(tmp_path: Path) -> None:
    """Tensors of no size, of whole or complex numbers are not taken for weights, and a file in other nests is read."""
    state = ssdlite().state_dict()
    first = "head.classification_head.module_list.0.1."
    odd = {
        f"{first}bias": torch.tensor(1.0),
        f"{first}weight": torch.zeros(0),
        "head.classification_head.module_list.1.1.bias": torch.zeros(546, dtype=torch.int64),
        "head.regression_head.module_list.0.1.bias": torch.zeros(24, dtype=torch.complex64),
    }
    torch.save({"model": {**state, **odd}, "epoch": 3}, tmp_path / "odd.pth")
    ours = task_of(*SSDLITE, f"head.weights={tmp_path}/odd.pth", size=(320, 320))
    assert "head: 140 of 144 tensors matched" in ours.backbone.report.notes
    assert any("started at random: classifiers.0.1.weight, " in note for note in ours.backbone.report.notes)
    without = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    torch.save(without, tmp_path / "headless.pth")
    with pytest.raises(UserError, match=r"head\.weights: headless\.pth fits only 60 of this head's 144 tensors"):
        task_of(*SSDLITE, f"head.weights={tmp_path}/headless.pth", size=(320, 320))


def test_by_name_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchvision has fetched is found, for the side that is nearest."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    published = "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"
    faster_rcnn(tmp_path / "checkpoints" / published, large=True)
    for overrides in (("head.weights=torchvision", "data.resolution=[608,800]"), ("head.weights=torchvision-800",)):
        backbone = build_backbone(compose(["task=detection", *FASTER, *overrides]))
        assert backbone.report is not None
        assert backbone.report.source == published
        assert backbone.preset.side == 800
