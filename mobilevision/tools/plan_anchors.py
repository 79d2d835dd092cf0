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
from mobilevision.io.text_columns import print_lines
from mobilevision.ops.anchor_planning import Coverage, Places, Sizes, coverage, plan
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data import DataModule

_IMAGES = 20_000  # looked at, at equal distances, of a larger split
_BOXES = 20_000


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


def plan_anchors(overrides: Sequence[str], *, boxes: int | None = None, out: str | Path | None = None) -> Plan:
    """Propose default boxes for the training boxes of a data set, as the model sees them in an evaluation.

    What it found is printed, drawn as ``anchors.png`` and written as a recipe, ``conf/experiment/anchors.yaml``.

    Args:
        overrides: as for a training, ``["data=auto", "data.root=BOXES", "head=ssd"]``.
        boxes: default boxes at each place of every map; None keeps what the head has.
        out: folder for the results; None makes ``outputs/plan-anchors/<date_time>``.

    Raises:
        UserError: no boxes to learn from, or a head without default boxes.
    """
    from mobilevision.config.auto_settings import without_training
    from mobilevision.config.compose import compose
    from mobilevision.config.plugins import load_for
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
    backbone = build_backbone(cfg)
    side, crop = default_side(cfg, backbone), backbone.preset.crop
    data = build_data(cfg)
    spec = data.setup_data(default_resolution=(side, side), crop=crop)
    head = instantiate(without_training(cfg).head, drop=("kinds",), backbone=backbone.spec, data=spec)
    places: list[Places] = getattr(head, "places", [])
    if not places:
        raise UserError(f"{type(head).__name__} starts from no default boxes: there is nothing to plan")
    rng = np.random.default_rng(cfg.seed)
    seen = training_boxes(data, crop=crop)
    if len(seen) > _BOXES:
        seen = seen[np.sort(rng.choice(len(seen), _BOXES, replace=False))]
    exact = plan(seen, places, head.anchor_shapes, rng, count=boxes)
    # Three digits: nobody needs more, and the line stays short.
    proposed = [[(max(round(w, 3), 0.001), max(round(h, 3), 0.001)) for w, h in each] for each in exact]
    covered = coverage(seen, places, head.anchor_shapes), coverage(seen, places, proposed)
    found = Plan(head.anchor_shapes, proposed, *covered)
    folder = Path(out) if out is not None else RunFolder.create("plan-anchors", None).path
    names = [f"{len(place.y)}x{len(place.x)}" for place in places]
    _write(found, names, seen, folder, overrides)
    _print(found, names, spec.resolution, len(seen), folder)
    return found


def training_boxes(data: DataModule, *, crop: float = 1.0) -> NDArray[np.float64]:
    """The boxes of the training split as they lie in the input, without crowds and without those of no area.

    Args:
        data: set up.
        crop: share of the shorter side that is looked at, where the fit is ``crop``.

    Returns:
        float64 [n, 4], (left, top, right, bottom) as fractions of the input's sides.

    Raises:
        UserError: there are none.
    """
    from mobilevision.data.boxes import BoxTargets, boxes_in_input

    records, spec = data.splits.train, data.spec
    if records is None or not isinstance(records.targets, BoxTargets):
        raise UserError(f"data.root={data.root}: no training boxes to plan for")
    height, width = spec.resolution
    boxes, _ = boxes_in_input(records, spec, crop=crop, images=_IMAGES)
    seen: NDArray[np.float64] = boxes / (width, height, width, height)
    if not len(seen):
        raise UserError(f"data.root={data.root}: no training boxes to plan for")
    return seen


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


def _print(found: Plan, names: Sequence[str], resolution: tuple[int, int], count: int, out: Path) -> None:
    console = Console(highlight=False)
    height, width = resolution
    console.print(f"{count:,} training boxes at {width}x{height} pixels; default boxes in pixels:")
    table = Table("map", "now", "planned", box=None, pad_edge=False, header_style="bold")
    for name, *both in zip(names, found.before, found.after, strict=True):
        table.add_row(name, *("  ".join(f"{w * width:.0f}x{h * height:.0f}" for w, h in each) for each in both))
    console.print(table)
    for title, key in (("reached (IoU of 0.5 or more)", "recall"), ("best IoU, mean", "mean")):
        now, planned = getattr(found.reached, key), getattr(found.reachable, key)
        console.print(f"{title:<30}{now:.3f} -> {planned:.3f}")
    if found.reachable.recall <= found.reached.recall and found.reachable.mean <= found.reached.mean:
        console.print("the head's own default boxes fit as well: keep them")
        return
    lists = ",".join("[" + ",".join(f"[{w:g},{h:g}]" for w, h in each) + "]" for each in found.after)
    print_lines(["", f"'head.anchors=[{lists}]'", "", f"or MOBILEVISION_PATH={out} ... experiment=anchors"])
    print_lines([f"drawn in {out / 'anchors.png'}"])
