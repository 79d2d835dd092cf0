"""Groups of classes, such as the species of a breed or the make of a car."""

from __future__ import annotations

import csv
from pathlib import Path

from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.io.safe_yaml import parse_yaml

SHOWN = 5


def apply_groups(splits: Splits, file: str | None, kind: str) -> None:
    """Take the groups from a file, where one is given, and keep those of the classes that there are.

    Args:
        splits: read and checked; ``groups`` and ``notes`` are changed.
        file: of :func:`read_groups`; None keeps what the data itself says.
        kind: what is learnt from.

    Raises:
        UserError: a file that cannot be read, a class without a group, or a task that knows no classes.
    """
    if file is not None:
        if kind != "class":
            raise UserError(f"data.groups={file}: groups are of classes, and the task learns from {kind}")
        splits.groups = read_groups(Path(file).expanduser())
        if lacking := [name for name in splits.classes if name not in splits.groups]:
            listed = ", ".join(lacking[:SHOWN]) + (", ..." if len(lacking) > SHOWN else "")
            raise UserError(f"data.groups={file}: no group for {len(lacking)} classes of the data: {listed}")
    splits.groups = {name: splits.groups[name] for name in splits.classes if name in splits.groups}
    if len(splits.groups) < len(splits.classes):
        splits.groups = {}  # half a hierarchy measures nothing
    if splits.groups:
        names = sorted(set(splits.groups.values()))
        listed = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        splits.notes.append(f"{len(names)} groups of classes: {listed}")


def read_groups(file: Path) -> dict[str, str]:
    """Class -> group, from rows ``class,group`` (with or without that header), or from YAML either way round.

    YAML is ``class: group`` or ``group: [class, class]``.

    Raises:
        UserError: no such file, no such content, or a class in two groups.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"data.groups={file}: cannot be read ({why})") from None
    pairs = _yaml(text, file) if file.suffix.lower() in (".yaml", ".yml", ".json") else _csv(text, file)
    groups: dict[str, str] = {}
    for name, group, where in pairs:
        if groups.setdefault(name, group) != group:
            raise UserError(f"{where}: class {name} is in {groups[name]} and in {group}; keep one")
    if not groups:
        raise UserError(f"data.groups={file}: it is empty; write rows class,group")
    return groups


def _csv(text: str, file: Path) -> list[tuple[str, str, str]]:
    lines = text.splitlines()
    delimiter = max(",;\t", key=text.count)
    found = []
    for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (number == 1 and cells[0].lower() in ("class", "label", "name")):
            continue
        if len(cells) != 2 or not all(cells):
            raise UserError(f"{file}:{number}: {delimiter.join(cells)!r} is not class{delimiter}group")
        found.append((cells[0], cells[1], f"{file}:{number}"))
    return found


def _yaml(text: str, file: Path) -> list[tuple[str, str, str]]:
    content = parse_yaml(text, f"data.groups={file}")
    if not isinstance(content, dict):
        raise UserError(f"data.groups={file}: it should hold class: group, or group: [class, class]")
    found = []
    for key, value in content.items():
        if isinstance(value, list):
            found += [(str(name), str(key), str(file)) for name in value]
        elif isinstance(value, dict) or value is None:
            raise UserError(f"data.groups={file}: {key}: give its group, or a list of its classes")
        else:
            found.append((str(key), str(value), str(file)))
    return found
