"""The processes under a child, from /proc: for reaching grandchildren in other groups, and stopped ones.

Without /proc (macOS) only the child's own group is reached; that is what differs there.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal


def below(roots: set[int], group: int | None) -> dict[int, tuple[int, bool]]:
    """Give the living processes from `roots` down and those of `group`: when each started, and whether it is stopped.

    The start tells a process from a later one that got its number.
    """
    about: dict[int, tuple[int, bool]] = {}
    parents: dict[int, int] = {}
    found: set[int] = set()
    for name in _numbers():
        line = _stat(name)
        if line is None or line.state in ("Z", "X"):
            continue
        pid = int(name)
        parents[pid] = line.parent
        about[pid] = line.started, line.state in ("T", "t")
        if pid in roots or line.group == group:
            found.add(pid)
    more = True
    while more:
        new = {pid for pid, parent in parents.items() if parent in found} - found
        found |= new
        more = bool(new)
    return {pid: about[pid] for pid in found}


def still(family: dict[int, int]) -> dict[int, int]:
    """Give those of a family (number and start) that are still alive."""
    left = {}
    for pid, started in family.items():
        line = _stat(str(pid))
        if line is not None and line.started == started and line.state not in ("Z", "X"):
            left[pid] = started
    return left


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped."""
    line = _stat(str(pid))
    return line is not None and line.state in ("T", "t")


def send_all(number: int, roots: set[int], group: int | None) -> dict[int, int]:
    """Send a signal once to everything below, continue what is stopped, so that it can act on it; give who got it."""
    there = below(roots, group)
    for pid in sorted(there):
        send(pid, number)
    for pid, (_, stopped) in there.items():
        if stopped and number != signal.SIGKILL:
            send(pid, signal.SIGCONT)
    return {pid: started for pid, (started, _) in there.items()}


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        os.kill(pid, number)
    except OSError:
        return


def _numbers() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


class _Stat:
    __slots__ = ("group", "parent", "started", "state")

    def __init__(self, line: bytes) -> None:
        fields = line.rpartition(b")")[2].split()  # the name before it may hold anything
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.started = int(fields[19])


def _stat(pid: str) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return _Stat(file.read(1024))
    except (OSError, IndexError, ValueError):
        return None
