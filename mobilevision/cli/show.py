"""What the main command shows instead of training: its help page, and the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mobilevision.config.check import examine
from mobilevision.config.compose import opened
from mobilevision.config.groups import groups, options
from mobilevision.config.layout import Layout
from mobilevision.config.names import nearest_key
from mobilevision.config.search_path import Source
from mobilevision.errors import UserError

HEADER = """\
Train a model on images: pick the task; everything else follows, and everything can be changed.

  python train.py                                     the first run: embedded images, no download
  python train.py data=auto data.root=IMAGES        a folder of images, as it is
  python train.py backbone=mobilenet_v3 trainer=gpu   another network, on the GPU
  python train.py -m backbone.width=0.5,1.0 seed=0,1  a sweep: four runs
  python train.py resume=outputs/classification/RUN   go on with a run that was stopped
  python train.py --cfg job seed=1                    show the whole configuration and stop
  python train.py --help backbone=mobilenet_v3        this page with the keys of other options
(`mobilevision train` is the same once it is installed.)
"""
FOOTER = """\
Flags: --config-dir FOLDER adds options of your own, --debug shows the traceback behind an error,
--hydra-help lists Hydra's flags, -sc install=bash prints what a shell needs to complete options and keys.
"""
_COLUMN = 44


def print_help(overrides: Sequence[str], config_dir: str | None = None) -> None:
    """Print every group and every key, as these overrides make them, with their meaning.

    Raises:
        UserError: if the overrides are wrong.
    """
    with opened(config_dir) as found:
        _, layout, claims = examine(overrides, found, complete=False)
        lines = [HEADER, "Groups, group=option (* is taken):", *_groups(layout, found), "", "Keys, key=value:"]
        lines += _keys(layout, {claim.key: claim.value for claim in claims})
    print("\n".join([*lines, "", FOOTER]), end="")


def _groups(layout: Layout, found: Sequence[Source]) -> Iterator[str]:
    there = [group for group in reversed(layout.choices) if group in groups(found)]
    for group in sorted(there, key=lambda group: group != "task"):
        taken = layout.choices[group]
        names = [f"{name}*" if name == taken else name for name in options(group, found)]
        yield f"  {group:<12} {' '.join(names)}"


def _keys(layout: Layout, claimed: dict[str, Any]) -> Iterator[str]:
    above = ""
    for key in layout.dotted():
        value = claimed.get(key, layout.get(key))
        if (isinstance(value, dict) and value) or _is_fixed(key):
            continue
        top = key.partition(".")[0] if "." in key else ""
        if top != above:
            yield ""
        above = top
        file, inside = layout.places[key]
        typed = value if isinstance(value, str) else json.dumps(value)
        yield f"  {f'{key}={typed}':<{_COLUMN}} {file.comments.get(inside, '')}".rstrip()


def _is_fixed(key: str) -> bool:
    """Whether a key says what an option is, and is nothing to set."""
    top, name = key.partition(".")[0], key.rpartition(".")[2]
    return name.startswith("_") or name == "kinds" or top == "task"


def print_config(cfg: DictConfig, *, package: str | None = None, resolve: bool = False) -> None:
    """Print a configuration, or a part of it, as yaml.

    Args:
        cfg: the configuration.
        package: dotted key of the part; None shows all.
        resolve: whether references like ``${seed}`` are replaced by what they stand for.

    Raises:
        UserError: if there is no such part.
    """
    if resolve:
        OmegaConf.resolve(cfg)
    part: Any = cfg
    if package not in {None, "_global_"}:
        part = OmegaConf.select(cfg, str(package), default=None)
        if part is None:
            values: Any = OmegaConf.to_container(cfg, resolve=False)
            near = nearest_key(str(package), Layout(values=values).dotted())
            raise UserError(f"--package {package}: there is no such key{near}")
    print(OmegaConf.to_yaml(part).rstrip() if isinstance(part, DictConfig | ListConfig) else part)
