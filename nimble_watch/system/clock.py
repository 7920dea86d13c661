"""The clock of one command: real time when the command began, and from then on a clock that nobody can set.

Whoever sets the machine's clock while a phase runs (NTP, a person, a virtual machine that is resumed) would else make
phases end before they began, and would have budgets of minutes run out at once.  The sleep of a laptop counts, because
time passes for the cluster and for the bill; `asleep` tells how much of it there was.

Launcher and observer are two processes and keep the same time: the one hands its `anchor` to the other.
"""

from __future__ import annotations

import time


def _pair() -> tuple[int | None, int | None]:
    """Give the clocks that go on in sleep and that stand still then, where the system tells them apart.

    Linux: clock_gettime(2).  macOS: clock_gettime(3), where CLOCK_UPTIME_RAW is the one that stands still.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC
    if hasattr(time, "CLOCK_UPTIME_RAW"):
        return time.CLOCK_MONOTONIC_RAW, time.CLOCK_UPTIME_RAW
    return None, None


_THROUGH_SLEEP, _AWAKE = _pair()


def _elapsed() -> float:
    return time.monotonic() if _THROUGH_SLEEP is None else time.clock_gettime(_THROUGH_SLEEP)


_anchor = (time.time(), _elapsed())


def anchor() -> tuple[float, float]:
    """Give what another process of this machine needs to keep the same time."""
    return _anchor


def adopt(given: tuple[float, float]) -> None:
    """Keep the time of another process from now on."""
    global _anchor  # noqa: PLW0603  there is one clock in a process
    _anchor = given


def now() -> float:
    """Give the seconds since the epoch, as the clock would show them if nobody had set it since."""
    began, elapsed = _anchor
    return began + _elapsed() - elapsed


def set_by() -> float:
    """Give by how many seconds the machine's clock was set forward (or back: below 0) since the anchor."""
    return time.time() - now()


def asleep() -> float:
    """Give the seconds that the machine has slept since it started; 0.0 where it does not tell."""
    if _THROUGH_SLEEP is None or _AWAKE is None:
        return 0.0
    return time.clock_gettime(_THROUGH_SLEEP) - time.clock_gettime(_AWAKE)
