"""What stands in front of a model card for programs: YAML as model hubs read it."""

from __future__ import annotations

import re
from typing import Any

from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.runs.exporting.card_words import is_baseline

PIPELINES = {
    "classes": "image-classification",
    "attributes": "image-classification",
    "places": "image-classification",
    "embedding": "image-feature-extraction",
    "boxes": "object-detection",
    "raw_boxes": "object-detection",
}
"""What hubs call each kind of answer."""


def check_license(name: str | None) -> None:
    """Refuse what no hub takes for a licence.

    Raises:
        UserError: other signs than small letters, digits, points and hyphens.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9.-]+", name):
        raise UserError(f"--license {name!r}: hubs name licences in small letters, such as apache-2.0, mit or other")


def header(manifest: Manifest) -> str:
    """The front matter, its two lines of dashes included."""
    import yaml

    about = manifest.about
    tags = ["mobilevision", manifest.task, manifest.format, manifest.precision, *_family(str(about["backbone"]))]
    found: dict[str, Any] = {"license": about.get("license") or "unknown", "library_name": "mobilevision"}
    if manifest.answer in PIPELINES:
        found["pipeline_tag"] = PIPELINES[manifest.answer]
    found["tags"] = list(dict.fromkeys(tags))
    if (gate := about.get("gate")) and gate["pictures"] == gate.get("of"):  # a part's numbers are not the model's
        found["model-index"] = [_measured(manifest)]
    text: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---"


def _family(backbone: str) -> list[str]:
    return ["mobilenet"] if "mobilenet" in backbone else []


def _measured(manifest: Manifest) -> dict[str, Any]:
    """The numbers of this file, as hubs list them."""
    about, gate = manifest.about, manifest.about["gate"]
    data = str((about.get("data") or {}).get("name") or "own data")
    known = {name: value for name, value in gate["artifact"].items() if value is not None and value == value}
    values = {name: value for name, value in known.items() if not is_baseline(name)}
    return {
        "name": f"{about['backbone']} {manifest.task}",
        "results": [
            {
                "task": {"type": PIPELINES.get(manifest.answer, manifest.task)},
                "dataset": {"type": "other", "name": data, "split": gate["split"]},
                "metrics": [{"type": name, "value": round(value, 4)} for name, value in values.items()],
            }
        ],
    }
