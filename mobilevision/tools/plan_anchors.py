"""``mobilevision plan-anchors``: which default boxes reach the boxes of a data set, and which would reach more."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_text
from mobilevision.io.printable_text import visible
from mobilevision.io.text_columns import print_lines
from mobilevision.ops.anchor_planning import Coverage, Places, Reach, Sizes, coverage, plan
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data import DataModule
    from mobilevision.spec import DataSpec

_IMAGES = 20_000  # looked at, at equal distances, of a larger split
_BOXES = 20_000
_MANY = 0.01  # share of the boxes from which on they are worth a word
_CLASSES = 20  # in the table, those with the most boxes


@final
class Plan(NamedTuple):
    """What was found.

    Attributes:
        before: the head's own default boxes: (width, height) of those of each map, as fractions of the input's sides.
        after: the proposed ones.
        reached: how well the head's own cover the boxes.
        reachable: how well the proposed ones do.
    """

    before: Sizes
    after: Sizes
    reached: Coverage
    reachable: Coverage


def plan_anchors(overrides: Sequence[str], *, boxes: int | None = None, out: str | Path | None = None) -> Plan | None:
    """Propose default boxes for the training boxes of a data set, as the model sees them in an evaluation.

    What it found is printed, drawn as ``anchors.png`` and written as a recipe, ``conf/experiment/anchors.yaml``. Of a
    head without default boxes, it prints which of the boxes each map can tell.

    Args:
        overrides: as for a training, ``["data=auto", "data.root=BOXES", "head=ssd"]``.
        boxes: default boxes at each place of every map; None keeps what the head has.
        out: folder for the results; None makes ``outputs/plan-anchors/<date_time>``.

    Returns:
        None of a head without default boxes.

    Raises:
        UserError: no boxes to learn from.
    """
    from mobilevision.config.auto_settings import without_training
    from mobilevision.config.compose import compose
    from mobilevision.config.used_plugins import load_for
    from mobilevision.engine.build import build_backbone, build_data, default_side, instantiate

    named = any(each.startswith("task=") for each in overrides)
    cfg = compose(overrides if named else ["task=detection", *overrides])
    if cfg.task.kind != "boxes":
        raise UserError(
            f"task={cfg.task.name} learns from {cfg.task.kind}: default boxes are planned for task=detection"
        )
    load_for(cfg)
    if "weights" in cfg.backbone:
        cfg.backbone.weights = None  # only the shape of its maps matters
    if "weights" in cfg.head:
        cfg.head.weights = None
    backbone = build_backbone(cfg)
    side, crop = default_side(cfg, backbone), backbone.preset.crop
    data = build_data(cfg)
    spec = data.setup_data(default_resolution=(side, side), crop=crop)
    head = instantiate(without_training(cfg).head, drop=("kinds",), backbone=backbone.spec, data=spec)
    places: list[Places] = getattr(head, "places", [])
    reach: list[Reach] = getattr(head, "reach", [])
    if not places and not reach:
        raise UserError(f"{type(head).__name__} starts from no default boxes: there is nothing to plan")
    rng = np.random.default_rng(cfg.seed)
    seen, labels = training_boxes(data, crop=crop)
    if len(seen) > _BOXES:
        kept = np.sort(rng.choice(len(seen), _BOXES, replace=False))
        seen, labels = seen[kept], labels[kept]
    if not places:
        if boxes is not None:
            raise UserError(f"--boxes: {type(head).__name__} has no default boxes, its number cannot be chosen")
        _print_reach(type(head).__name__, reach, seen, spec.resolution)
        return None
    proposed = plan(seen, labels, places, head.anchor_shapes, rng, count=boxes)
    covered = (coverage(seen, labels, places, sizes) for sizes in (head.anchor_shapes, proposed))
    found = Plan(head.anchor_shapes, proposed, *covered)
    folder = Path(out) if out is not None else RunFolder.create("plan-anchors", None).path
    names = [f"{len(place.y)}x{len(place.x)}" for place in places]
    _write(found, names, seen, folder, overrides)
    _print(found, names, spec, labels, folder)
    return found


def training_boxes(data: DataModule, *, crop: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The boxes of the training split as they lie in the input, without crowds and without those of no area.

    Args:
        data: set up.
        crop: share of the shorter side that is looked at, where the fit is ``crop``.

    Returns:
        float64 [n, 4], (left, top, right, bottom) as fractions of the input's sides; int64 [n], class indices.

    Raises:
        UserError: there are none.
    """
    from mobilevision.data.boxes import BoxTargets, boxes_in_input

    records, spec = data.splits.train, data.spec
    if records is None or not isinstance(records.targets, BoxTargets):
        raise UserError(f"data.root={data.root}: no training boxes to plan for")
    height, width = spec.resolution
    boxes, labels = boxes_in_input(records, spec, crop=crop, images=_IMAGES)
    seen: NDArray[np.float64] = boxes / (width, height, width, height)
    if not len(seen):
        raise UserError(f"data.root={data.root}: no training boxes to plan for")
    return seen, labels


