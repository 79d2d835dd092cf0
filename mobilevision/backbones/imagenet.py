"""The classes of ImageNet by their names, for weights that bring a classifier of them.

A classifier's outputs have an order, and a data set's classes have names: which belongs to which cannot be left to
chance. Names and synset ids come from timm.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobilevision.errors import UserError
from mobilevision.io.printable_text import plain_name

if TYPE_CHECKING:
    from timm.data import ImageNetInfo

CLASSES = 1000
WITH_BACKGROUND = 1001
"""Outputs of TensorFlow's weights, whose first is the background."""

_SYNSET = re.compile(r"n\d{8}")
_SHOWN = 5  # names in a message


def outputs_of(names: Sequence[str], outputs: int) -> tuple[list[int] | None, str]:
    """Which output of an ImageNet classifier each class of a data set is.

    Args:
        names: the data's classes, in their order: synset ids (``n01440764``), English names (``tench``, or any of a
            class's synonyms, in any case, with ``_`` or ``-`` for blanks), or the outputs' own numbers.
        outputs: of the classifier.

    Returns:
        An output for each name and what they were read as; or None and why it cannot be told.

    Raises:
        UserError: two names are one class, or a name stands for two classes.
    """
    if outputs not in (CLASSES, WITH_BACKGROUND):
        return None, f"a classifier of {outputs:,} outputs is not ImageNet's"
    from timm.data import ImageNetInfo

    first = outputs - CLASSES
    info = ImageNetInfo()
    if all(name.isdecimal() for name in names):
        found: dict[str, list[int]] = {name: [int(name)] for name in names if int(name) < outputs}
        read = "numbers of the weights' outputs"
    elif any(_SYNSET.fullmatch(name) for name in names):
        places = {name: first + place for place, name in enumerate(info.label_names())}
        found = {name: [places[name]] for name in names if name in places}
        read = "synset ids"
    else:
        english = _english(info, first)
        found = {name: english[plain_name(name)] for name in names if plain_name(name) in english}
        read = "English names"
    if missing := [name for name in names if name not in found]:
        shown = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        return None, f"{len(missing)} of the data's {len(names)} classes are none of ImageNet's {read}: {shown}"
    for name, places_of_name in found.items():
        if len(places_of_name) > 1:
            ids = " or ".join(info.label_names()[place - first] for place in places_of_name)
            raise UserError(f"class {name}: two classes of ImageNet have this name: call it {ids}")
    chosen = [found[name][0] for name in names]
    if twice := [name for name, place in zip(names, chosen, strict=True) if chosen.count(place) > 1]:
        raise UserError(f"classes {' and '.join(twice[:_SHOWN])} are one class of ImageNet: put them together")
    return chosen, f"the data's {len(names)} classes are read as {read} of ImageNet"


def _english(info: ImageNetInfo, first: int) -> dict[str, list[int]]:
    """Plain name -> the outputs that bear it."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, described in enumerate(info.label_descriptions()):
        for name in {plain_name(described), *map(plain_name, described.split(", "))}:
            found[name].append(first + place)
    return found


def imagenet_names() -> tuple[str, ...]:
    """The first name of each of ImageNet's 1000 classes; the synset id behind it where two have the same."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [str(words).split(",")[0].strip() for words in info.label_descriptions()]
    often = Counter(names)  # crane, the bird and the machine
    return tuple(
        f"{name} {id_}" if often[name] > 1 else name for name, id_ in zip(names, info.label_names(), strict=True)
    )
