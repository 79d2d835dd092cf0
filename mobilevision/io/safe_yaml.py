"""YAML that somebody else wrote, read as plain values within bounds: nothing is built, nothing expands without end."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any, final

import yaml
from yaml.constructor import ConstructorError

from mobilevision.errors import UserError
from mobilevision.io.regular_files import open_regular

MOST_BYTES = 4_000_000  # of a file
MOST_NODES = 400_000  # of a file, each alias counted as all that it stands for
DEEPEST = 60  # nodes within each other
LONGEST_NUMBER = 100  # characters; none that is used has more
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")} | {"!"}
_FLOAT = re.compile(
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")  # of YAML 1.1, without base 60

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@final
class _Loader(_Base):  # type: ignore[misc]
    """Plain values only; a date or a time (12:30) stays the text that it is, and 1e-3 is a number as in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the loader's own; a key that stands there twice is an error."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise ConstructorError(None, None, f"the key {key.value} stands there twice", key.start_mark)
                seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def number(self, node: yaml.ScalarNode) -> Any:
        """A whole or floating-point number; those to base 60 take the loader quadratic time, and nobody writes them."""
        if len(node.value) > LONGEST_NUMBER:
            problem = f"a number of {len(node.value):,} characters; it may have {LONGEST_NUMBER}"
            raise ConstructorError(None, None, problem, node.start_mark)
        if ":" in node.value:
            raise ConstructorError(None, None, f"{node.value} is no number", node.start_mark)
        return self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)


_ASIDE = {f"tag:yaml.org,2002:{name}" for name in ("timestamp", "int", "float", "value")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in _ASIDE]
    for first, found in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)


def read_yaml(path: Path, *, most_bytes: int = MOST_BYTES, most_nodes: int = MOST_NODES, as_text: bool = False) -> Any:
    """The plain values of a file: None, booleans, numbers, texts, lists and mappings.

    Args:
        path: the file.
        most_bytes: a larger file is refused unread.
        most_nodes: values and keys that it may hold, aliases expanded.
        as_text: every value and key is the text that is written, as names are meant: 007, no, 1.10.

    Raises:
        UserError: no such file, no YAML, or more than plain values in it; names the line.
    """
    try:
        with open_regular(path) as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > most_bytes:
        raise UserError(f"{path}: larger than {most_bytes:,} bytes, which is more than such a file ever needs")
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return parse_yaml(content.decode(encoding, errors="replace"), str(path), most_nodes=most_nodes, as_text=as_text)


def parse_yaml(text: str, where: str, *, most_nodes: int = MOST_NODES, as_text: bool = False) -> Any:
    """As :func:`read_yaml` of a text; ``where`` is what messages call it."""
    try:
        _check(text, where, most_nodes)
        return _texts(yaml.compose(text, Loader=_Loader)) if as_text else yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise UserError(f"{where}{line}: no valid YAML ({' '.join(str(problem).split())})") from None
    except (ValueError, OverflowError, RecursionError) as error:  # such as a number of five thousand digits
        raise UserError(f"{where}: no valid YAML ({' '.join(str(error).split())[:120]})") from None


def _texts(node: yaml.Node | None) -> Any:
    """Lists and mappings of the texts that are written."""
    if isinstance(node, yaml.MappingNode):
        return {_texts(key) if isinstance(key, yaml.ScalarNode) else str(key): _texts(held) for key, held in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_texts(each) for each in node.value]
    return None if node is None else node.value


def _check(text: str, where: str, most_nodes: int) -> None:
    """Go through the file once without building anything.

    Raises:
        UserError: too many values, too deep, an alias of what it is itself in, or a value of a type of its own.
    """
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and the count when it began
    sizes: dict[str, int] = {}
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = f"{where}:{event.start_mark.line + 1}" if event.start_mark else where
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UserError(f"{line}: *{event.anchor} stands for nothing that is complete here")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            if event.tag is not None and event.tag not in _PLAIN:  # type: ignore[attr-defined]
                raise UserError(f"{line}: a value of the type {event.tag}: only plain values are read")  # type: ignore[attr-defined]
            count += 1
            if isinstance(event, yaml.ScalarEvent):
                if event.anchor:
                    sizes[event.anchor] = 1
            else:
                open_nodes.append((event.anchor, count))
                sizes.pop(event.anchor or "", None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = count - before + 1
        if len(open_nodes) > DEEPEST:
            raise UserError(f"{line}: more than {DEEPEST} lists and mappings within each other")
        if count > most_nodes:
            raise UserError(f"{line}: more than {most_nodes:,} values, aliases counted as what they stand for")
