"""The monitor: the process that leads the session of a terminal of the child's own, as in sudo's use_pty.

Only the leader of a session can have a terminal, and a child that Ctrl-Z shall stop needs a parent in its own session:
hence a process between the launcher and the child.  It is forked from the launcher before that has any thread, starts
each command in a process group of its own, follows its stops and its end, and does nothing else.  Orders come by a
pipe; when that closes, the launcher is gone, and with it the terminal: the system hangs up on the child.

The mask is the launcher's: everything that could end or stop the monitor is blocked, and what the terminal's keys mean
is for the child's group alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios

from nimble_watch.launcher.start import WAKE, Signals
from nimble_watch.system.calls import change_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal

STARTED, REFUSED, CHANGED = range(3)
ANSWER = struct.Struct("<iii")
"""What it says: STARTED and a process id, REFUSED and an errno, or CHANGED with one of WORDS and its number."""
EXITED, KILLED = "exited", "killed"
WORDS = (EXITED, KILLED, "stopped", "continued")
LENGTH = struct.Struct("<I")
START, CONTINUE = b"start", b"continue"
IN_FRONT = b"1"
"""Stands in an order where the child is to have the terminal's foreground."""


def start_order(
    path: str, argv: list[str], environ: dict[bytes, bytes], outputs: dict[int, int], *, in_front: bool
) -> bytes:
    """Put an order to start a command into bytes; ValueError where a word holds a NUL, as no command's can."""
    words = [os.fsencode(word) for word in (path, *argv)]
    pairs = [name + b"=" + value for name, value in environ.items()]
    targets = b" ".join(b"%d:%d" % pair for pair in outputs.items())
    fields = [START, IN_FRONT if in_front else b"", targets, b"%d" % len(words), *words, *pairs]
    if any(b"\0" in field for field in fields):
        raise ValueError("embedded null byte")
    return _framed(fields)


def continue_order(*, in_front: bool) -> bytes:
    """Put an order to continue the child, or to move it between foreground and background, into bytes."""
    return _framed([CONTINUE, IN_FRONT if in_front else b""])


def _framed(fields: list[bytes]) -> bytes:
    body = b"\0".join(fields)
    return LENGTH.pack(len(body)) + body


class Monitor:
    """What runs in the forked process, from the fork to its end."""

    def __init__(self, orders: int, answers: int, terminal: int, signals: Signals) -> None:
        self._orders = orders
        self._answers = answers
        self._terminal = terminal
        self._signals = signals
        self._launcher = os.getppid()
        self._child = 0
        self._ended = True

    def run(self) -> NoReturn:
        """Serve until the launcher lets go of us; nothing of what it would do itself may happen in this process."""
        try:
            self._lead()
            self._serve()
        except OSError:
            pass  # the launcher is gone, or the terminal is: the end, as for its leaving
        finally:
            os._exit(0)

    def _lead(self) -> None:
        os.setsid()
        fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # that a handler exists is what writes to the pipe
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._look()
            if self._orders in ready:
                order = self._read_order()
                if order is None:
                    return
                self._obey(order)

    def _read_order(self) -> list[bytes] | None:
        head = self._read(LENGTH.size)
        body = self._read(*LENGTH.unpack(head)) if head is not None else None
        return None if body is None else body.split(b"\0")

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            part = os.read(self._orders, size - len(data))
            if not part:
                return None
            data += part
        return data

    def _obey(self, order: list[bytes]) -> None:
        if order[0] == START:
            pairs = [pair.partition(b":") for pair in order[2].split()]
            targets = {int(target): int(source) for target, _, source in pairs}
            count = int(order[3])
            path, *argv = order[4 : 4 + count]
            environ = dict(pair.split(b"=", 1) for pair in order[4 + count :])
            self._start(path, argv, environ, targets, in_front=order[1] == IN_FRONT)
        elif not self._ended:
            self._put_in_front(self._child if order[1] == IN_FRONT else os.getpgrp())
            _signal_group(self._child, signal.SIGCONT)

    def _start(
        self, path: bytes, argv: list[bytes], environ: dict[bytes, bytes], outputs: dict[int, int], *, in_front: bool
    ) -> None:
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            self._become(path, argv, environ, outputs, tell, in_front=in_front)
        os.close(tell)
        reason = os.read(told, 4)  # nothing once the command has taken the place of our copy
        os.close(told)
        if reason:
            os.waitpid(child, 0)
            self._take_terminal()
            self._answer(REFUSED, int.from_bytes(reason, "little"), 0)
        else:
            self._child, self._ended = child, False
            self._answer(STARTED, child, 0)
            self._look()

    def _become(
        self,
        path: bytes,
        argv: list[bytes],
        environ: dict[bytes, bytes],
        outputs: dict[int, int],
        tell: int,
        *,
        in_front: bool,
    ) -> NoReturn:
        """Turn our copy into the command: its group, its descriptors, the caller's mask and dispositions."""
        reason = errno.EIO
        try:
            os.setpgid(0, 0)
            if in_front:
                os.tcsetpgrp(self._terminal, os.getpid())
            for target, source in outputs.items():
                os.dup2(source, target)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # else Python's own handler until the next line but one
            signal.pthread_sigmask(signal.SIG_SETMASK, self._signals.before)
            _execute(path, argv, environ)
        except OSError as error:
            reason = error.errno or reason
        finally:
            os.write(tell, reason.to_bytes(4, "little"))
            os._exit(127)

    def _look(self) -> None:
        """Tell what became of the child."""
        while not self._ended:
            found = change_of(self._child)
            if found is None:
                return
            what, number = found
            if what in (EXITED, KILLED):
                self._ended = True
                self._take_terminal()
            self._answer(CHANGED, WORDS.index(what), number)

    def _take_terminal(self) -> None:
        """Take the foreground, as a shell does: what the command left behind is no longer at the terminal."""
        self._put_in_front(os.getpgrp())

    def _put_in_front(self, group: int) -> None:
        try:
            os.tcsetpgrp(self._terminal, group)
        except OSError:
            return  # it was hung up, and the child may still be cleaning up behind itself

    def _answer(self, kind: int, first: int, second: int) -> None:
        os.write(self._answers, ANSWER.pack(kind, first, second))
        if os.getppid() == self._launcher:
            os.kill(self._launcher, WAKE)


def _execute(path: bytes, argv: list[bytes], environ: dict[bytes, bytes]) -> NoReturn:
    """Find the command as execvp does, and become it; OSError tells why not."""
    if b"/" in path:
        os.execve(path, argv, environ)
    denied = None
    for folder in environ.get(b"PATH", os.defpath.encode()).split(b":"):
        try:
            os.execve(os.path.join(folder or b".", path), argv, environ)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            denied = error
    raise denied or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        return  # it has just ended
