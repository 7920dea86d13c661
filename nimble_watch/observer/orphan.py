"""When the launcher is gone: its child is stopped, as the launcher would have done it, and nothing is left running.

This is the one case in which we touch the child.  Where there is a terminal it is left alone: the person in front of it
still holds it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_LOOK = 0.05


def stop_group(group: int, grace: float) -> None:
    """Stop a process group: INT, TERM, KILL, so many seconds apart, stopped processes continued first."""
    for step in _STEPS:
        try:
            os.killpg(group, step)
            os.killpg(group, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + grace
        while time.monotonic() < until:
            if not _alive(group):
                return
            time.sleep(_LOOK)  # a group that is no child of ours has no event to wait for


def _alive(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(group, 0)
        except PermissionError:
            return True
        return _more_than_zombies(group)
    return False


def _more_than_zombies(group: int) -> bool:
    """Tell whether anything of the group still runs; what nobody has reaped yet does not."""
    try:
        entries = [path for path in Path("/proc").iterdir() if path.name.isdecimal()]
    except OSError:
        return True
    for entry in entries:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
                return True
    return False
