"""Whether a phone is connected on which time could be taken."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

_PATIENCE = 10  # seconds for adb's server to start
_NEEDS = "the times are this machine's; a phone's need one with USB debugging, an exported model and a runtime there"


def phones() -> str:
    """One sentence: what ``adb devices`` lists, and what measuring there needs."""
    program = shutil.which("adb")
    if program is None:
        return f"no phone: adb (of Android's platform tools) is not installed; {_NEEDS}"
    try:
        how: Any = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        done = subprocess.run([program, "devices"], timeout=_PATIENCE, check=False, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no phone: adb does not answer ({type(error).__name__}); {_NEEDS}"
    found = [line.split("\t") for line in done.stdout.splitlines()[1:] if "\t" in line]
    ready = [name for name, state in found if state.strip() == "device"]
    if ready:
        return f"phone {', '.join(ready)} is connected, and was not measured: {_NEEDS}"
    waiting = [f"{name} is {state.strip()}" for name, state in found]
    why = f"{', '.join(waiting)} (allow USB debugging on it)" if waiting else "adb lists none"
    return f"no phone: {why}; {_NEEDS}"
