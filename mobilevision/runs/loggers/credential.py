"""Whether this user can log in to W&B, and in which mode a run therefore goes."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mobilevision.errors import UserError

Mode = Literal["online", "offline", "disabled"]
_MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def has_credential() -> bool:
    """Whether ``WANDB_API_KEY`` is set or a netrc file knows the W&B host (``WANDB_BASE_URL``, or the public one)."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    places = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    return any(_knows(place, host) for place in places)


def choose_mode(wanted: str) -> Mode:
    """The mode of a run.

    ``auto`` takes what ``WANDB_MODE`` says, else online where there is a credential, else offline.

    Args:
        wanted: ``auto``, ``online`` or ``offline``.

    Raises:
        UserError: another word, or online without a credential.
    """
    if wanted not in ("auto", "online", "offline"):
        raise UserError(f"logger.mode={wanted} does not exist: auto, online or offline")
    if wanted == "auto":
        given = _MODES.get(os.environ.get("WANDB_MODE", ""))
        return given or ("online" if has_credential() else "offline")
    if wanted == "online" and not has_credential():
        raise UserError(
            "logger.mode=online needs a W&B login: run `wandb login` or set WANDB_API_KEY, or take logger.mode=offline"
        )
    return "online" if wanted == "online" else "offline"


def _knows(place: Path, host: str) -> bool:
    """An unreadable or malformed netrc counts as none."""
    try:
        return netrc.netrc(str(place)).hosts.get(host) is not None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
