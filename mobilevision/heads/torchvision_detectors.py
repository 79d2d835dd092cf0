"""What a head takes of the detectors that torchvision publishes: SSDLite and Faster R-CNN over MobileNet V3.

Their bodies go into backbones (:mod:`mobilevision.backbones.detector_weights`). The names of the layers behind them are
translated by the tables below. Of 91 class outputs (COCO's ids with their gaps, and background) a data set's classes
take those of the same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.io.printable_text import listed, plain_name
from mobilevision.io.tensor_files import broken_values

Layout = Literal["own", "torchvision"]
Names = Sequence[tuple[str, str]]
"""Patterns of torchvision's names, and ours."""

SSDLITE: Names = (
    (r"backbone\.extra\.(\d+)\.(\d+)\.0\.", r"extras.\1.\2.conv."),
    (r"backbone\.extra\.(\d+)\.(\d+)\.1\.", r"extras.\1.\2.norm."),
    (r"head\.classification_head\.module_list\.(\d+)\.0\.0\.", r"classifiers.\1.0.conv."),
    (r"head\.classification_head\.module_list\.(\d+)\.0\.1\.", r"classifiers.\1.0.norm."),
    (r"head\.classification_head\.module_list\.(\d+)\.1\.", r"classifiers.\1.1."),
    (r"head\.regression_head\.module_list\.(\d+)\.0\.0\.", r"regressors.\1.0.conv."),
    (r"head\.regression_head\.module_list\.(\d+)\.0\.1\.", r"regressors.\1.0.norm."),
    (r"head\.regression_head\.module_list\.(\d+)\.1\.", r"regressors.\1.1."),
)
FASTER_RCNN_FPN: Names = (  # files of before 2022 lack some of the zeros
    (r"backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(?:0\.)?(?=weight|bias)", r"fpn.\1_blocks.\2.0."),
    (r"rpn\.head\.conv\.(?:0\.0\.)?(?=weight|bias)", r"rpn.conv."),
    (r"rpn\.head\.cls_logits\.", r"rpn.objectness."),
    (r"rpn\.head\.bbox_pred\.", r"rpn.deltas."),
    (r"roi_heads\.box_head\.fc6\.", r"hidden.1."),
    (r"roi_heads\.box_head\.fc7\.", r"hidden.3."),
    (r"roi_heads\.box_predictor\.cls_score\.", r"classifier."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", r"regressor."),
)
ENOUGH = 0.5  # share of a head's tensors below which the weights belong to something else

# Pascal VOC's names of what COCO has, too.
_ALSO_CALLED = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
COCO_OUTPUTS = 91


def check_layout(layout: Layout, weights: str | None) -> None:
    """Pretrained weights fit into torchvision's layers only.

    Raises:
        UserError: they are named with another layout.
    """
    if weights is not None and layout != "torchvision":
        raise UserError(f"head.weights={weights}: needs head.layout=torchvision, the layers of these weights")


def coco_names() -> tuple[str, ...]:
    """The names of COCO's outputs: background, then the ids from 1, ``N/A`` in their gaps."""
    from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

    names: list[str] = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
    return tuple(names)


def coco_classes() -> tuple[str, ...]:
    """The names of COCO's 80 classes, in the order of their ids."""
    return tuple(name for name in coco_names()[1:] if name != "N/A")


def coco_output(name: str) -> int | None:
    """The output of COCO's class of this name, in any case and in Pascal VOC's words, too; None where it has none."""
    plain = plain_name(name)
    wanted = _ALSO_CALLED.get(plain.replace(" ", ""), plain)
    known = [plain_name(each) for each in coco_names()]
    return known.index(wanted) if wanted in known[1:] and wanted != plain_name("N/A") else None


class Rows(NamedTuple):
    """How the outputs of a layer lie: ``groups`` of as many outputs as there are classes, of ``values`` rows each.

    Attributes:
        groups: anchors of a place, or 1.
        values: 1 for scores, 4 for boxes.
        background: whether background has rows of its own here; in torchvision's files it always has.
    """

    groups: int
    values: int = 1
    background: bool = True


def load(
    head: nn.Module, state: Mapping[str, Tensor], *, source: str, names: Names, rows: Mapping[str, Rows]
) -> list[str]:
    """Load what fits of a detector's layers into a head.

    Args:
        head: a detection head.
        state: the tensors under torchvision's names.
        source: what to call them in messages.
        names: how they are translated.
        rows: the layers of ``head`` that have rows for each class.

    Returns:
        What was taken and what was not, a fact a line.

    Raises:
        UserError: less than half of the head's tensors fit, or some are no numbers.
    """
    numbers = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and tensor.ndim}
    renamed = {_renamed(name, names): tensor for name, tensor in numbers.items()}
    own = {name: tensor for name, tensor in head.state_dict().items() if not name.endswith("num_batches_tracked")}
    counts = [_outputs(renamed[f"{layer}.bias"], rows[layer]) for layer in rows if f"{layer}.bias" in renamed]
    theirs = max(set(counts), key=counts.count, default=0) or COCO_OUTPUTS
    chosen, note = _chosen(head.data_spec.classes, head.outputs, theirs)  # type: ignore[union-attr, arg-type]
    taken: dict[str, Tensor] = {}
    for name, tensor in own.items():
        layer = name.rpartition(".")[0]
        found = renamed.get(name)
        if found is None:
            continue
        if layer in rows:
            found = _of_classes(found, tensor, rows[layer], theirs, chosen)
        elif layer == "rpn.objectness":  # one score there; here background's is 0 and the object's the same
            found = torch.stack([torch.zeros_like(found), found], dim=1).flatten(0, 1)
        if found is not None and found.shape == tensor.shape:
            taken[name] = found
    if len(taken) < ENOUGH * len(own):
        raise UserError(f"head.weights: {source} fits only {len(taken)} of this head's {len(own)} tensors")
    if broken := broken_values(taken):
        raise UserError(f"head.weights: {source}: {broken}: take another file")
    head.load_state_dict(taken, strict=False)
    left = [name for name in own if name not in taken]
    lines = [f"head: {len(taken)} of {len(own)} tensors matched", note]
    if left:
        lines.append(f"not in the file or of another shape, started at random: {listed(left, 4)}")
    return lines


