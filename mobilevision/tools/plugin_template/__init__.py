"""``mobilevision plugins new``: a package that is a plugin, works as it stands, and is there to be changed."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from mobilevision.config.groups import options
from mobilevision.config.search_path import sources
from mobilevision.errors import UserError

FILES = Path(__file__).parent / "files"
"""The package with ``{name}`` and the like where names go; ``{{`` stands for a brace."""


def write_plugin(name: str, *, kind: str | None = None, folder: str | Path | None = None) -> Path:
    """Write a plugin with a task, data that it draws, a head, a loss, a metric, an answer and tests.

    Args:
        name: of the plugin and of the options that it brings, in small letters, such as ``rivers``.
        kind: of target that it learns from, a word of its own; None: its name.
        folder: for the package; None: ``mobilevision_NAME`` here. It must not be there.

    Returns:
        The folder.

    Raises:
        UserError: a name that Python or another option has already, or a folder that is there.
    """
    for option, value in (("NAME", name), ("--kind", kind)):
        if value is not None and (not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", value) or keyword.iskeyword(value)):
            raise UserError(f"{option} {value}: write a word in small letters, such as rivers or tree_height")
    taken = [f"{group}={name}" for group in ("task", "data", "head", "loss") if name in options(group, sources())]
    if taken:
        raise UserError(f"NAME {name}: {taken[0]} is there already: take another name")
    package = f"mobilevision_{name}"
    target = Path(folder) if folder is not None else Path(package)
    if target.exists():
        raise UserError(f"{target}: is there already; name another folder with --out, or remove it")
    names = {
        **{"name": name, "kind": kind or name, "package": package, "distribution": package.replace("_", "-")},
        **{"camel": "".join(part.capitalize() for part in name.split("_"))},
    }
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{target}: cannot be made ({error.strerror}): name another folder with --out") from None
    for source in sorted(FILES.rglob("*.txt")):
        place = source.relative_to(FILES).with_suffix("")
        renamed = place.stem if place.parent.name != place.stem else name  # conf/head/head.yaml is conf/head/NAME.yaml
        parts = [package if part == "package" else part for part in place.parent.parts]
        file = target.joinpath(*parts, renamed.replace("test_package", f"test_{name}") + place.suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.read_text(encoding="utf-8").format(**names), encoding="utf-8")
    return target