def _write(found: Plan, names: Sequence[str], seen: NDArray[np.float64], out: Path, overrides: Sequence[str]) -> None:
    from mobilevision.visualization.charts_detection import anchors

    titles = [
        f"{name}: reach {cover.recall:.1%}" for name, cover in (("now", found.reached), ("planned", found.reachable))
    ]
    plans = list(zip(titles, (found.before, found.after), strict=True))
    recipe = out / "conf" / "experiment" / "anchors.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    anchors(seen[:, 2:] - seen[:, :2], plans, names).save(out / "anchors.png")
    lines = ["# @package _global_", f"# Default boxes that fit: mobilevision plan-anchors {shlex.join(overrides)}"]
    lines += [f"# Reach: {found.reachable.recall:.3f}, before {found.reached.recall:.3f}. Not yet run."]
    lines += ["head:", "  anchors: # (width, height) as fractions of the input, a line a map"]
    lines += [f"    - {[list(shape) for shape in each]}" for each in found.after]
    write_text(recipe, "\n".join(lines) + "\n")


def _print(found: Plan, names: Sequence[str], spec: DataSpec, labels: NDArray[np.int64], out: Path) -> None:
    console = Console(highlight=False)
    height, width = spec.resolution
    console.print(f"{len(labels):,} training boxes at {width}x{height} pixels; default boxes in pixels:")
    table = Table("map", "now", "planned", box=None, pad_edge=False, header_style="bold")
    for name, *both in zip(names, found.before, found.after, strict=True):
        table.add_row(name, *("  ".join(f"{w * width:.0f}x{h * height:.0f}" for w, h in each) for each in both))
    console.print(table)
    for title, key in (("reached (IoU of 0.5 or more)", "recall"), ("best IoU, mean", "mean")):
        now, planned = getattr(found.reached, key), getattr(found.reachable, key)
        console.print(f"{title:<30}{now:.3f} -> {planned:.3f}")
    counts = np.bincount(labels)
    if (counts > 0).sum() > 1:
        table = Table("class", "boxes", "reached now", "planned", box=None, pad_edge=False, header_style="bold")
        for index in np.argsort(-counts, kind="stable")[:_CLASSES]:
            if counts[index]:
                shares = (f"{each.by_class[index]:.3f}" for each in (found.reached, found.reachable))
                table.add_row(visible(spec.classes[index]), f"{counts[index]:,}", *shares)
        console.print(table)
        if (more := int((counts > 0).sum()) - _CLASSES) > 0:
            console.print(f"and {more} more classes")
    if found.reachable.recall <= found.reached.recall and found.reachable.mean <= found.reached.mean:
        console.print("the head's own default boxes fit as well: keep them")
        return
    lists = ",".join("[" + ",".join(f"[{w:g},{h:g}]" for w, h in each) + "]" for each in found.after)
    print_lines(["", f"'head.anchors=[{lists}]'", "", f"or MOBILEVISION_PATH={out} ... experiment=anchors"])
    print_lines([f"drawn in {out / 'anchors.png'}"])


def _print_reach(head: str, reach: Sequence[Reach], seen: NDArray[np.float64], resolution: tuple[int, int]) -> None:
    console = Console(highlight=False)
    height, width = resolution
    sides = (seen[:, 2:] - seen[:, :2]) * (width, height)
    console.print(f"{head} starts from points, not from default boxes: there is nothing to plan.")
    console.print(f"{len(seen):,} training boxes at {width}x{height} pixels, against what its maps can tell:")
    table = Table("stride", "sides in pixels", "boxes", box=None, pad_edge=False, header_style="bold")
    for each in reach:
        fitting = ((sides >= each.shortest) & (sides <= each.longest)).all(axis=1).mean()
        table.add_row(str(each.stride), f"{each.shortest:.0f} to {each.longest:.0f}", f"{fitting:.1%}")
    console.print(table)
    strides = [each.stride for each in reach]
    small = (sides < reach[0].shortest).any(axis=1).mean()
    large = (sides > reach[-1].longest).any(axis=1).mean()
    if small > _MANY:
        finer = [max(1, strides[0] // 2), *strides]
        console.print(
            f"{small:.1%} are smaller than the finest stride: a larger data.resolution, or head.strides={finer}"
            " where the backbone has such a map"
        )
    if large > _MANY:
        console.print(f"{large:.1%} are larger than the coarsest map tells: head.strides={[*strides, 2 * strides[-1]]}")
