"""``trainer.max_time``: how a time is written."""

from __future__ import annotations

import re

from mobilevision.errors import UserError

FORM = "days:hours:minutes:seconds, such as 00:00:10:00"
_FORM = re.compile(r"(\d+):(\d\d):(\d\d):(\d\d)")


def seconds_of(max_time: object) -> float:
    """``days:hours:minutes:seconds`` in seconds.

    Raises:
        UserError: another form, or no time at all.
    """
    found = _FORM.fullmatch(str(max_time).strip())
    days, hours, minutes, seconds = map(int, found.groups()) if found else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total <= 0:
        raise UserError(f"trainer.max_time={max_time}: give {FORM}")
    return float(total)
