"""Lets a test set the machine's clock, and have the machine sleep, for the processes that it starts and no others.

Python imports this at its start when the folder is on PYTHONPATH.  The file that NIMBLE_WATCH_TEST_CLOCK names holds
two numbers: by how many seconds the real-time clock was set, and how many the machine has slept.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_real_time, _real_gettime = time.time, time.clock_gettime
_path = os.environ.get("NIMBLE_WATCH_TEST_CLOCK", "")


def _told() -> tuple[float, float]:
    try:
        set_by, slept = Path(_path).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return float(set_by), float(slept)


def _time() -> float:
    return _real_time() + sum(_told())


def _gettime(clock: int) -> float:
    slept = _told()[1] if clock == time.CLOCK_BOOTTIME else 0.0
    return _real_gettime(clock) + slept


if _path:
    time.time, time.clock_gettime = _time, _gettime