def _renamed(name: str, names: Names) -> str:
    for pattern, ours in names:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name, count=1)
    return name


def _outputs(bias: Tensor, rows: Rows) -> int:
    return len(bias) // (rows.groups * rows.values)


def _chosen(classes: Sequence[str], outputs: int, theirs: int) -> tuple[list[int | None], str]:
    """Which output of the weights each of ours starts from; those beyond the classes take what nobody asked for."""
    if theirs != COCO_OUTPUTS:
        if theirs == outputs:
            return list(range(theirs)), f"its {theirs - 1} classes are taken for the data's in their order"
        return [0, *[None] * (outputs - 1)], f"its {theirs - 1} classes are not the data's: they start at random"
    found = [coco_output(name) for name in classes]
    rest = [place for place in range(1, theirs) if place not in found]
    spare = outputs - 1 - len(classes)
    unused: list[int | None] = [*rest[:spare], *[None] * (spare - len(rest))]
    new = [name for name, place in zip(classes, found, strict=True) if place is None]
    note = f"{len(classes) - len(new)} of {len(classes)} classes are COCO's and keep their outputs"
    if new:
        note += f"; new: {listed(new, 4)}"
    return [0, *found, *unused], note


def _of_classes(found: Tensor, own: Tensor, rows: Rows, theirs: int, chosen: Sequence[int | None]) -> Tensor | None:
    """The rows of our outputs; one that the weights do not know keeps its random weights and gets a usual bias."""
    if len(found) != rows.groups * theirs * rows.values:
        return None
    wanted = chosen if rows.background else chosen[1:]
    if own.shape[1:] != found.shape[1:] or len(own) != rows.groups * len(wanted) * rows.values:
        return None
    source = found.reshape(rows.groups, theirs, rows.values, *found.shape[1:])
    made = own.clone().reshape(rows.groups, len(wanted), rows.values, *own.shape[1:])
    for place, row in enumerate(wanted):
        if row is not None:
            made[:, place] = source[:, row]
        elif found.ndim == 1:
            made[:, place] = source[:, 1:].mean(dim=1)
    return made.flatten(0, 2)
