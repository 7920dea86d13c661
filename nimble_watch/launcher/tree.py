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


def below(root: int, group: int | None) -> dict[int, bool]:
    """Give the living processes from `root` down, and those of `group`; the value says whether one is stopped."""
    parents: dict[int, int] = {}
    stopped: dict[int, bool] = {}
    found: set[int] = set()
    for name in _numbers():
        line = _stat(name)
        if line is None:
            continue
        state, parent, own_group = line
        if state in ("Z", "X"):
            continue
        pid = int(name)
        parents[pid] = parent
        stopped[pid] = state in ("T", "t")
        if pid == root or own_group == group:
            found.add(pid)
    more = True
    while more:
        more = False
        for pid, parent in parents.items():
            if parent in found and pid not in found:
                found.add(pid)
                more = True
    return {pid: stopped[pid] for pid in found}


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped."""
    line = _stat(str(pid))
    return line is not None and line[0] in ("T", "t")


def send_all(number: int, root: int, group: int | None) -> None:
    """Send a signal once to everything below, then continue what is stopped, so that it can act on it."""
    there = below(root, group) or {root: False}
    for pid in sorted(there):
        _send(pid, number)
    for pid, stopped in there.items():
        if stopped and number != signal.SIGKILL:
            _send(pid, signal.SIGCONT)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return


def _numbers() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _stat(pid: str) -> tuple[str, int, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[1]), int(fields[2])
    except (OSError, IndexError, ValueError):
        return None
