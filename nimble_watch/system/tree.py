"""The processes under a child: for reaching grandchildren in other groups, and stopped ones.

They are read from /proc; where there is none (macOS) `ps` is asked, which knows a process's start to the second only.

Below a command there may be another nimble-watch, which passes on to its own child what it is told.  Each gives its
child a depth, one more than its own (NIMBLE_WATCH_DEPTH): where a process is deeper than its parent, that is one of us.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

_HAS_PROC = os.path.exists("/proc/self/stat")
_COLUMNS = "pid=,ppid=,pgid=,stat=,lstart="
_LEAST_COLUMNS = 5
_DEPTH = b"\0NIMBLE_WATCH_DEPTH="
_USER, _SYSTEM, _STARTED = 11, 12, 19
"""Places of fields in /proc/PID/stat, counted from the state."""


def below(roots: set[int], group: int | None) -> dict[int, tuple[str, bool]]:
    """Give the living processes from `roots` down and those of `group`: when each started, and whether it is stopped.

    The start tells a process from a later one that got its number; it is compared and never understood.
    """
    return {pid: (line.started, line.stopped) for pid, line in _below(roots, group).items()}


def _below(roots: set[int], group: int | None) -> dict[int, _Line]:
    lines = _all()
    found = {pid for pid, line in lines.items() if pid in roots or line.group == group}
    more = True
    while more:
        new = {pid for pid, line in lines.items() if line.parent in found} - found
        found |= new
        more = bool(new)
    return {pid: lines[pid] for pid in found}


def still(family: dict[int, str]) -> dict[int, str]:
    """Give those of a family (number and start) that are still alive."""
    there = _some(family)
    return {pid: started for pid, started in family.items() if pid in there and there[pid].started == started}


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped."""
    line = _some([pid]).get(pid)
    return line is not None and line.stopped


def is_shell_of_jobs(pid: int) -> bool:
    """Tell whether a process ignores what Ctrl-Z sends, as a shell with jobs of its own does; no where nothing tells.

    SigIgn of proc_pid_status(5); bash's manual: SIGNALS, "ignores SIGTTIN, SIGTTOU, and SIGTSTP".
    """
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            ignored = file.readall().partition(b"\nSigIgn:")[2].split(maxsplit=1)
    except OSError:
        return False
    return bool(ignored) and bool(int(ignored[0], 16) >> (signal.SIGTSTP - 1) & 1)


def effort(pid: int) -> tuple[int, bool]:
    """Give a process's work so far (clock ticks), and whether it runs or waits for a processor or a disk just now.

    (0, False) where nothing tells: of one that has ended, and without /proc.
    """
    ticks, wanting = 0, False
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0, False
    for thread in threads:
        fields = _stat(f"{pid}/task/{thread}")
        if len(fields) > _STARTED:
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
            wanting = wanting or fields[0] in ("R", "D")
    return ticks, wanting


def send_all(number: int, roots: set[int], group: int | None) -> dict[int, str]:
    """Have everything below get a signal once, continue what is stopped, so that it can act on it; give who gets it."""
    there = _below(roots, group)
    by_others = set() if number == signal.SIGKILL else _told_by_others(there)
    for pid in sorted(there.keys() - by_others):
        send(pid, number)
    for pid, line in there.items():
        if line.stopped and number != signal.SIGKILL:
            send(pid, signal.SIGCONT)
    return {pid: line.started for pid, line in there.items()}


def _told_by_others(there: dict[int, _Line]) -> set[int]:
    """Give those to whom another of us among them passes a signal on: its child, or the group that this leads."""
    depths = {pid: _depth(pid) for pid in there}
    found = set()
    for pid, line in there.items():
        above, own = depths.get(line.parent), depths[pid]
        if above is not None and own is not None and own > above:
            found |= {pid} if line.group != pid else {one for one, other in there.items() if other.group == pid}
    return found


def _depth(pid: int) -> int | None:
    """Give how many of us are above a process; none where it may not be asked."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = (b"\0" + file.read()).partition(_DEPTH)[2].partition(b"\0")[0]
    except OSError:
        return None
    return int(words) if words.isdigit() else 0


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may just have ended."""
    try:
        os.kill(pid, number)
    except OSError:
        return


class _Line:
    """What is known of one living process."""

    __slots__ = ("group", "parent", "started", "stopped")

    def __init__(self, parent: str, group: str, state: str, started: str) -> None:
        self.parent = int(parent)
        self.group = int(group)
        self.stopped = state in ("T", "t")
        self.started = started


def _all() -> dict[int, _Line]:
    """Give every process that has not ended."""
    if not _HAS_PROC:
        return _asked("-A")
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return {}
    return _some(numbers)


def _some(pids: list[int] | dict[int, str]) -> dict[int, _Line]:
    if not _HAS_PROC:
        return _asked("-p", ",".join(map(str, pids))) if pids else {}
    return {pid: line for pid in pids if (line := _read(pid)) is not None}


def _read(pid: int) -> _Line | None:
    """Read a process's line in /proc (proc_pid_stat(5)); none if it is gone, or ended and not collected yet."""
    try:
        fields = _stat(str(pid))
        state, parent, group, started = fields[0], fields[1], fields[2], fields[_STARTED]
        return None if state in ("Z", "X") else _Line(parent, group, state, started)
    except (IndexError, ValueError):
        return None


def _stat(whose: str) -> list[str]:
    """Read the fields behind the name of a process, or thread; none if it is gone."""
    try:
        with open(f"/proc/{whose}/stat", "rb", buffering=0) as file:
            return file.read(1024).decode("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def _asked(*which: str) -> dict[int, _Line]:
    """Ask ps(1), in the words that Linux and macOS have in common."""
    import subprocess  # only where there is no other way, and never before the child

    try:
        said = subprocess.run(["ps", *which, "-o", _COLUMNS], capture_output=True, text=True, check=False).stdout
    except OSError:
        return {}
    found = {}
    for row in said.splitlines():
        fields = row.split(None, _LEAST_COLUMNS - 1)
        if len(fields) == _LEAST_COLUMNS and not fields[3].startswith(("Z", "X")):
            found[int(fields[0])] = _Line(fields[1], fields[2], fields[3][0], fields[4].strip())
    return found
