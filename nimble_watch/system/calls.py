"""Calls that not every system has, each beside what stands in for it.

On macOS Python has no sigwaitinfo, sigtimedwait and pidfd_open, no waitid before 3.13, and no fdatasync
(https://docs.python.org/3/library/signal.html and os.html, "Availability"; waitid: CPython issue 113536).
"""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal

_LOOK = 0.02  # seconds between two looks where nothing can be waited for with a limit
_PATIENCE = 0.5  # seconds for which a signal of our own may not be taken: we stand still, or wait for output
PARENT_LOOK = None if hasattr(os, "pidfd_open") else 0.25
"""Seconds between two looks whether our parent is still there; None where the system tells us."""

_sent: set[int] = set()
"""Signals to our own group of which ours has not come yet, where a signal does not tell its sender."""
_FROM_TERMINAL = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH)
_IGNORED_UNLESS_HANDLED = (signal.SIGCHLD, signal.SIGIO, signal.SIGWINCH, signal.SIGURG)


class Came:
    """A signal that came: its number, and whether the kernel sent it (a terminal's key, a hang-up), or this process."""

    __slots__ = ("by_kernel", "by_us", "number")

    def __init__(self, number: int, *, by_kernel: bool, by_us: bool = False) -> None:
        self.number = number
        self.by_kernel = by_kernel
        self.by_us = by_us


def prepare(taken: frozenset[int]) -> None:
    """Make sure that blocked signals wait for us.

    BSD systems drop a signal whose default is to be ignored, even while it is blocked, unless it has a handler; the
    handler never runs, and exec takes it away, so the child has the default.
    """
    if not hasattr(signal, "sigwaitinfo"):
        for number in _IGNORED_UNLESS_HANDLED:
            if number in taken:
                signal.signal(number, lambda _number, _frame: None)


def next_signal(taken: frozenset[int], deadline: float | None, *, terminal: bool) -> Came | None:
    """Wait for the next of the blocked signals; none when the deadline (monotonic) is over."""
    if hasattr(signal, "sigwaitinfo"):
        if deadline is None:
            info = signal.sigwaitinfo(taken)
        else:
            timed = signal.sigtimedwait(taken, max(0.0, deadline - time.monotonic()))
            if timed is None:
                return None
            info = timed
        return Came(info.si_signo, by_kernel=info.si_code > 0, by_us=info.si_code <= 0 and info.si_pid == os.getpid())
    while deadline is not None and not signal.sigpending() & taken:
        if time.monotonic() >= deadline:
            return None
        time.sleep(min(_LOOK, max(0.0, deadline - time.monotonic())))
    number = signal.sigwait(taken)
    if number in _sent:
        _sent.discard(number)
        return Came(number, by_kernel=False, by_us=True)
    return Came(number, by_kernel=terminal and number in _FROM_TERMINAL and _in_foreground())


def tell_group(number: int) -> None:
    """Send a blocked signal to our whole group; the one that comes to us, too, is known for ours (`Came.by_us`).

    Where signals do not tell their sender, one is sent after the other has come: equal ones that wait become one.
    """
    if not hasattr(signal, "sigwaitinfo"):
        give_up = time.monotonic() + _PATIENCE
        while number in _sent and time.monotonic() < give_up:
            time.sleep(_LOOK)
        # One that waits already is somebody else's, is to count, and becomes one with ours.
        if number not in signal.sigpending() and signal.getsignal(number) is not signal.SIG_IGN:
            _sent.add(number)
    os.kill(0, number)


def _in_foreground() -> bool:
    """Tell whether the terminal's keys reach us: then such a signal most likely came from there.

    A `kill -INT` to us alone while we are in the foreground is taken for the terminal's; nothing tells them apart.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return True  # it hung up
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return True
    finally:
        os.close(terminal)


def hand_front_to(child: int) -> None:
    """Give our terminal's foreground, where we have it, to a child in a group of its own: a shell with jobs."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return  # it hung up
    try:
        group = os.getpgid(child)
        if group != os.getpgrp() == os.tcgetpgrp(terminal):
            os.tcsetpgrp(terminal, group)
    except OSError:
        return  # it has just ended
    finally:
        os.close(terminal)


def change_of(child: int) -> tuple[str, int] | None:
    """Give what became of a child since the last look: `exited`, `killed`, `stopped` or `continued`, and its number.

    None while nothing did; ChildProcessError if it is not there any more.
    """
    if hasattr(os, "waitid"):
        found = os.waitid(os.P_PID, child, os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
        if found is None:
            return None
        words = {os.CLD_EXITED: "exited", os.CLD_STOPPED: "stopped", os.CLD_CONTINUED: "continued"}
        return words.get(found.si_code, "killed"), found.si_status
    pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    if pid == 0:
        return None
    if os.WIFEXITED(status):
        return "exited", os.WEXITSTATUS(status)
    if os.WIFSIGNALED(status):
        return "killed", os.WTERMSIG(status)
    return ("stopped", os.WSTOPSIG(status)) if os.WIFSTOPPED(status) else ("continued", 0)


def has_ended(child: int) -> bool:
    """Tell whether a child has ended, and leave its status to whoever collects it; no where that cannot be asked."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def zombie() -> int | None:
    """Give a child that has ended and was not collected; none where that cannot be asked."""
    if not hasattr(os, "waitid"):
        return None
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def watch_process(pid: int | None) -> int | None:
    """Give a descriptor that becomes readable when a process ends; none where the system has no such thing."""
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def sync(descriptor: int) -> None:
    """Force a file's content to disk."""
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)


def boot_id() -> str | None:
    """Give the name of this run of the machine, which changes when it is started anew; None where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def be_the_likelier_victim(by: int) -> None:
    """Have the kernel's out-of-memory killer choose this process before others (by: thousandths of all memory)."""
    path = "/proc/self/oom_score_adj"
    try:
        with open(path, encoding="ascii") as file:
            now = int(file.read())
        with open(path, "w", encoding="ascii") as file:
            file.write(str(min(1000, now + by)))
    except (OSError, ValueError):
        return  # not Linux


def open_descriptors() -> list[int]:
    """Give our open descriptors, so that none of the caller's leak into helpers that outlive the child."""
    try:
        listed = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        listed = list(range(3, 256))
    return [number for number in listed if _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False  # that of the listing itself: macOS refuses to spawn with a close of what is not open
    return True


def path_of(descriptor: int) -> str:
    """Give the path of an open file; OSError where nothing tells it."""
    get_path: int | None = getattr(fcntl, "F_GETPATH", None)
    if get_path is None:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    answer: bytes = fcntl.fcntl(descriptor, get_path, bytes(1024))
    return os.fsdecode(answer.rstrip(b"\0"))


def spawn_apart(path: str, argv: list[str], environ: Any, actions: list[Any]) -> int:
    """Start a helper in a session of its own, with no signal blocked; in a group of its own where that is refused.

    macOS has it since 10.15.
    """
    try:
        return os.posix_spawnp(path, argv, environ, file_actions=actions, setsid=True, setsigmask=())
    except NotImplementedError:
        return os.posix_spawnp(path, argv, environ, file_actions=actions, setpgroup=0, setsigmask=())
