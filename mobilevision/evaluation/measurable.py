"""Whether an exported model can be measured as it was asked for: known before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError

_PINNED = ("data.resolution", "data.fit", "data.channels")


def check_measurable(folder: str | Path, overrides: Sequence[str]) -> None:
    """Look at the folder and at the overrides of an evaluation.

    Raises:
        UserError: the folder is damaged, no data is named, or something is asked for that the file has fixed.
    """
    manifest = Manifest.read(folder)
    find_answer(manifest, str(folder))
    manifest.check(Path(folder))
    keys = [each.lstrip("+").partition("=")[0] for each in overrides]
    if fixed := [key for key in keys if key in _PINNED]:
        height, width = manifest.preprocessing.height, manifest.preprocessing.width
        raise UserError(
            f"{fixed[0]}: an exported model has its own side ({height} x {width}), fit and channels; leave it out"
        )
    if "data" not in keys:
        known = manifest.about.get("data") or {}
        made = f" (it was trained on {known['name']})" if known.get("name") else ""
        raise UserError(
            f"{folder} does not keep where its pictures lay{made}: name them, as in"
            f" `mobilevision evaluate {folder} data=auto data.root=PICTURES split=test`"
        )
