"""What must hold between the settings of a data module before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilevision.data.geometry import FITS
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.data.module import DataModule


def check_arguments(data: DataModule) -> None:
    """Refuse settings that do not go together.

    Raises:
        UserError: naming the key and the fix.
    """
    if data.kind not in data.format.kinds:
        can = ", ".join(data.format.kinds)
        raise UserError(f"data format {type(data.format).__name__} gives {can}, but the task learns from {data.kind}")
    if data.root is not None and not data.format.expected:
        raise UserError(
            f"data.root={data.root}: {type(data.format).__name__} draws its pictures and reads no files, so that"
            " nothing in that place would be looked at: add data=auto (or another format), or leave data.root out"
        )
    if data.batch_size < 1:
        raise UserError(f"data.batch_size={data.batch_size}: must be at least 1")
    if data.folds < 0 or (data.folds > 1 and data.fold is None):
        why = "must be 0 (off) or more" if data.folds < 0 else "only `train` runs a cross-validation: leave it out here"
        raise UserError(f"data.folds={data.folds}: {why}")
    if data.unlabelled is not None and data.kind == "identity" and data.per_identity > 1:
        raise UserError(
            "data.unlabelled: pictures of nobody fit into no balanced batch of identities: data.per_identity=1"
        )
    if data.per_identity < 1:
        raise UserError(f"data.per_identity={data.per_identity}: must be at least 1")
    if data.augment and data.augment.mixes and data.kind in ("identity", "coordinate"):
        what = "identities" if data.kind == "identity" else "places"
        raise UserError(f"augment.mixup, augment.cutmix: two {what} in one picture are none; set both to 0")
    if data.fit not in FITS:
        raise UserError(f"data.fit={data.fit}: must be null or one of {', '.join(FITS)}")
    if data.augment and data.kind not in data.augment.kinds:
        can = " or ".join(data.augment.kinds)
        raise UserError(f"augment is for {can}, but the task learns from {data.kind}: choose another augment")
    if data.augment and data.augment.coloured and data.channels not in (1, 3):
        raise UserError(
            f"data.channels={data.channels}: changes of colour (color_jitter, rand_augment, photometric) work"
            " on 1 or 3; switch them off"
        )
