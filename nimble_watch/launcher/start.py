"""Starting the child, and nothing else: what stands between our own start and the child's is in this module.

`_signal` is imported instead of `signal`, whose enums cost four milliseconds, a third of a bare interpreter's start.
What the child gets is what it would have got from our caller: the same descriptors, mask and dispositions, the same
environment plus our few variables.  What cannot be restored: SIGPIPE and SIGXFSZ are set to their defaults, because
Python ignores both and does not tell whether they were ignored before; SIGCHLD too, or its end could not be seen.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from nimble_watch.errors import NotStartedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any

    Starter = Callable[[str, list[str]], int]
else:
    import _signal as signal

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGWINCH,
)
JOB_CONTROL = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
WAKE = signal.SIGRTMIN if hasattr(signal, "SIGRTMIN") else signal.SIGIO
"""The signal by which our own threads wake the main one."""


class Signals:
    """The signals we wait for, blocked from here on, and the mask that the child gets back."""

    __slots__ = ("before", "ignored", "taken")

    def __init__(self) -> None:
        wanted = {*FORWARDED, *JOB_CONTROL, signal.SIGCONT}
        self.ignored = frozenset(number for number in wanted if signal.getsignal(number) is signal.SIG_IGN)
        self.taken = frozenset(wanted - self.ignored | {signal.SIGCHLD, WAKE})
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if not hasattr(signal, "sigwaitinfo"):
            from nimble_watch.system.calls import prepare  # where it is needed; elsewhere a child waits

            prepare(self.taken)
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self.taken)

    def stand_still(self, number: int, *, group: bool) -> None:
        """Stop by a signal of job control, alone or with our whole group, and come back when somebody continues us."""
        # Sent while blocked, so that it becomes one with the terminal's own that may be waiting for us.
        os.kill(0 if group else os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # here we stand still until we are continued
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})


class Pipe:
    """A pipe of ours in front of one of the caller's; `targets` are the child's descriptors that lead into it."""

    __slots__ = ("read", "targets", "write")

    def __init__(self, targets: list[int], ends: tuple[int, int] | None = None) -> None:
        self.targets = targets
        self.read, self.write = ends or os.pipe()

    def hand_over(self) -> None:
        """Leave a reader of its own to those who write when we no longer read: their next write must not kill them."""
        from nimble_watch.system.calls import open_descriptors, spawn_apart  # only at the end

        actions = [
            (os.POSIX_SPAWN_DUP2, self.targets[0], 1),
            (os.POSIX_SPAWN_DUP2, self.read, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, number) for number in open_descriptors() if number not in (0, 1, 2)),
        ]
        try:
            spawn_apart("cat", ["cat"], os.environ, actions)
        except OSError:
            return  # no cat on this machine: those who still write meet SIGPIPE


def guard_standard_descriptors() -> None:
    """Fill closed descriptors 0 to 2 for ourselves, so that no socket or journal of ours lands there.

    What fills them is closed again in the child, which sees them closed as our caller left them.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # takes the lowest free number, which is this one


def has_terminal() -> bool:
    """Tell whether we have a controlling terminal; whether stdin is one says nothing about job control."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def child_environment() -> dict[bytes, bytes]:
    """Give our environment as we got it: in the C locale Python adds LC_CTYPE, which the child must not inherit."""
    environ = dict(os.environb)
    if environ.get(b"LC_CTYPE", b"") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        try:
            with open("/proc/self/environ", "rb", buffering=0) as before:
                if b"\0LC_CTYPE=" not in b"\0" + before.readall():
                    del environ[b"LC_CTYPE"]
        except OSError:
            pass
    return environ


def sinks() -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Give the pipes among stdout and stderr, grouped by where they lead, and the files with the offset they are at.

    A terminal, a regular file and /dev/null are inherited; pipes and sockets are observed.  These are told apart by
    device and inode: all descriptors of one pipe feed the same bytes in the same order, however often it was opened.
    """
    pipes: dict[tuple[int, int], list[int]] = {}
    files: list[tuple[int, int]] = []
    for number in (1, 2):
        found = os.fstat(number)
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            pipes.setdefault((found.st_dev, found.st_ino), []).append(number)
        elif stat.S_ISREG(found.st_mode):
            appending = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND
            files.append((number, found.st_size if appending else os.lseek(number, 0, os.SEEK_CUR)))
    return list(pipes.values()), files


def spawn(
    argv: list[str],
    environ: dict[bytes, bytes],
    signals: Signals,
    *,
    own_group: bool,
    outputs: dict[int, int],
) -> int:
    """Start the child and give its process id; `outputs` says which descriptor becomes its stdout or stderr."""
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in outputs.items()]
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]
    settings: dict[str, Any] = {"setsigmask": signals.before, "setsigdef": defaults}
    if own_group:
        settings["setpgroup"] = 0

    def start(path: str, arguments: list[str]) -> int:
        return os.posix_spawnp(path, arguments, environ, file_actions=actions, **settings)

    return started(argv, environ, start)


def started(argv: list[str], environ: dict[bytes, bytes], start: Starter) -> int:
    """Start a command in one way or another; what goes wrong is said as a shell says it, with a shell's status."""
    try:
        os.getcwd()
    except OSError as error:
        raise NotStartedError(
            "the working directory is gone", status=125, advise="change to one that exists"
        ) from error
    if not argv[0]:
        raise NotStartedError("cannot run '': command not found", status=127)
    try:
        return start(argv[0], argv)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
            # A script without `#!`: every shell, and execvp, hands it to sh.
            try:
                return start("/bin/sh", ["/bin/sh", _found(argv[0], environ), *argv[1:]])
            except OSError as second:
                raise _not_started(argv[0], second) from second
        raise _not_started(argv[0], error) from error


def _found(program: str, environ: dict[bytes, bytes]) -> str:
    """Give the path under which PATH finds the program."""
    if "/" in program:
        return program if not program.startswith("-") else f"./{program}"
    for folder in os.fsdecode(environ.get(b"PATH", os.defpath.encode())).split(":"):
        path = os.path.join(folder or ".", program)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return program


def _not_started(program: str, error: OSError | ValueError) -> NotStartedError:
    if not isinstance(error, OSError):
        return NotStartedError(f"cannot run {program!r}: {error}", status=126)
    if error.errno != errno.ENOENT:
        why = "it is a directory" if os.path.isdir(program) else error.strerror
        return NotStartedError(f"cannot run {program}: {why}", status=126)
    if "/" in program and os.path.exists(program):
        return NotStartedError(f"cannot run {program}: the interpreter its first line names is missing", status=127)
    return NotStartedError(f"cannot run {program!r}: command not found", status=127)
